/** What can be read of a queue's list, and how it is emptied. */
import { describe, expect, it } from 'vitest';
import { Queue } from '../lib/queue.ts';
import { useQueue, useRedis } from './support/in-process.ts';
import { add } from './support/tasks.js';

const redis = useRedis();
const q = useQueue(redis);

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
const list = (name = 'default'): Promise<string[]> => redis.client.lrange(`rq:queue:${name}`, 0, -1);
const ids = (jobs: readonly { readonly id: string }[]): string[] => jobs.map(({ id }) => id);

describe('Queue.fetchJob', () => {
  it('gives undefined for an id that does not exist', async () => {
    expect(await q.fetchJob('missing')).toBeUndefined();
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('finds a job of another queue', async () => {
    await using other = new Queue('other', { connection: redis.url });
    const { id } = await other.enqueue(add, [1, 2]);
    expect((await q.fetchJob(id))?.origin).toBe('other');
  });
});

describe('Queue.getJobIds', () => {
  it('gives the waiting ids, next one first, from offset, at most limit', async () => {
    const all = ids(await q.enqueueMany(Array.from({ length: 5 }, (_, i) => [add, [i, 0]] as const)));
    expect(await q.getJobIds()).toEqual(all);
    expect(await q.getJobIds(1)).toEqual(all.slice(1));
    expect(await q.getJobIds(1, 2)).toEqual(all.slice(1, 3));
    expect(await q.getJobIds(0, 0)).toEqual([]);
    expect(await q.getJobIds(4, 100)).toEqual(all.slice(4));
    expect(await q.getJobIds(5)).toEqual([]);
  });

  it('gives none for a queue that was never used', async () => {
    expect(await new Queue('never', { connection: redis.client }).getJobIds()).toEqual([]);
  });
});

describe('Queue.getJobs', () => {
  it('gives the waiting jobs, next one first, from offset, at most limit', async () => {
    await q.enqueueMany(Array.from({ length: 4 }, (_, i) => [add, [i, 0]] as const));
    expect((await q.getJobs()).map(({ args }) => args[0])).toEqual([0, 1, 2, 3]);
    expect((await q.getJobs(1, 2)).map(({ args }) => args[0])).toEqual([1, 2]);
  });

  it('leaves out what expired meanwhile', async () => {
    const [first, second] = await q.enqueueMany([
      [add, [1, 0]],
      [add, [2, 0]],
    ]);
    await redis.client.del(`rq:job:${first.id}`);
    expect(ids(await q.getJobs())).toEqual([second.id]);
  });
});

describe('Queue.count', () => {
  it('counts the waiting jobs', async () => {
    expect(await q.count()).toBe(0);
    await q.enqueueMany([
      [add, [1, 0]],
      [add, [2, 0]],
    ]);
    expect(await q.count()).toBe(2);
  });
});

describe('Queue.empty', () => {
  it('deletes 2,500 waiting jobs and answers how many', async () => {
    await q.enqueueMany(Array.from({ length: 2500 }, (_, i) => [add, [i, 0]] as const));
    expect(await q.empty()).toBe(2500);
    expect(await redis.client.keys('*')).toEqual(['rq:queues']);
  });

  it('leaves jobs that run or have ended, here and on other queues', async () => {
    await using other = new Queue('other', { connection: redis.url });
    const stays = await other.enqueue(add, [0, 0]);
    const kept = ['started', 'finished', 'failed', 'stopped', 'canceled'];
    for (const status of kept)
      await redis.client.hset(`rq:job:${status}`, { status, origin: 'default', data: '["f",null,[],{}]' });
    await redis.client.zadd('rq:wip:default', 9e9, `started:n${'0'.repeat(31)}`);
    const { id } = await q.enqueue(add, [1, 0]);
    expect(await q.empty()).toBe(1);
    expect(await hash(id)).toEqual({});
    for (const status of kept) expect(await hash(status)).toMatchObject({ status });
    expect(await redis.client.zcard('rq:wip:default')).toBe(1);
    expect(await list('other')).toEqual([stays.id]);
  });

  it('leaves the hash of a listed job that is not waiting any more', async () => {
    await q.enqueue(add, [1, 0], { jobId: 'a' });
    await redis.client.hset('rq:job:a', 'status', 'started');
    expect(await q.empty()).toBe(0);
    expect(await list()).toEqual([]);
    expect(await hash('a')).toMatchObject({ status: 'started' });
  });

  it('answers 0 for an empty queue', async () => {
    expect(await q.empty()).toBe(0);
  });
});

describe('Queue.delete', () => {
  it('deletes the waiting jobs and the queue’s name', async () => {
    const { id } = await q.enqueue(add, [1, 0]);
    await q.delete();
    expect(await redis.client.exists(`rq:job:${id}`, 'rq:queue:default', 'rq:queues')).toBe(0);
  });

  it('leaves a queue that can be used again', async () => {
    await q.enqueue(add, [1, 0]);
    await q.delete();
    const { id } = await q.enqueue(add, [2, 0]);
    expect(await list()).toEqual([id]);
    expect(await redis.client.smembers('rq:queues')).toEqual(['rq:queue:default']);
  });
});
