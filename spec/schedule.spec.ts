/** Jobs that wait for their time: how they are put there, and when they run. */
import { once } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { DuplicateJobError, InvalidJobOperationError } from '../lib/index.ts';
import { useQueue, useRedis, useWorkers } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);
afterEach(() => vi.useRealTimers());

const add = (x: number, y: number): number => x + y;
const work = (): void => void makeWorker({ add, f: () => 1 }).work();
const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
const score = async (id: string): Promise<number> => Number(await redis.client.zscore('rq:scheduled:q', id));
const redisTime = async (): Promise<number> => {
  const [seconds, micros] = await redis.client.time();
  return Number(seconds) + Number(micros) / 1e6;
};
const inAnHour = (): Date => new Date(Date.now() + 3_600_000);

describe('Queue.enqueueAt', () => {
  it('stores the job, and when it is due, to the millisecond', async () => {
    const date = new Date(Date.now() + 3_600_123);
    const job = await q.enqueueAt(date, add, [1, 2], { timeout: 60 });
    expect(job.status).toBe('scheduled');
    expect(await score(job.id)).toBe(date.getTime() / 1000);
    expect(await hash(job.id)).toMatchObject({
      status: 'scheduled',
      origin: 'q',
      data: '["add",null,[1,2],{}]',
      description: 'add(1, 2)',
      timeout: '60',
    });
    expect(await q.count()).toBe(0);
    expect(await redis.client.smembers('rq:queues')).toEqual(['rq:queue:q']);
    expect(await job.result).toBeUndefined();
  });

  it('runs a job whose time is over at once, and one of the future no sooner', async () => {
    const worker = makeWorker({ add });
    void worker.work();
    await once(worker, 'cleaning');
    // far enough for a busy machine to run the one of the past before
    const due = Date.now() + 4_000;
    const [past, future, later] = await Promise.all([
      q.enqueueAt(new Date(0), add, [1, 2]),
      q.enqueueAt(new Date(due), add, [3, 4]),
      q.enqueueAt(inAnHour(), add, [5, 6]),
    ]);
    expect(await past.wait({ timeout: 15 })).toBe(3);
    expect(Date.now()).toBeLessThan(due);
    expect(await future.wait({ timeout: 15 })).toBe(7);
    expect((await future.refresh()).startedAt?.getTime()).toBeGreaterThanOrEqual(due);
    expect(await later.getStatus()).toBe('scheduled');
    expect(await q.scheduledRegistry.getJobIds()).toEqual([later.id]);
  });

  it('takes a date of before 1970', async () => {
    const job = await q.enqueueAt(new Date(-1), add, [1, 2]);
    expect(await score(job.id)).toBe(-0.001);
    work();
    expect(await job.wait({ timeout: 15 })).toBe(3);
  });

  it.each<[string, unknown, string]>([
    ['a text', '2030-01-01', 'not "2030-01-01"'],
    ['a number', 1_900_000_000, 'not 1900000000'],
    ['nothing', undefined, 'not undefined'],
    ['what looks like a date', { getTime: () => 1 }, 'not '],
  ])('refuses %s', async (_, date, said) => {
    const call = q.enqueueAt(date as Date, add, [1, 2]);
    await expect(call).rejects.toThrow(TypeError);
    await expect(call).rejects.toThrow(said);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('refuses an invalid date', async () => {
    await expect(q.enqueueAt(new Date('soon'), add, [1, 2])).rejects.toThrow(RangeError);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('refuses a job that waits for others as well, and names them', async () => {
    const other = await q.enqueue(add, [1, 2]);
    const taking = q.enqueueAt(inAnHour(), add, [other, 2]);
    await expect(taking).rejects.toThrow(TypeError);
    await expect(taking).rejects.toThrow(other.id);
    await expect(q.enqueueIn('1h', add, [1, 2], { dependsOn: other })).rejects.toThrow(other.id);
    expect(await q.scheduledRegistry.count()).toBe(0);
  });

  it('refuses an id that is scheduled, and replaces what has ended', async () => {
    const job = await q.enqueueAt(inAnHour(), add, [1, 2], { jobId: 'own' });
    const again = q.enqueueAt(inAnHour(), add, [3, 4], { jobId: 'own' });
    await expect(again).rejects.toThrow(DuplicateJobError);
    await expect(again).rejects.toMatchObject({ status: 'scheduled' });
    await job.cancel();
    await q.enqueueAt(inAnHour(), add, [5, 6], { jobId: 'own' });
    expect((await hash('own'))['data']).toBe('["add",null,[5,6],{}]');
    expect(await q.canceledRegistry.count()).toBe(0);
    expect(await q.scheduledRegistry.getJobIds()).toEqual(['own']);
  });
});

describe('Queue.enqueueIn', () => {
  it('counts by the clock of Redis, whatever this process takes the time for', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 86_400_000 });
    const job = await q.enqueueIn('90s', add, [1, 2]);
    const wait = (await score(job.id)) - (await redisTime());
    expect(wait).toBeGreaterThan(80);
    expect(wait).toBeLessThanOrEqual(90);
  });

  it.each<[string | number, number]>([
    ['500ms', 0.5],
    [30, 30],
    ['2d', 172_800],
    [0, 0],
  ])('takes %s', async (wait, seconds) => {
    const before = await redisTime();
    const job = await q.enqueueIn(wait, add, [1, 2]);
    const due = await score(job.id);
    expect(due).toBeGreaterThanOrEqual(before + seconds - 0.001);
    expect(due).toBeLessThanOrEqual((await redisTime()) + seconds + 0.001);
  });

  it.each([-1, '-1', 'soon', NaN, Infinity, '11y', new Date()])('refuses %s', async wait => {
    await expect(q.enqueueIn(wait as string, add, [1, 2])).rejects.toThrow(/The time to wait must be/);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('has ttl and atFront count from when it is due', async () => {
    await redis.client.set('rq:suspended', '1');
    const waiting = await q.enqueue('f');
    const job = await q.enqueueIn('300ms', 'f', [], { ttl: 600, atFront: true });
    expect(await redis.client.ttl(`rq:job:${job.id}`)).toBe(-1);
    work();
    await expect.poll(() => q.getJobIds(), { timeout: 10_000 }).toEqual([job.id, waiting.id]);
    expect(await redis.client.ttl(`rq:job:${job.id}`)).toBeGreaterThan(590);
    expect(await hash(job.id)).toMatchObject({ status: 'queued' });
  });
});

describe('a scheduled job', () => {
  it('can be waited for, and tells its statuses', async () => {
    const job = await q.enqueueIn('200ms', add, [20, 22]);
    const seen: string[] = [];
    // who follows has to hear of it before it is queued
    for await (const { status } of job.statuses()) if (seen.push(status) === 1) work();
    expect(seen).toEqual(['scheduled', 'queued', 'started', 'finished']);
    expect(await job.result).toBe(42);
  });

  it('can’t be requeued, and is canceled or deleted for good', async () => {
    const [a, b] = [await q.enqueueIn('300ms', 'f'), await q.enqueueIn('300ms', 'f')];
    await expect(a.requeue()).rejects.toThrow(InvalidJobOperationError);
    await a.cancel();
    await b.delete();
    const last = await q.enqueueIn('600ms', 'f');
    work();
    expect(await last.wait({ timeout: 15 })).toBe(1);
    expect(await a.getStatus()).toBe('canceled');
    expect((await hash(a.id))['started_at']).toBeUndefined();
    expect(await redis.client.exists(`rq:job:${b.id}`)).toBe(0);
    expect(await redis.client.exists('rq:scheduled:q')).toBe(0);
  });
});
