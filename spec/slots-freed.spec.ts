/** Slots of a key: when they are free again, whatever became of their runs. */
import { describe, expect, it } from 'vitest';
import { Queue, type EnqueueOptions } from '../lib/index.ts';
import { useLink, useQueue, useRedis, useWorkerStore } from './support/in-process.ts';
import { ids, taken, useLimited } from './support/limited.ts';

const redis = useRedis();
const q = useQueue(redis);
const link = useLink(redis);
const store = useWorkerStore('default', 'other');
const { put, take, end, parked, traces } = useLimited(redis, q, link, store);

describe('a slot is free at once', () => {
  const full = async (options: EnqueueOptions = {}) => {
    const jobs = await put(3, options);
    const { jobs: runs } = await take();
    return { jobs, runs, next: jobs[2]?.id };
  };

  it('when the run’s job is canceled', async () => {
    const { jobs, next } = await full();
    await jobs[0]?.cancel();
    expect(taken(await take())).toEqual([next]);
  });

  it('when it is deleted', async () => {
    const { jobs, next } = await full();
    await jobs[0]?.delete();
    expect(taken(await take())).toEqual([next]);
    expect(await redis.client.scard('rq:slots:acme')).toBe(2);
  });

  it('when the run is given back; the job that waited longest goes before it', async () => {
    const { jobs, runs, next } = await full();
    expect(await store.giveBack(link.redis, runs.slice(0, 1))).toBe(1);
    expect(await redis.client.scard('rq:slots:acme')).toBe(1);
    const again = taken(await take());
    expect(again).toHaveLength(1);
    expect([jobs[0]?.id, next]).toContain(again[0]);
    expect(await parked()).toEqual([jobs[0]?.id, next].filter(id => id !== again[0]));
  });

  it('when the run fails and is to be repeated later', async () => {
    const { jobs, runs, next } = await full({ retry: { max: 1, interval: 60 } });
    const reply = await end(runs.slice(0, 1), 'failed');
    expect(reply.answers).toEqual(['scheduled']);
    expect(taken(reply)).toEqual([next]);
    expect(await jobs[0]?.getStatus()).toBe('scheduled');
  });

  it('when what a run came to is refused', async () => {
    const { jobs, runs, next } = await full();
    // as RQ cancels: it knows of no slots
    await redis.client.hset(`rq:job:${jobs[0]?.id}`, 'status', 'canceled');
    const reply = await end(runs.slice(0, 1));
    expect(reply.answers).toEqual(['refused']);
    expect(taken(reply)).toEqual([next]);
  });
});

describe('the sweep', () => {
  it('frees the slots of a lost run, and recovers its job', async () => {
    const jobs = ids(await put(3));
    const { jobs: runs } = await take();
    for (const { jobId, executionId } of runs)
      await redis.client.zadd('rq:wip:default', 1, `${jobId}:${executionId}`);
    const { recovered } = await store.sweep(link.redis, 0, false);
    expect(recovered.toSorted()).toEqual(jobs.slice(0, 2).toSorted());
    expect(await redis.client.exists('rq:slots:acme')).toBe(0);
    expect(taken(await take())).toHaveLength(2);
  });

  it('frees what RQ ended without a word, for each key there is', async () => {
    for (let i = 0; i < 250; i++) {
      await redis.client.sadd(`rq:slots:k${i}`, 'gone:n1');
      await put(1, { limit: { key: `k${i}`, concurrency: 1 } });
    }
    while ((await take()).more === 'yes');
    expect(await q.parkedRegistry.count()).toBe(250);
    expect((await store.sweep(link.redis, 0, false)).more).toBe(true);
    expect((await store.sweep(link.redis, 0, true)).more).toBe(false);
    expect(await q.parkedRegistry.count()).toBe(0);
    expect(await q.count()).toBe(250);
    expect(await traces()).toEqual([]);
  });

  it('frees a slot past its lease, though nobody sweeps its queue', async () => {
    await using other = new Queue('other', { connection: redis.url });
    await put(2, {}, other);
    const [mine] = await put(1);
    const { jobs: runs } = await take();
    expect(runs.map(({ place }) => place)).toEqual([0, 1]);
    const [, theirs] = runs;
    await put(2);
    await take();
    await redis.client.zadd('rq:wip:other', 1, `${theirs?.jobId}:${theirs?.executionId}`);
    expect(await q.parkedRegistry.count()).toBe(2);
    await store.sweep(link.redis, 0, false);
    expect(await redis.client.smembers('rq:slots:acme')).toEqual([`${mine?.id}:${runs[0]?.executionId}`]);
  });

  it('looks at a key once a round, and leaves those alone whose slots are taken', async () => {
    await put(5);
    await take();
    await store.sweep(link.redis, 0, false);
    expect(await parked()).toHaveLength(3);
    const [, at] = await redis.client.zrange('rq:parked', '0', '-1', 'WITHSCORES');
    expect(Number(at)).toBeGreaterThan(Date.now() / 1000 - 60);
    await redis.client.del('rq:slots:acme');
    await store.sweep(link.redis, 1, false);
    expect(await parked()).toHaveLength(3);
    await redis.client.zadd('rq:parked', 0, 'acme');
    await store.sweep(link.redis, 1, true);
    expect(await parked()).toHaveLength(1);
    expect(await q.count()).toBe(2);
  });

  it('lets no queue that can’t be used hold up the key’s other jobs', async () => {
    await using other = new Queue('other', { connection: redis.url });
    const [mine, theirs] = [await put(3), await put(1, {}, other)];
    await take();
    await redis.client.set('rq:queue:default', 'x');
    await redis.client.del('rq:slots:acme');
    await store.sweep(link.redis, 1, false);
    expect(await parked()).toEqual(ids(mine.slice(2)));
    expect(await other.getJobIds()).toEqual(ids(theirs));
  });
});

describe('Python, which knows of no limits', () => {
  it('runs a job that came back, and loses none that is parked', async () => {
    const jobs = ids(await put(4));
    const { jobs: runs } = await take();
    await end(runs.slice(0, 1));
    // as RQ claims and ends it, beside two of ours
    const [theirs] = jobs.slice(3);
    await redis.client.zrem('rq:parked:acme', theirs ?? '');
    await redis.client.hset(`rq:job:${theirs}`, { status: 'finished', worker_name: 'python' });
    expect(await q.parkedRegistry.getJobIds()).toEqual([theirs]);
    await store.sweep(link.redis, 0, false);
    expect(await q.parkedRegistry.count()).toBe(0);
  });
});
