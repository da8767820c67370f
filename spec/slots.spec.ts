/** Jobs that share the slots of a key: who waits aside, and what becomes of them. */
import { describe, expect, it } from 'vitest';
import { Queue, type EnqueueOptions, type Job } from '../lib/index.ts';
import type { AdvanceReply } from '../lib/advance.ts';
import { useLink, useQueue, useRedis, useWorkerStore, workOff } from './support/in-process.ts';
import { ids, limit, taken, useLimited } from './support/limited.ts';

const redis = useRedis();
const q = useQueue(redis);
const link = useLink(redis);
const store = useWorkerStore('default', 'other');
const { put, take, end, parked, traces } = useLimited(redis, q, link, store);

describe('a job whose key is full', () => {
  it('is parked aside, in the order of its queue, and seen there', async () => {
    const jobs = ids(await put(5));
    const reply = await take();
    expect(taken(reply)).toEqual(jobs.slice(0, 2));
    expect(reply).toMatchObject({ more: 'no', dropped: [] });
    expect(await q.count()).toBe(0);
    expect(await q.getJobIds()).toEqual([]);
    expect(await q.parkedRegistry.count()).toBe(3);
    expect(await q.parkedRegistry.getJobIds()).toEqual(jobs.slice(2));
    expect(await q.parkedRegistry.getJobIds(1, 1)).toEqual([jobs[3]]);
    expect(await (await q.fetchJob(jobs[2] ?? ''))?.getStatus()).toBe('queued');
    expect((await redis.client.smembers('rq:slots:acme')).toSorted()).toEqual(
      reply.jobs.map(({ jobId, executionId }) => `${jobId}:${executionId}`).toSorted(),
    );
  });

  it('comes back when a run of the key ends, first come, first served, and leaves no key behind', async () => {
    const jobs = ids(await put(5));
    let reply = await take();
    const order = taken(reply);
    while (reply.jobs.length > 0) {
      reply = await end(reply.jobs.slice(0, 1));
      order.push(...taken(reply));
      if (order.length === 5) break;
    }
    expect(order).toEqual(jobs);
    expect(await q.parkedRegistry.count()).toBe(0);
    await workOff(redis);
  });

  it('keeps its place when it asks in vain', async () => {
    const jobs = ids(await put(6));
    await take();
    // as a sweep does that finds more free than there are
    for (const id of jobs.slice(2, 5)) {
      await redis.client.zrem('rq:parked:acme', id);
      await redis.client.lpush('rq:queue:default', id);
    }
    expect(taken(await take())).toEqual([]);
    expect(await parked()).toEqual(jobs.slice(2));
    expect(await q.parkedRegistry.getJobIds()).toEqual(jobs.slice(2));
  });

  it('waits with those of other queues in one line', async () => {
    await using other = new Queue('other', { connection: redis.url });
    const [first, second] = [await put(3), await put(1, {}, other)];
    const reply = await take();
    expect(await parked()).toEqual(ids([...first.slice(2), ...second]));
    expect(await other.parkedRegistry.getJobIds()).toEqual(ids(second));
    expect(taken(await end(reply.jobs))).toEqual(ids([...first.slice(2), ...second]));
    expect(await redis.client.zcard('rq:parked')).toBe(0);
  });

  it('lets jobs of other keys, and of none, pass', async () => {
    await put(4);
    const [free] = await put(1, { limit: { key: 'other', concurrency: 1 } });
    const plain = await q.enqueue('nothing');
    expect(taken(await take()).slice(2)).toEqual([free?.id, plain.id]);
  });

  it('is judged by its own number, where jobs of a key differ', async () => {
    const [one] = await put(1, { limit: { key: 'acme', concurrency: 1 } });
    const [two, three] = await put(2);
    const reply = await take();
    expect(taken(reply)).toEqual([one?.id, two?.id]);
    expect(await parked()).toEqual([three?.id]);
    expect(taken(await end(reply.jobs))).toEqual([three?.id]);
  });

  it('runs without a limit where somebody wrote one that is none', async () => {
    const wrong = ['', 'x', '0', '-1', '1.5', 'nan', 'inf', '0x1'];
    const jobs = await put(wrong.length + 1);
    for (const [i, concurrency] of wrong.entries())
      await redis.client.hset(`rq:job:${jobs[i]?.id}`, 'limit_concurrency', concurrency);
    await redis.client.hset(`rq:job:${jobs.at(-1)?.id}`, 'limit_key', '');
    expect(taken(await take())).toEqual(ids(jobs));
    expect(await traces()).toEqual([]);
  });
});

describe('a parked job', () => {
  async function three(options: EnqueueOptions = {}): Promise<{ jobs: Job[]; runs: AdvanceReply['jobs'] }> {
    const jobs = await put(5, options);
    const { jobs: runs } = await take();
    expect(await parked()).toEqual(ids(jobs.slice(2)));
    return { jobs: jobs.slice(2), runs };
  }

  it('that is canceled is out of the line, and moves nobody', async () => {
    const { jobs, runs } = await three();
    await jobs[0]?.cancel();
    expect(await jobs[0]?.getStatus()).toBe('canceled');
    expect(await parked()).toEqual(ids(jobs.slice(1)));
    expect(await q.parkedRegistry.count()).toBe(2);
    expect(await q.count()).toBe(0);
    expect(taken(await end(runs))).toEqual(ids(jobs.slice(1)));
  });

  it('that is canceled and queued again stands in one place', async () => {
    const { jobs } = await three();
    await jobs[0]?.cancel();
    await jobs[0]?.requeue();
    expect(await q.getJobIds()).toEqual(ids(jobs.slice(0, 1)));
    await take();
    // behind those that were queued before it
    expect(await parked()).toEqual(ids([...jobs.slice(1), ...jobs.slice(0, 1)]));
    expect(await q.count()).toBe(0);
  });

  it('that is deleted leaves nothing behind', async () => {
    const { jobs, runs } = await three();
    for (const job of jobs) await job.delete();
    expect(await q.parkedRegistry.count()).toBe(0);
    expect(await redis.client.exists('rq:parked:acme', 'rq:parked', 'rq:aside:default')).toBe(0);
    await end(runs);
    expect(await traces()).toEqual([]);
  });

  it('is queued: it is not stopped, and not queued again', async () => {
    const { jobs } = await three();
    await expect(jobs[0]?.stop()).rejects.toMatchObject({ code: 'RQ_INVALID_JOB_OPERATION' });
    await jobs[0]?.requeue();
    expect(await parked()).toEqual(ids(jobs));
  });

  it('is removed through its registry, and only such a one', async () => {
    const { jobs } = await three();
    const free = await q.enqueue('nothing');
    await q.parkedRegistry.remove(jobs[1]?.id ?? '');
    expect(await parked()).toEqual([jobs[0]?.id, jobs[2]?.id]);
    await expect(q.parkedRegistry.remove(free.id)).rejects.toMatchObject({
      code: 'RQ_INVALID_JOB_OPERATION',
      message: expect.stringContaining('is not in the parked registry: it is queued on queue default'),
    });
  });

  it('that expires is passed over, and forgotten by the next sweep', async () => {
    const { jobs, runs } = await three({ ttl: 60 });
    await redis.client.pexpire(`rq:job:${jobs[0]?.id}`, 1);
    await expect.poll(() => redis.client.exists(`rq:job:${jobs[0]?.id}`)).toBe(0);
    expect(taken(await end(runs.slice(0, 1)))).toEqual([jobs[1]?.id]);
    expect(await parked()).toEqual([jobs[2]?.id]);
    await store.sweep(link.redis, 0, false);
    expect(await q.parkedRegistry.getJobIds()).toEqual([jobs[2]?.id]);
  });

  it('goes with its queue: empty() and delete() take it away, and nobody else’s', async () => {
    await using other = new Queue('other', { connection: redis.url });
    const [mine, theirs, runs] = [await put(4), await put(1, {}, other), await take()];
    const waiting = await q.enqueue('nothing');
    expect(await q.empty()).toBe(3);
    expect(await parked()).toEqual(ids(theirs));
    for (const id of ids([waiting, ...mine.slice(2)])) expect(await q.fetchJob(id)).toBeUndefined();
    await other.delete();
    expect(await redis.client.smembers('rq:queues')).toEqual(['rq:queue:default']);
    expect(taken(await end(runs.jobs))).toEqual([]);
    expect(await traces()).toEqual([]);
    expect(await redis.client.smembers('rq:queues')).toEqual(['rq:queue:default']);
  });

  it('of more than a script’s worth goes with empty() all the same', async () => {
    for (let i = 0; i < 15; i++) await put(100);
    await redis.client.sadd('rq:slots:acme', 'x:n1', 'y:n1');
    while ((await take(500)).more === 'yes');
    expect(await q.parkedRegistry.count()).toBe(1500);
    expect(await q.empty()).toBe(1500);
    expect((await traces()).filter(key => !key.includes('slots'))).toEqual([]);
    expect(await redis.client.keys('rq:job:*')).toEqual([]);
  });
});

describe('the option limit', () => {
  it('is two fields of the job, from its call, or from its task', async () => {
    const mine = q.task(() => 1, { name: 'mine', limit });
    const own = { key: 'own.key_1-', concurrency: 7 };
    const jobs = [await mine.delay(), await q.enqueue(mine, [], { limit: own }), await q.enqueue('plain')];
    const held = jobs.map(({ id }) => redis.client.hmget(`rq:job:${id}`, 'limit_key', 'limit_concurrency'));
    expect(await Promise.all(held)).toEqual([
      ['acme', '2'],
      ['own.key_1-', '7'],
      [null, null],
    ]);
  });

  it.each([
    { key: 'acme' },
    { concurrency: 1 },
    { key: 'a b', concurrency: 1 },
    { key: 'acme', concurrency: 0 },
  ])('is refused by a task at once where it is %j', wrong => {
    expect(() => q.task(() => 1, { name: 'mine', limit: wrong as never })).toThrow(
      /limit\.(key|concurrency) must/,
    );
  });
});

describe('Queue with isAsync: false', () => {
  it('runs a job at once, paused or limited or not', async () => {
    await using now = new Queue('default', { connection: redis.url, isAsync: false });
    await now.pause();
    await now.setRateLimit('1/d');
    await redis.client.sadd('rq:slots:acme', 'x:n1', 'y:n1');
    for (let i = 0; i < 2; i++) {
      const job = await now.enqueue(() => 7, [], { limit }).catch(() => undefined);
      expect(job).toBeUndefined();
      const named = await now.enqueue(
        function seven() {
          return 7;
        },
        [],
        { limit },
      );
      expect(await named.result).toBe(7);
    }
    expect(await redis.client.smembers('rq:slots:acme')).toHaveLength(2);
    expect(await redis.client.keys('rq:*claims*')).toEqual([]);
    expect(await redis.client.exists('rq:starts:default', 'rq:parked')).toBe(0);
  });
});
