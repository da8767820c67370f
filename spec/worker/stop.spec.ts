import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { getCurrentJob } from '../../lib/current-job.ts';
import type { WorkerOptions } from '../../lib/worker/settings.ts';
import { Worker } from '../../lib/worker/worker.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
const list = (): Promise<string[]> => redis.client.lrange('rq:queue:q', 0, -1);

/** A worker that runs one job of `f`. */
async function busy(
  f: () => unknown,
  options: Partial<WorkerOptions> = {},
): Promise<{ worker: Worker; working: Promise<void>; id: string }> {
  const { id } = await q.enqueue('f');
  const worker = makeWorker({ f }, options);
  const working = worker.work();
  await once(worker, 'jobStarted');
  return { worker, working, id };
}

/** A function that ends once its signal is aborted, and what it was aborted with. */
function abortable(): { f: () => Promise<void>; reason: () => unknown } {
  let reason: unknown;
  return {
    f: async () => {
      const signal = getCurrentJob()?.signal;
      await sleep(60_000, undefined, signal ? { signal } : {}).finally(() => (reason = signal?.reason));
    },
    reason: () => reason,
  };
}

describe('Worker.stop', () => {
  it('waits for the job that runs, and stores its result', async () => {
    let end: (value: string) => void = () => {};
    const { worker, working, id } = await busy(() => new Promise<string>(resolve => (end = resolve)));
    let stopped = false;
    const stop = worker.stop().then(() => (stopped = true));
    await expect
      .poll(async () => String(await redis.client.call('CLIENT', 'LIST')))
      .not.toContain('cmd=blmove');
    expect(stopped).toBe(false);
    end('in time');
    await stop;
    await working;
    expect(await hash(id)).toMatchObject({ status: 'finished', result: '"in time"' });
  });

  it('takes no more jobs', async () => {
    let end: () => void = () => {};
    let ran = 0;
    const { worker } = await busy(() => {
      ran++;
      return new Promise<void>(resolve => (end = resolve));
    });
    const next = await q.enqueue('f');
    const stop = worker.stop();
    end();
    await stop;
    expect(ran).toBe(1);
    expect(await list()).toEqual([next.id]);
    expect(await hash(next.id)).toMatchObject({ status: 'queued' });
  });

  it('aborts with ShutdownError after shutdownTimeout, and gives back to the front, uncounted', async () => {
    const { f, reason } = abortable();
    const { worker, id } = await busy(f, { shutdownTimeout: '100ms' });
    const next = await q.enqueue('f');
    const returned = once(worker, 'jobReturned');
    const began = performance.now();
    await worker.stop();
    expect(performance.now() - began).toBeGreaterThan(95);
    expect(reason()).toMatchObject({ name: 'ShutdownError', code: 'RQ_SHUTDOWN', jobId: id });
    expect((await returned)[0]).toMatchObject({ jobId: id });
    expect(await list()).toEqual([id, next.id]);
    const fields = await hash(id);
    expect(fields).toMatchObject({ status: 'queued' });
    for (const name of ['recoveries', 'execution_id', 'exc_info', 'started_at', 'worker_name']) {
      expect(fields).not.toHaveProperty(name);
    }
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
  });

  it('keeps the order of jobs that are given back together', async () => {
    const jobs = await q.enqueueMany(Array.from({ length: 5 }, () => ['f'] as const));
    let running = 0;
    const worker = makeWorker({ f: () => (running++, sleep(60_000)) }, { concurrency: 5 });
    void worker.work();
    await expect.poll(() => running, { interval: 10 }).toBe(5);
    await worker.stop('cold');
    expect(await list()).toEqual(jobs.map(({ id }) => id));
  });

  it('gives the slot of a stubborn function up after the grace', async () => {
    const { worker, id } = await busy(() => sleep(60_000), { shutdownTimeout: 0, grace: '50ms' });
    const overdue = once(worker, 'jobOverdue');
    await worker.stop();
    expect((await overdue)[0]).toMatchObject({ jobId: id });
    expect(await list()).toEqual([id]);
  });

  it('may wait longer than a timer of Node can', async () => {
    let end: (value: string) => void = () => {};
    const f = (): Promise<string> => new Promise(resolve => (end = resolve));
    const { worker, id } = await busy(f, { shutdownTimeout: '30d', grace: 0 });
    const stop = worker.stop();
    for (let i = 0; i < 50; i++) await redis.client.ping();
    end('done');
    await stop;
    expect(await hash(id)).toMatchObject({ status: 'finished', result: '"done"' });
  });

  it('lets another worker run what was given back', async () => {
    const { worker, id } = await busy(() => sleep(60_000), { shutdownTimeout: 0, grace: 0 });
    await worker.stop();
    await makeWorker({ f: () => 'at last' }).work({ burst: true });
    expect(await hash(id)).toMatchObject({ status: 'finished', result: '"at last"' });
  });
});

describe("Worker.stop('cold')", () => {
  it('gives back at once', async () => {
    const { worker, working, id } = await busy(() => sleep(60_000));
    const began = performance.now();
    await worker.stop('cold');
    await working;
    // the grace is 5 s
    expect(performance.now() - began).toBeLessThan(4000);
    expect(await list()).toEqual([id]);
    expect(await hash(id)).toMatchObject({ status: 'queued' });
    expect(await hash(id)).not.toHaveProperty('recoveries');
  });

  it('aborts the signal', async () => {
    const { f, reason } = abortable();
    const { worker } = await busy(f);
    await worker.stop('cold');
    await expect.poll(reason, { interval: 5 }).toMatchObject({ code: 'RQ_SHUTDOWN' });
  });
});

describe('Worker.stop, twice and early', () => {
  it('is cold the second time', async () => {
    const { worker, id } = await busy(() => sleep(60_000));
    const kinds: string[] = [];
    worker.on('stopping', kind => kinds.push(kind));
    const first = worker.stop();
    await worker.stop();
    await first;
    expect(kinds).toEqual(['warm', 'cold']);
    expect(await list()).toEqual([id]);
  });

  it('does nothing more once the worker has stopped', async () => {
    const worker = makeWorker({ f: () => 1 });
    await worker.work({ burst: true });
    await worker.stop();
    await worker.stop('cold');
    expect(await redis.client.hget(`rq:worker:${worker.name}`, 'death')).not.toBeNull();
  });

  it('before work keeps the worker from working', async () => {
    await q.enqueue('f');
    const worker = makeWorker({ f: () => 1 });
    await worker.stop();
    await worker.stop();
    await worker.work();
    expect(await q.count()).toBe(1);
    expect(await redis.client.exists('rq:workers')).toBe(0);
  });

  it('right after work() ends it', async () => {
    const worker = makeWorker({ f: () => 1 });
    const working = worker.work();
    await worker.stop();
    await working;
    expect(await redis.client.smembers('rq:workers')).toEqual([]);
  });

  it.each(['started', 'subscribing', 'listening', 'cleaning'] as const)(
    'while it starts, at %s',
    async event => {
      const job = await q.enqueue('f');
      const worker = makeWorker({ f: () => 1 });
      worker.once(event, () => void worker.stop());
      await worker.work();
      expect(await list()).toEqual([job.id]);
      expect(await redis.client.smembers('rq:workers')).toEqual([]);
    },
  );

  it('ends a worker that waits for jobs, at once, and leaves no connection', async () => {
    const worker = makeWorker({ f: () => 1 });
    const working = worker.work();
    await expect
      .poll(async () => String(await redis.client.call('CLIENT', 'LIST')), { interval: 10 })
      .toContain('cmd=blmove');
    const began = performance.now();
    await worker.stop();
    await working;
    // what does not answer gets 2 s
    expect(performance.now() - began).toBeLessThan(1900);
    await expect
      .poll(async () => String(await redis.client.call('CLIENT', 'LIST')), { interval: 10 })
      .not.toMatch(/cmd=(blmove|subscribe)/);
  });

  it('from within a job waits for that job', async () => {
    const job = await q.enqueue('f');
    const worker = makeWorker({
      f: () => {
        void worker.stop();
        return 'last words';
      },
    });
    await worker.work();
    expect(await hash(job.id)).toMatchObject({ status: 'finished', result: '"last words"' });
  });
});
