/** What workers keep to: pause, rates, slots by key, the order of the queues, jobs taken ahead. */
import { describe, expect, it } from 'vitest';
import { Queue, Worker, type WorkerOptions } from '../lib/index.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);

const noop = (): void => {};

/** Works until so many jobs have begun; answers the queues that they came from. */
async function workOn(
  queues: readonly string[],
  jobs: number,
  options: Partial<WorkerOptions> = {},
): Promise<string[]> {
  const order: string[] = [];
  const worker = new Worker(queues, { connection: redis.url, functions: { noop }, ...options });
  worker.on('jobStarted', ({ queue }) => void order.push(queue));
  await worker.work({ maxJobs: jobs });
  return order;
}

describe('Queue.pause', () => {
  it('keeps workers from the queue until resume', async () => {
    await using other = new Queue('other', { connection: redis.url });
    await q.pause();
    expect(await q.isPaused()).toBe(true);
    const [held, free] = [await q.enqueue('noop'), await other.enqueue('noop')];
    const worker = new Worker(['default', 'other'], { connection: redis.url, functions: { noop } });
    const said: string[] = [];
    worker.on('queuePaused', queue => void said.push(`paused ${queue}`));
    worker.on('queueResumed', queue => void said.push(`resumed ${queue}`));
    const working = worker.work();
    await free.wait({ timeout: 15 });
    await (await other.enqueue('noop')).wait({ timeout: 15 });
    expect(await held.getStatus()).toBe('queued');
    expect(await q.getJobIds()).toEqual([held.id]);
    await q.resume();
    await held.wait({ timeout: 15 });
    await worker.stop();
    await working;
    expect(said).toEqual(['paused default', 'resumed default']);
  });

  it('puts back what a blocking read took meanwhile', async () => {
    const worker = new Worker('default', { connection: redis.url, functions: { noop } });
    const working = worker.work();
    await (await q.enqueue('noop')).wait({ timeout: 15 });
    await q.pause();
    const job = await q.enqueue('noop');
    // taken off the list by the read, and back on it once the worker has asked
    await expect
      .poll(async () => [await redis.client.keys('*claims*'), await q.getJobIds()])
      .toEqual([[], [job.id]]);
    await worker.stop();
    await working;
    expect(await job.getStatus()).toBe('queued');
    expect(await q.getJobIds()).toEqual([job.id]);
  });
});

describe('a rate limit', () => {
  it('lets so many jobs begin in a time, over all workers', async () => {
    await q.setRateLimit('5/s');
    expect(await q.getRateLimit()).toBe('5/s');
    const jobs = await q.enqueueMany(Array.from({ length: 12 }, () => ['noop'] as const));
    await Promise.all([1, 2].map(() => workOn(['default'], 6, { concurrency: 10 })));
    // by the clock of Redis, in any window of a second no more than five begin
    const begun = await Promise.all(jobs.map(async job => Number((await job.refresh()).startedAt)));
    const at = begun.toSorted((a, b) => a - b);
    for (let i = 5; i < at.length; i++) expect((at[i] ?? 0) - (at[i - 5] ?? 0)).toBeGreaterThanOrEqual(999);
  });

  it('is asked about at most five times a second by an idle worker', async () => {
    await q.setRateLimit('1/m');
    await q.enqueueMany([['noop'], ['noop']]);
    const worker = new Worker('default', { connection: redis.url, functions: { noop } });
    const working = worker.work();
    await expect.poll(() => q.finishedRegistry.count()).toBe(1);
    await redis.client.config('RESETSTAT');
    const began = performance.now();
    // long enough that what comes once, or falls on an edge, weighs little
    await expect.poll(() => performance.now() - began).toBeGreaterThan(5000);
    const stats = await redis.client.info('commandstats');
    const calls =
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1]) +
      Number(/cmdstat_blmove:calls=(\d+)/.exec(stats)?.[1] ?? 0);
    expect(calls / ((performance.now() - began) / 1000)).toBeLessThanOrEqual(5);
    await worker.stop();
    await working;
  });
});

describe('the option limit', () => {
  it('runs so many jobs of a key at a time, and lets others pass', async () => {
    let [running, most] = [0, 0];
    const release: (() => void)[] = [];
    const tenant = async (): Promise<void> => {
      most = Math.max(most, ++running);
      await new Promise<void>(resolve => release.push(resolve));
      running--;
    };
    const limit = { key: 'acme', concurrency: 2 };
    const jobs = await q.enqueueMany(Array.from({ length: 5 }, () => ['tenant', [], { limit }] as const));
    const other = await q.enqueue('noop');
    const worker = new Worker('default', {
      connection: redis.url,
      functions: { tenant, noop },
      concurrency: 10,
    });
    const working = worker.work();
    await other.wait({ timeout: 15 });
    expect(await redis.client.zrange('rq:parked:acme', '0', '-1')).toEqual(jobs.slice(2).map(({ id }) => id));
    const going = setInterval(() => release.shift()?.(), 5);
    await Promise.all(jobs.map(job => job.wait({ timeout: 15 })));
    clearInterval(going);
    expect(most).toBe(2);
    await worker.stop();
    await working;
    expect((await redis.client.keys('rq:slots*')).concat(await redis.client.keys('rq:parked*'))).toEqual([]);
  });
});

describe('the order of the queues', () => {
  const fill = async (length: number = 1000): Promise<void> => {
    for (const name of ['a', 'b', 'c']) {
      await using queue = new Queue(name, { connection: redis.url });
      await queue.enqueueMany(Array.from({ length }, () => ['noop'] as const));
    }
  };
  const share = (order: readonly string[], queue: string): number =>
    order.filter(name => name === queue).length / order.length;

  it.each([
    ['default', (order: readonly string[]) => order.every(name => name === 'a')],
    ['round_robin', (order: readonly string[]) => order.every((name, i) => name === 'abc'[i % 3])],
    ['random', (order: readonly string[]) => Math.abs(share(order, 'a') - 1 / 3) < 0.08],
  ] as const)('%s is kept by 1,000 jobs', async (dequeueStrategy, kept) => {
    await fill();
    const order = await workOn(['a', 'b', 'c'], 1000, { dequeueStrategy, concurrency: 10 });
    expect(order).toHaveLength(1000);
    expect(kept(order)).toBe(true);
  });

  it('weighted is kept by 3,000 jobs', async () => {
    // so many that five hundredths are five times what chance does
    await fill(3000);
    const order = await workOn(['a', 'b', 'c'], 3000, { weights: { a: 5, b: 2 }, concurrency: 10 });
    expect([share(order, 'a'), share(order, 'b'), share(order, 'c')]).toEqual([
      expect.closeTo(5 / 8, 1),
      expect.closeTo(2 / 8, 1),
      expect.closeTo(1 / 8, 1),
    ]);
  });
});

describe('prefetch', () => {
  it('takes jobs ahead, and gives them back at the end', async () => {
    let go: () => void = () => {};
    let began = false;
    const long = async (): Promise<void> => {
      began = true;
      await new Promise<void>(resolve => (go = resolve));
    };
    const first = await q.enqueue('long');
    const rest = await q.enqueueMany(Array.from({ length: 5 }, () => ['noop'] as const));
    const worker = new Worker('default', { connection: redis.url, functions: { long, noop }, prefetch: 3 });
    const working = worker.work();
    await expect.poll(() => redis.client.zcard('rq:wip:default')).toBe(4);
    // Redis knows before the worker does, and a stop in between gives all of them back
    await expect.poll(() => began).toBe(true);
    expect(await q.getJobIds()).toEqual(rest.slice(3).map(({ id }) => id));
    const stopping = worker.stop();
    await expect.poll(() => q.getJobIds()).toEqual(rest.map(({ id }) => id));
    go();
    await stopping;
    await working;
    expect(await first.getStatus()).toBe('finished');
  });

  it('runs what was taken ahead, one after the other', async () => {
    await q.enqueueMany(Array.from({ length: 50 }, () => ['noop'] as const));
    const order = await workOn(['default'], 50, { prefetch: 10 });
    expect(order).toHaveLength(50);
    expect(await q.finishedRegistry.count()).toBe(50);
  });
});
