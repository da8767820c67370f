/** Rates and pauses of queues, as Redis keeps them for all workers. */
import { describe, expect, it } from 'vitest';
import { Queue, Worker } from '../lib/index.ts';
import { Keys } from '../lib/keys.ts';
import type { AdvanceReply } from '../lib/advance.ts';
import { WorkerStore } from '../lib/worker-store.ts';
import { useLink, useQueue, useRedis, useWorkers, useWorkerStore } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);
const link = useLink(redis);
const store = useWorkerStore('default', 'other');
const makeWorker = useWorkers(redis);

const soon = { timeout: 10_000, interval: 10 };
const nothing = (): void => {};

const put = (count: number, queue: Queue = q) =>
  queue.enqueueMany(Array.from({ length: count }, () => ['nothing'] as const));
const take = (
  want: number = 99,
  by: WorkerStore = store,
  claims = new Set<number>(),
): Promise<AdvanceReply> => by.advance(link.redis, { handIns: [], want, claims, strategy: 'default' });
const counted = (): Promise<number> => redis.client.zcard('rq:starts:default');

describe('Queue.setRateLimit', () => {
  it('is seen by all, changed, and taken away', async () => {
    await using same = new Queue('default', { connection: redis.url });
    expect(await q.getRateLimit()).toBeUndefined();
    await q.setRateLimit('90/90s');
    expect(await same.getRateLimit()).toBe('90/90s');
    await same.setRateLimit('2/1000ms');
    expect(await q.getRateLimit()).toBe('2/s');
    await q.setRateLimit(undefined);
    expect(await q.getRateLimit()).toBeUndefined();
    expect(await redis.client.keys('rq:*')).toEqual([]);
  });

  it.each(['0/m', '10/fortnight', '', null, 10])('refuses %j, and sends nothing', async rate => {
    await expect(q.setRateLimit(rate as string)).rejects.toThrow(/^rate must be .*'10\/m'/);
    expect(await redis.client.exists('rq:limits:default')).toBe(0);
  });

  it('is not disturbed by a pause, nor a pause by it', async () => {
    await q.setRateLimit('5/s');
    await q.pause();
    await q.setRateLimit(undefined);
    expect([await q.isPaused(), await q.getRateLimit()]).toEqual([true, undefined]);
    await q.setRateLimit('5/s');
    await q.resume();
    expect([await q.isPaused(), await q.getRateLimit()]).toEqual([false, '5/s']);
  });
});

describe('a rate', () => {
  it('is exact, whoever asks, and says when it is worth asking again', async () => {
    await q.setRateLimit('3/m');
    await put(5);
    const other = new WorkerStore(new Keys(), 'w2', ['default']);
    expect((await take(2)).jobs).toHaveLength(2);
    const reply = await take(99, other);
    expect(reply.jobs).toHaveLength(1);
    expect(reply.closed).toEqual([{ place: 0, ms: expect.any(Number), waiting: 2 }]);
    expect(reply.closed[0]?.ms).toBeGreaterThan(50_000);
    expect(reply.closed[0]?.ms).toBeLessThanOrEqual(60_000);
    expect((await take()).jobs).toEqual([]);
    expect(await q.count()).toBe(2);
    expect(await counted()).toBe(3);
    expect(await redis.client.pttl('rq:starts:default')).toBeGreaterThan(50_000);
  });

  it('leaves the other queues alone', async () => {
    await using other = new Queue('other', { connection: redis.url });
    await q.setRateLimit('1/m');
    await put(3);
    await put(3, other);
    const reply = await take();
    expect(reply.jobs.map(({ place }) => place)).toEqual([0, 1, 1, 1]);
    expect(reply.more).toBe('no');
  });

  it('does not count ids that are dropped, nor jobs that are parked', async () => {
    await q.setRateLimit('2/m');
    const limit = { key: 'acme', concurrency: 1 };
    await redis.client.sadd('rq:slots:acme', 'x:n1');
    const jobs = await q.enqueueMany([['f'], ['f'], ['f', [], { limit }], ['f'], ['f'], ['f']]);
    await jobs[1]?.delete();
    await redis.client.del(`rq:job:${jobs[0]?.id}`);
    await redis.client.linsert('rq:queue:default', 'BEFORE', jobs[3]?.id ?? '', 'gone');
    const reply = await take();
    expect(reply.jobs.map(({ jobId }) => jobId)).toEqual([jobs[3]?.id, jobs[4]?.id]);
    expect(reply.dropped).toHaveLength(2);
    expect(await counted()).toBe(2);
    expect(await q.parkedRegistry.count()).toBe(1);
  });

  it('counts a run once that is taken twice from a blocking read, and puts back what is too much', async () => {
    await q.setRateLimit('1/m');
    const jobs = (await put(3)).map(({ id }) => id);
    for (let i = 0; i < 2; i++)
      await redis.client.lmove('rq:queue:default', 'rq:worker:w1:claims:default', 'LEFT', 'RIGHT');
    const reply = await take(9, store, new Set([0]));
    expect(reply.jobs.map(({ jobId }) => jobId)).toEqual(jobs.slice(0, 1));
    expect(await q.getJobIds()).toEqual(jobs.slice(1));
    expect(await redis.client.exists('rq:worker:w1:claims:default')).toBe(0);
  });

  it('that is raised or taken away lets more begin at once', async () => {
    await q.setRateLimit('1/m');
    await put(5);
    await take();
    await q.setRateLimit('3/m');
    expect((await take()).jobs).toHaveLength(2);
    await q.setRateLimit(undefined);
    expect(await take()).toMatchObject({ jobs: { length: 2 }, closed: [] });
  });

  it('that is lowered says when enough of what began is past', async () => {
    await q.setRateLimit('3/m');
    await put(5);
    await take();
    // they began 50, 30 and 10 s ago
    const runs = await redis.client.zrange('rq:starts:default', '0', '-1');
    const now = Date.now() / 1000;
    for (const [i, run] of runs.entries())
      await redis.client.zadd('rq:starts:default', now - 50 + 20 * i, run);
    await q.setRateLimit('1/m');
    const [{ ms } = { ms: 0 }] = (await take()).closed;
    expect(ms).toBeGreaterThan(45_000);
    expect(ms).toBeLessThanOrEqual(50_000);
    await q.setRateLimit('3/m');
    const [{ ms: sooner } = { ms: 0 }] = (await take()).closed;
    expect(sooner).toBeLessThanOrEqual(10_000);
  });

  it('of a worker holds where none is set for all', async () => {
    const rates = new Map([['default', '1/60000']]);
    const limited = new WorkerStore(new Keys(), 'w2', ['other', 'default'], { rates });
    await put(6);
    expect((await take(99, limited)).jobs).toHaveLength(1);
    expect((await take(99, limited)).closed).toEqual([{ place: 1, ms: expect.any(Number), waiting: 5 }]);
    await q.setRateLimit('3/m');
    expect((await take(99, limited)).jobs).toHaveLength(2);
    await q.setRateLimit(undefined);
    expect((await take(99, limited)).jobs).toEqual([]);
    expect((await take()).jobs).toHaveLength(3);
  });

  it('written by somebody else limits nothing where it is none', async () => {
    await redis.client.hset('rq:limits:default', 'rate', 'many');
    await put(3);
    expect((await take()).jobs).toHaveLength(3);
    expect(await q.getRateLimit()).toBeUndefined();
  });

  it('that is reached on a queue whose list is no list costs no other queue anything', async () => {
    await using other = new Queue('other', { connection: redis.url });
    await q.setRateLimit('1/m');
    await put(1);
    await take();
    await redis.client.set('rq:queue:default', 'x');
    await put(1, other);
    expect((await take()).jobs).toHaveLength(1);
  });
});

describe('a worker', () => {
  it('goes on with a burst until jobs that wait for their rate have run, and not for a pause', async () => {
    await using other = new Queue('other', { connection: redis.url });
    await other.pause();
    await put(1, other);
    await q.setRateLimit('2/500ms');
    await put(5);
    const began = performance.now();
    await makeWorker({ nothing }, { concurrency: 5 }, ['default', 'other']).work({ burst: true });
    expect(performance.now() - began).toBeGreaterThan(1000);
    expect(await q.finishedRegistry.count()).toBe(5);
    expect(await other.count()).toBe(1);
  });

  it('hears within a second that a rate was raised', async () => {
    await q.setRateLimit('1/h');
    await put(3);
    void makeWorker({ nothing }, {}, 'default').work();
    await expect.poll(() => q.finishedRegistry.count(), soon).toBe(1);
    const began = performance.now();
    await q.setRateLimit('3/h');
    await expect.poll(() => q.finishedRegistry.count(), soon).toBe(3);
    // and not at its next look at claims, after 15 s
    expect(performance.now() - began).toBeLessThan(5000);
  });

  it('loses nothing that it took while queues were paused under it', async () => {
    await using other = new Queue('other', { connection: redis.url });
    let ran = 0;
    const workers = [1, 2].map(() =>
      makeWorker({ nothing: () => void ran++ }, { concurrency: 3 }, ['default', 'other']),
    );
    for (const worker of workers) void worker.work();
    let jobs = 0;
    for (let i = 0; i < 20; i++) {
      const paused = i % 2 === 0 ? q : other;
      await Promise.all([paused.pause(), put(3), put(2, other)]);
      jobs += 5;
      await paused.resume();
    }
    await expect.poll(() => ran, { timeout: 15_000 }).toBe(jobs);
    expect(await redis.client.keys('rq:*claims*')).toEqual([]);
  });

  it('that is idle asks Redis five times a second at most, paused or limited', async () => {
    await using other = new Queue('other', { connection: redis.url });
    await q.pause();
    await other.setRateLimit('1/h');
    await put(2);
    await put(2, other);
    const worker = new Worker(['default', 'other', 'third'], {
      connection: redis.url,
      functions: { nothing },
    });
    const working = worker.work();
    await expect.poll(() => other.finishedRegistry.count(), soon).toBe(1);
    await redis.client.config('RESETSTAT');
    const began = performance.now();
    // long enough that what comes once, or falls on an edge, weighs little
    await expect.poll(() => performance.now() - began).toBeGreaterThan(5000);
    const stats = await redis.client.info('commandstats');
    const seconds = (performance.now() - began) / 1000;
    // what is asked over the wire; what scripts call inside is counted too, but by other names
    const calls = [...stats.matchAll(/^cmdstat_(evalsha|eval|blmove|info|client\S+):calls=(\d+)/gm)];
    const sum = calls.reduce((all, [, , n]) => all + Number(n), 0);
    expect(sum).toBeGreaterThan(0);
    expect(sum / seconds).toBeLessThanOrEqual(5);
    await worker.stop();
    await working;
  });

  it('says that a queue can’t be counted whose starts are no sorted set', async () => {
    const worker = makeWorker({ nothing }, {}, 'default');
    const errors: string[] = [];
    worker.on('error', error => errors.push(error.message));
    await q.setRateLimit('100/m');
    await redis.client.set('rq:starts:default', 'x');
    await put(1);
    void worker.work();
    await expect
      .poll(() => errors, soon)
      .toEqual([expect.stringContaining('queue default has the wrong type')]);
    expect(await q.count()).toBe(1);
    await redis.client.del('rq:starts:default');
    await expect.poll(() => q.finishedRegistry.count(), soon).toBe(1);
  });
});
