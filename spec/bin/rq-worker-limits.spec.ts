import { describe, expect, it } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { useQueue, useRedis } from '../support/in-process.ts';
import { TASKS, WorkerProcess } from '../support/worker-process.ts';

/** Nobody listens there; what is refused is refused before anybody asks. */
const NOWHERE = 'redis://127.0.0.1:1';

const redis = useRedis();
const q = useQueue(redis);

async function run(...args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  const worker = new WorkerProcess(['--functions', TASKS, ...args]);
  const { code } = await worker.exit();
  return { code, out: worker.out, err: worker.err };
}

describe('rq-worker, of limits', () => {
  it.each([
    ['a rate of none', ['--rate-limit', 'default=0/m'], /rateLimits\.default must be .*'10\/m'.*not "0\/m"/],
    ['a rate by an odd time', ['--rate-limit', 'default=10/fortnight'], /not "10\/fortnight"/],
    ['a rate of no queue', ['--rate-limit', '10/m'], /'10\/m' is invalid.*mails=10\/m/],
    ['a rate of nobody', ['--rate-limit', '=10/m'], /'=10\/m' is invalid/],
    ['a rate of another queue', ['--rate-limit', 'mails=10/m'], /queue "mails".*listens on default/],
    [
      'two rates of a queue',
      ['--rate-limit', 'default=1/m', '--rate-limit', 'default=2/m'],
      /default has a rate already/,
    ],
    ['a weight of 0', ['--weights', 'default=0'], /'default=0' is invalid.*high=5,low=1/],
    ['a weight without a queue', ['--weights', '5'], /'5' is invalid.*high=5,low=1/],
    ['two weights of a queue', ['--weights', 'default=1,default=2'], /names the queue default twice/],
    ['a weight of another queue', ['--weights', 'high=5'], /queue "high".*listens on default/],
    ['a weight beyond reason', ['--weights', 'default=99999999999'], /1 to 100000, not 99999999999/],
    [
      'weights beside another strategy',
      ['--weights', 'default=5', '--dequeue-strategy', 'random'],
      /'weighted', not "random"/,
    ],
    ['weighted without weights', ['--dequeue-strategy', 'weighted'], /'weighted' needs weights/],
    [
      'an unknown strategy',
      ['--dequeue-strategy', 'wieghted'],
      /wieghted.*default, round_robin, random, weighted/,
    ],
    ['fewer than no jobs ahead', ['--prefetch', '-1'], /'-1' is invalid.*0 or more/],
    ['a word of jobs ahead', ['--prefetch', 'many'], /'many' is invalid.*0 or more/],
  ])('refuses %s in one line and exits with 2', async (_, args, said) => {
    const { code, out, err } = await run('--url', NOWHERE, ...args);
    expect(err).toMatch(said);
    expect(err).toMatch(/^[^\n]+\n$/);
    expect(out).toBe('');
    expect(code).toBe(2);
  });

  it('keeps to its rates, and a burst goes on until the jobs have run', async () => {
    await q.enqueueMany(Array.from({ length: 5 }, () => ['nothing'] as const));
    const began = performance.now();
    const { code, err } = await run(
      '--url',
      redis.url,
      '--burst',
      '-c',
      '5',
      '--rate-limit',
      'default=2/700ms',
    );
    expect([code, err]).toEqual([0, '']);
    // two at once, two after 0.7 s, and one after 1.4 s
    expect(performance.now() - began).toBeGreaterThan(1400);
    expect(await q.finishedRegistry.count()).toBe(5);
    expect(await redis.client.zcard('rq:starts:default')).toBeLessThanOrEqual(2);
  });

  it('draws its queues by their weights, and takes jobs ahead', async () => {
    await using low = new Queue('low', { connection: redis.url });
    for (const queue of [low, q])
      await queue.enqueueMany(Array.from({ length: 200 }, () => ['nothing'] as const));
    const order = ['--weights', 'default=9,low=1', '--prefetch', '3', '--max-jobs', '100'];
    const { code, out, err } = await run('low', 'default', '--url', redis.url, ...order);
    expect([code, err]).toEqual([0, '']);
    const count = (name: string): number => [...out.matchAll(new RegExp(` ${name}: Job OK`, 'g'))].length;
    expect(count('low') + count('default')).toBe(100);
    expect(count('low')).toBeGreaterThan(0);
    expect(count('low')).toBeLessThan(30);
  });

  it('says once that a queue is paused, and once that it goes on', async () => {
    await q.pause();
    const job = await q.enqueue('nothing');
    const worker = new WorkerProcess(['--url', redis.url, '--functions', TASKS]);
    try {
      await worker.said(/default: Paused/);
      await expect.poll(() => redis.client.hget(`rq:job:${job.id}`, 'status')).toBe('queued');
      await q.resume();
      await job.wait({ timeout: 15 });
      await worker.end('SIGTERM');
      const lines = worker.all.split('\n');
      expect(lines.filter(line => /: Paused/.test(line))).toHaveLength(1);
      expect(lines.filter(line => /: Resumed/.test(line))).toHaveLength(1);
    } finally {
      await worker.end();
    }
  });
});
