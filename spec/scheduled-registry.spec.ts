/** What a queue's scheduled registry lists, and how it changes what is due. */
import { describe, expect, it } from 'vitest';
import { InvalidJobOperationError, NoSuchJobError } from '../lib/index.ts';
import { useQueue, useRedis, useWorkers } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const other = useQueue(redis, 'other');
const makeWorker = useWorkers(redis);

const fail = (): never => {
  throw new RangeError('on purpose');
};
const work = (): void => void makeWorker({ f: () => 1, fail }).work();
const at = (seconds: number): Date => new Date(Date.now() + seconds * 1000);
const put = (jobId: string, seconds = 3600, queue = q) => queue.enqueueAt(at(seconds), 'f', [], { jobId });
const registry = () => q.scheduledRegistry;

describe('ScheduledRegistry', () => {
  it('lists jobs in the order in which they are due, a part at a time', async () => {
    for (const [id, seconds] of Object.entries({ c: 300, a: 100, d: 400, b: 200 })) await put(id, seconds);
    await put('elsewhere', 1, other);
    expect(await registry().getJobIds()).toEqual(['a', 'b', 'c', 'd']);
    expect(await registry().getJobIds(1, 2)).toEqual(['b', 'c']);
    expect(await registry().count()).toBe(4);
    expect((await registry().get('b')).status).toBe('scheduled');
  });

  it('holds jobs that wait for a retry, or to be repeated', async () => {
    const retried = await q.enqueue('fail', [], { retry: { max: 1, interval: '1h' } });
    const repeated = await q.enqueue('f', [], { repeat: { times: 1, interval: '2h' } });
    work();
    await expect.poll(() => registry().getJobIds(), { timeout: 15_000 }).toEqual([retried.id, repeated.id]);
    const due = (await registry().getScheduledTime(retried.id))?.getTime() ?? 0;
    expect(due - Date.now()).toBeGreaterThan(3_590_000);
    expect(due - Date.now()).toBeLessThanOrEqual(3_601_000);
  });
});

describe('ScheduledRegistry.getScheduledTime', () => {
  it('gives the date, to the millisecond', async () => {
    const date = new Date(2_000_000_000_123);
    const { id } = await q.enqueueAt(date, 'f');
    expect(await registry().getScheduledTime(id)).toEqual(date);
  });

  it('gives nothing where the job is not scheduled on this queue', async () => {
    const { id } = await q.enqueue('f');
    await put('elsewhere', 100, other);
    for (const none of [id, 'elsewhere', 'unknown'])
      expect(await registry().getScheduledTime(none)).toBeUndefined();
  });

  it('refuses what is no id', async () => {
    await expect(registry().getScheduledTime('a b')).rejects.toThrow(TypeError);
  });
});

describe('ScheduledRegistry.schedule', () => {
  it('leaves a job of another queue alone', async () => {
    await put('elsewhere', 3600, other);
    const due = await redis.client.zscore('rq:scheduled:other', 'elsewhere');
    const call = registry().schedule('elsewhere', '1s');
    await expect(call).rejects.toThrow(InvalidJobOperationError);
    await expect(call).rejects.toThrow('it is on queue other');
    expect(await redis.client.zscore('rq:scheduled:other', 'elsewhere')).toBe(due);
  });

  it('changes when a job is due: to a date, or a time from now', async () => {
    await put('a');
    const date = new Date(2_000_000_000_000);
    await registry().schedule('a', date);
    expect(await registry().getScheduledTime('a')).toEqual(date);
    await registry().schedule('a', '2m');
    const due = (await registry().getScheduledTime('a'))?.getTime() ?? 0;
    expect(Math.abs(due - at(120).getTime())).toBeLessThan(20_000);
    expect(await registry().count()).toBe(1);
  });

  it('has a job run that was far away', async () => {
    const job = await put('a');
    work();
    await registry().schedule('a', new Date(0));
    expect(await job.wait({ timeout: 15 })).toBe(1);
  });

  it('refuses a job that is not scheduled, and changes nothing', async () => {
    await q.enqueue('f', [], { jobId: 'queued' });
    const canceled = await put('canceled');
    await canceled.cancel();
    for (const id of ['queued', 'canceled']) {
      const call = registry().schedule(id, '1s');
      await expect(call).rejects.toThrow(InvalidJobOperationError);
      await expect(call).rejects.toThrow(`Job ${id} can't be scheduled anew: it is ${id}`);
    }
    await expect(registry().schedule('unknown', '1s')).rejects.toThrow(NoSuchJobError);
    expect(await redis.client.exists('rq:scheduled:q')).toBe(0);
  });

  it.each(['tomorrow', -1, new Date(NaN), undefined])('refuses %s', async due => {
    await put('a');
    const before = await registry().getScheduledTime('a');
    await expect(registry().schedule('a', due as Date)).rejects.toThrow(/must be|invalid/);
    expect(await registry().getScheduledTime('a')).toEqual(before);
  });
});

describe('ScheduledRegistry.cancel and remove', () => {
  it('keep a job from running: the one leaves it canceled, the other nothing', async () => {
    await put('a');
    await put('b');
    await put('c');
    await registry().cancel('a');
    await registry().remove('b');
    expect(await registry().getJobIds()).toEqual(['c']);
    expect(await q.canceledRegistry.getJobIds()).toEqual(['a']);
    expect(await redis.client.hget('rq:job:a', 'status')).toBe('canceled');
    expect(await redis.client.exists('rq:job:b')).toBe(0);
  });

  it('refuse what is not scheduled on this queue', async () => {
    await q.enqueue('f', [], { jobId: 'queued' });
    await put('elsewhere', 100, other);
    for (const id of ['queued', 'elsewhere']) {
      await expect(registry().cancel(id)).rejects.toThrow(InvalidJobOperationError);
      await expect(registry().remove(id)).rejects.toThrow(InvalidJobOperationError);
    }
    await expect(registry().cancel('unknown')).rejects.toThrow(NoSuchJobError);
    expect(await other.scheduledRegistry.count()).toBe(1);
    expect(await q.count()).toBe(1);
  });
});
