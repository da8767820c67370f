/** A million jobs leave nothing behind: not in Redis, and not in the worker's memory. Runs with all cases only. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Queue } from '../../../lib/index.ts';
import { startRedis, type RedisServer } from '../../support/redis.ts';
import { startWorker, type WorkerProcess } from '../../support/worker-process.ts';

const JOBS = 1_000_000;
const BATCH = 2_000;
const LOOKS = 5;
const MB = 1024 * 1024;

describe('a million jobs', () => {
  let redis: RedisServer;
  let q: Queue;
  let worker: WorkerProcess;

  beforeAll(async () => {
    redis = await startRedis();
    q = new Queue('default', { connection: redis.url });
    worker = startWorker(redis.url, ['default'], '--concurrency', '100', '--quiet');
  });
  afterAll(async () => {
    await worker.end();
    await q.close();
    await redis.stop();
  });

  /** Resident bytes of the worker, and the bytes of what Redis holds. */
  async function sizes(): Promise<{ worker: number; redis: number }> {
    const status = readFileSync(`/proc/${worker.pid}/status`, 'utf8');
    const info = await redis.client.info('memory');
    return {
      worker: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024,
      redis: Number(/used_memory_dataset:(\d+)/.exec(info)?.[1]),
    };
  }

  async function atRest(): Promise<void> {
    const left = async (): Promise<number> =>
      (await redis.client.zcard('rq:finished:default')) +
      (await redis.client.zcard('rq:failed:default')) +
      (await redis.client.keys('rq:job:*')).length;
    await expect.poll(left, { timeout: 60_000, interval: 200 }).toBe(0);
  }

  it('leave Redis and the worker as large as they were', { timeout: 900_000 }, async () => {
    const seen: { worker: number; redis: number }[] = [];
    for (let done = 0; done < JOBS; done += BATCH) {
      const calls = Array.from({ length: BATCH }, (_, i) => {
        // most are not kept, some for a second, some fail, some fail and are retried
        if (i % 100 === 0) return ['fail', ['on purpose'], { failureTtl: 1, retry: { max: 1 } }] as const;
        if (i % 50 === 0) return ['fail', ['on purpose'], { failureTtl: 0 }] as const;
        return ['add', [i, 1], { resultTtl: i % 4 === 0 ? 1 : 0 }] as const;
      });
      await q.enqueueMany(calls);
      await expect.poll(() => q.count(), { timeout: 60_000, interval: 5 }).toBeLessThan(BATCH);
      if ((done + BATCH) % (JOBS / LOOKS) === 0) {
        await atRest();
        seen.push(await sizes());
      }
    }
    const told = seen.map(({ worker: w, redis: r }) => `${(w / MB).toFixed(1)}+${(r / MB).toFixed(2)}`);
    process.stdout.write(`MB of the worker + Redis at each fifth: ${told.join(', ')}\n`);
    const [first, last] = [seen[0], seen.at(-1)];
    expect((last?.redis ?? Infinity) - (first?.redis ?? 0)).toBeLessThan(2 * MB);
    expect((last?.worker ?? Infinity) - (first?.worker ?? 0)).toBeLessThan(30 * MB);
    await worker.end('SIGTERM');
    const keys = (await redis.client.keys('*')).filter(key => !key.startsWith('rq:worker:'));
    expect(
      keys.filter(key => !/^rq:(queues|(janitor|finished|failed|taken|samples):default)$/.test(key)),
    ).toEqual([]);
  });
});
