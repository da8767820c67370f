import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { getCurrentJob } from '../../lib/current-job.ts';
import type { FunctionSource } from '../../lib/functions.ts';
import type { WorkerOptions } from '../../lib/worker/settings.ts';
import type { Worker } from '../../lib/worker/worker.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';
import { Proxy } from '../support/proxy.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const abortable = async (): Promise<void> => {
  const signal = getCurrentJob()?.signal;
  await sleep(60_000, undefined, signal ? { signal } : {});
};

/** A worker that listens, and its work; `running` resolves once so many jobs have begun there. */
async function listening(
  functions: FunctionSource = { f: () => 1 },
  options: Partial<WorkerOptions> = {},
): Promise<{
  worker: Worker;
  working: Promise<void>;
  warnings: string[];
  running: (n: number) => Promise<void>;
}> {
  const worker = makeWorker(functions, options);
  const warnings: string[] = [];
  worker.on('warning', text => warnings.push(text));
  let started = 0;
  worker.on('jobStarted', () => started++);
  const working = worker.work();
  await once(worker, 'listening');
  // that Redis says so is not enough: `kill-horse` passes by what the worker does not have yet
  const running = async (n: number): Promise<void> => {
    await expect.poll(() => started, { interval: 10 }).toBe(n);
  };
  return { worker, working, warnings, running };
}

const send = (worker: Worker, text: string): Promise<number> =>
  redis.client.publish(`rq:pubsub:${worker.name}`, text);
const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);

describe('a worker’s command channel', () => {
  it('is subscribed once the worker says that it listens', async () => {
    const { worker } = await listening();
    expect(await send(worker, '{"command":"nothing"}')).toBe(1);
  });

  it('is subscribed again after its connection was lost', async () => {
    const { worker, working } = await listening();
    await redis.client.client('KILL', 'TYPE', 'PUBSUB');
    await expect.poll(() => send(worker, '{"command":"shutdown"}'), { interval: 20 }).toBe(1);
    await working;
  });
});

describe('the command shutdown', () => {
  it('stops the worker, warm', async () => {
    const job = await q.enqueue('f');
    let end: (value: string) => void = () => {};
    const f = (): Promise<string> => new Promise(resolve => (end = resolve));
    const { worker, working, running } = await listening({ f });
    await running(1);
    const stopping = once(worker, 'stopping');
    await send(worker, '{"command":"shutdown"}');
    expect(await stopping).toEqual(['warm']);
    end('done');
    await working;
    expect(await hash(job.id)).toMatchObject({ status: 'finished', result: '"done"' });
  });
});

describe('the command stop-job', () => {
  it('aborts the job that it names, which is stopped', async () => {
    const [job, other] = await q.enqueueMany([['f'], ['f']]);
    const { worker, running } = await listening({ f: abortable }, { concurrency: 2 });
    await running(2);
    const stopped = once(worker, 'jobStopped');
    await send(worker, JSON.stringify({ command: 'stop-job', job_id: job.id }));
    expect((await stopped)[0]).toMatchObject({ jobId: job.id });
    expect(await hash(job.id)).toMatchObject({
      status: 'stopped',
      exc_info: `StopRequestedError: Job ${job.id} was asked to stop`,
    });
    expect(await redis.client.zrange('rq:failed:q', '0', '-1')).toEqual([job.id]);
    expect(await hash(other.id)).toMatchObject({ status: 'started' });
  });

  it('is what Job.stop sends', async () => {
    const job = await q.enqueue('f');
    const { running } = await listening({ f: abortable });
    await running(1);
    await job.stop();
    await expect(job.wait({ timeout: 15 })).rejects.toMatchObject({ code: 'RQ_JOB_STOPPED' });
  });

  it.each(['stop-job', 'drop-execution'])(
    'ends a job also that Redis has started for the worker, and whose reply is on its way (%s)',
    async command => {
      await using proxy = await Proxy.to(Number(new URL(redis.url).port));
      let ran = 0;
      const functions = { f: () => ran++, g: () => 'next' };
      const { worker, warnings } = await listening(functions, { connection: proxy.url });
      const release = proxy.hold('advance');
      const job = await q.enqueue('f');
      await expect.poll(async () => (await hash(job.id))['execution_id'], { interval: 10 }).toBeDefined();
      const { execution_id } = await hash(job.id);
      await send(worker, JSON.stringify({ command, job_id: job.id, execution_id }));
      // and it has been read: what comes after it is
      await send(worker, 'not JSON');
      await expect.poll(() => warnings, { interval: 10 }).toHaveLength(1);
      const ended = once(worker, command === 'stop-job' ? 'jobStopped' : 'jobLost');
      release();
      expect((await ended)[0]).toMatchObject({ jobId: job.id });
      expect(await (await q.enqueue('g')).wait({ timeout: 15 })).toBe('next');
      expect(ran).toBe(0);
      await worker.stop();
    },
  );

  it('holds up nothing where such a job was lost twice before, so that nothing was to begin beside it', async () => {
    await using proxy = await Proxy.to(Number(new URL(redis.url).port));
    const job = await q.enqueue('f');
    await redis.client.hset(`rq:job:${job.id}`, 'recoveries', '2');
    // the first reply says that one is next which has to be asked for by itself
    const release = proxy.hold('advance', 1);
    const functions = { f: () => 1, g: () => 'next' };
    const { worker, warnings } = await listening(functions, { connection: proxy.url });
    await expect.poll(async () => (await hash(job.id))['execution_id'], { interval: 10 }).toBeDefined();
    await send(worker, JSON.stringify({ command: 'stop-job', job_id: job.id }));
    await send(worker, 'not JSON');
    await expect.poll(() => warnings, { interval: 10 }).toHaveLength(1);
    release();
    // it would be ten seconds
    expect(await (await q.enqueue('g')).wait({ timeout: 8 })).toBe('next');
    expect(await job.getStatus()).toBe('stopped');
    await worker.stop();
  });

  it('does nothing where the job does not run here', async () => {
    const { worker, warnings } = await listening({ f: () => 'ran' });
    await send(worker, '{"command":"stop-job","job_id":"elsewhere"}');
    expect(await (await q.enqueue('f')).wait({ timeout: 15 })).toBe('ran');
    expect(warnings).toEqual([]);
  });

  it('gives up the slot of a stubborn function after the grace', async () => {
    const job = await q.enqueue('f');
    const functions = { f: () => sleep(60_000), g: () => 'next' };
    const { worker, running } = await listening(functions, { grace: 0.05 });
    await running(1);
    const overdue = once(worker, 'jobOverdue');
    await send(worker, JSON.stringify({ command: 'stop-job', job_id: job.id }));
    expect((await overdue)[0]).toMatchObject({ jobId: job.id });
    expect(await (await q.enqueue('g')).wait({ timeout: 15 })).toBe('next');
    expect(await hash(job.id)).toMatchObject({ status: 'stopped' });
  });
});

describe('the command kill-horse', () => {
  it('ends every job that runs', async () => {
    const jobs = await q.enqueueMany([['f'], ['f'], ['f']]);
    const { worker, running } = await listening({ f: abortable }, { concurrency: 3 });
    await running(3);
    await send(worker, '{"command":"kill-horse"}');
    for (const job of jobs) await expect.poll(() => job.getStatus(), { interval: 10 }).toBe('stopped');
  });

  it('leaves the worker working', async () => {
    const { worker } = await listening({ f: () => 'ran' });
    await send(worker, '{"command":"kill-horse"}');
    expect(await (await q.enqueue('f')).wait({ timeout: 15 })).toBe('ran');
  });
});

describe('what is no command', () => {
  it.each([
    ['{"command":"dance"}', 'An unknown command was ignored: {"command":"dance"}'],
    ['{"command":"stop-job"}', 'An unknown command was ignored'],
    ['{"command":"stop-job","job_id":7}', 'An unknown command was ignored'],
    ['{}', 'An unknown command was ignored'],
    ['[]', 'An unknown command was ignored'],
    ['7', 'An unknown command was ignored'],
    ['null', 'An unknown command was ignored: null'],
    ['not JSON', 'A command that is not JSON was ignored: "not JSON"'],
    ['', 'A command that is not JSON was ignored: ""'],
  ])('is ignored with a warning: %s', async (text, said) => {
    const { worker, warnings } = await listening();
    await send(worker, text);
    await expect.poll(() => warnings, { interval: 10 }).toHaveLength(1);
    expect(warnings[0]).toContain(said);
    expect(await (await q.enqueue('f')).wait({ timeout: 15 })).toBe(1);
  });

  it('is shown shortened, without control characters', async () => {
    const { worker, warnings } = await listening();
    await send(worker, JSON.stringify({ command: `\u001b[31m${'x'.repeat(5000)}` }));
    await send(worker, `\u001b[31m${'x'.repeat(5000)}`);
    await expect.poll(() => warnings, { interval: 10 }).toHaveLength(2);
    for (const warning of warnings) {
      expect(warning.length).toBeLessThan(300);
      // oxlint-disable-next-line no-control-regex
      expect(warning).not.toMatch(/[\u0000-\u001f]/);
    }
  });
});
