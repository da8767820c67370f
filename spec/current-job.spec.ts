import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { CurrentJob, getCurrentJob } from '../lib/current-job.ts';
import type { FunctionSource } from '../lib/functions.ts';
import { Queue } from '../lib/queue.ts';
import { Worker } from '../lib/worker/worker.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');

async function run(
  functions: FunctionSource,
  {
    concurrency = 1,
    listen = (): void => {},
  }: { concurrency?: number; listen?: (worker: Worker) => void } = {},
): Promise<void> {
  const worker = new Worker('q', { connection: redis.url, functions, concurrency });
  listen(worker);
  await worker.work({ burst: true });
}

describe('getCurrentJob', () => {
  it('is undefined outside of a job', () => {
    expect(getCurrentJob()).toBeUndefined();
  });

  it('gives the job within its function', async () => {
    const job = await q.enqueue('f', [1], { meta: { by: 'me' }, timeout: 7 });
    let seen: CurrentJob | undefined;
    await run({ f: () => void (seen = getCurrentJob()) });
    expect(seen).toBeInstanceOf(CurrentJob);
    expect(seen).toMatchObject({
      id: job.id,
      origin: 'q',
      functionName: 'f',
      args: [1],
      meta: { by: 'me' },
      timeout: 7,
    });
    expect(seen?.executionId).toBe(await redis.client.hget(`rq:job:${job.id}`, 'execution_id'));
  });

  it('gives the same one in nested asynchronous calls', async () => {
    await q.enqueue('f');
    const seen: unknown[] = [];
    const inner = async (): Promise<void> => {
      await sleep(1);
      seen.push(getCurrentJob());
      await new Promise<void>(resolve =>
        setImmediate(() => {
          seen.push(getCurrentJob());
          resolve();
        }),
      );
    };
    const f = async (): Promise<void> => {
      seen.push(getCurrentJob());
      await Promise.all([inner(), inner()]);
    };
    await run({ f });
    expect(seen).toHaveLength(5);
    expect(seen[0]).toBeInstanceOf(CurrentJob);
    expect(new Set(seen).size).toBe(1);
  });

  it('gives each of the jobs that run at a time its own', async () => {
    const jobs = await q.enqueueMany(Array.from({ length: 20 }, (_, i) => ['f', [i]] as const));
    const f = async (i: number): Promise<readonly [number, string | undefined]> => {
      await sleep(i % 3);
      return [i, getCurrentJob()?.id];
    };
    await run({ f }, { concurrency: 10 });
    for (const [i, job] of jobs.entries()) expect(await job.result).toEqual([i, job.id]);
  });

  it('is undefined in the listeners of a worker’s events', async () => {
    await q.enqueueMany([['ok'], ['later'], ['fail'], ['ok']]);
    const seen = new Map<string, unknown>();
    const functions = { ok: () => 1, later: () => sleep(1), fail: () => Promise.reject(new Error('x')) };
    await run(functions, {
      listen: worker => {
        for (const name of ['jobStarted', 'jobFinished', 'jobFailed', 'stopped'] as const) {
          worker.on(name, () => void seen.set(name, getCurrentJob()));
        }
      },
    });
    expect([...seen]).toEqual([
      ['jobStarted', undefined],
      ['jobFinished', undefined],
      ['jobFailed', undefined],
      ['stopped', undefined],
    ]);
  });

  it('is the next job’s in the next job', async () => {
    const [first, second] = await q.enqueueMany([['f'], ['f']]);
    const seen: (string | undefined)[] = [];
    await run({ f: () => void seen.push(getCurrentJob()?.id) });
    expect(seen).toEqual([first.id, second.id]);
  });

  it('is undefined for who enqueues, also where the job runs in the same process', async () => {
    const worker = new Worker('q', { connection: redis.url, functions: { f: () => 1 } });
    void worker.work();
    await (await q.enqueue('f')).wait({ timeout: 15 });
    expect(getCurrentJob()).toBeUndefined();
    await worker.stop();
  });

  it('gives the job of a queue that runs it itself', async () => {
    const sync = new Queue('q', { connection: redis.url, isAsync: false });
    let seen: string | undefined;
    function local(): void {
      seen = getCurrentJob()?.id;
    }
    const job = await sync.enqueue(local);
    expect(seen).toBe(job.id);
    await sync.close();
  });
});

describe('CurrentJob', () => {
  it('has a signal that is not aborted', async () => {
    await q.enqueue('f');
    const seen: unknown[] = [];
    const f = (): void => {
      const job = getCurrentJob();
      seen.push(job?.signal instanceof AbortSignal, job?.signal.aborted, job?.signal === job?.signal);
    };
    await run({ f });
    expect(seen).toEqual([true, false, true]);
  });

  it('is started, by its worker', async () => {
    await q.enqueue('f');
    let seen: readonly unknown[] = [];
    let name = '';
    const f = async (): Promise<void> => {
      const job = getCurrentJob();
      seen = [job?.status, await job?.getStatus(), job?.workerName];
    };
    await run({ f }, { listen: worker => (name = worker.name) });
    expect(seen).toEqual(['started', 'started', name]);
  });

  it('saves what its function puts into meta', async () => {
    const job = await q.enqueue('f', [], { meta: { a: 1 } });
    const f = async (): Promise<void> => {
      const current = getCurrentJob();
      if (current === undefined) throw new Error('not in a job');
      current.meta['progress'] = 50;
      await current.saveMeta();
    };
    await run({ f });
    expect(JSON.parse((await redis.client.hget(`rq:job:${job.id}`, 'meta')) ?? '')).toEqual({
      a: 1,
      progress: 50,
    });
    expect((await job.refresh()).status).toBe('finished');
  });
});
