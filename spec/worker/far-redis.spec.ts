/** When `prefetch` pays, and when it hurts: what the README says of it, measured. */
import { afterEach, describe, expect, it } from 'vitest';
import { Worker } from '../../lib/index.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';
import { Proxy } from '../support/proxy.ts';

const redis = useRedis();
const q = useQueue(redis);
const makeWorker = useWorkers(redis);
let proxy: Proxy | undefined;

afterEach(() => proxy?.close());

describe('prefetch', () => {
  it('runs short jobs at least twice as fast where Redis is 1 ms away', { timeout: 90_000 }, async () => {
    const far = await Proxy.to(redis.port);
    proxy = far;
    far.delay = 1;
    let ran = 0;
    /** Milliseconds for so many jobs of next to nothing, one at a time. */
    const measure = async (prefetch: number): Promise<number> => {
      await q.enqueueMany(Array.from({ length: 400 }, () => ['f'] as const));
      const worker = new Worker('default', {
        connection: far.url,
        functions: { f: () => void ran++ },
        prefetch,
      });
      let began = 0;
      worker.once('jobStarted', () => (began = performance.now()));
      await worker.work({ maxJobs: 400 });
      return performance.now() - began;
    };
    // in turn, so that what else the machine does strikes both
    const [without, ahead] = [[await measure(0)], [await measure(20)]];
    for (let i = 0; i < 2; i++) {
      without.push(await measure(0));
      ahead.push(await measure(20));
    }
    expect(ran).toBe(2400);
    expect(Math.min(...without) / Math.min(...ahead)).toBeGreaterThan(2);
  });

  it('has a short job wait behind a long one, while another worker is free', async () => {
    let end: () => void = () => {};
    let began = false;
    const long = (): Promise<void> => {
      began = true;
      return new Promise(resolve => (end = resolve));
    };
    const short = (): number => 1;
    const [, behind] = await q.enqueueMany([['long'], ['short']]);
    void makeWorker({ long, short }, { prefetch: 1 }, 'default').work();
    await expect.poll(() => q.startedRegistry.count()).toBe(2);
    await expect.poll(() => began).toBe(true);
    void makeWorker({ long, short }, {}, 'default').work();
    // the other worker runs what comes after it
    const after = await q.enqueue('short');
    expect(await after.wait({ timeout: 15 })).toBe(1);
    expect(await behind?.getStatus()).toBe('started');
    end();
    await behind?.wait({ timeout: 15 });
  });
});
