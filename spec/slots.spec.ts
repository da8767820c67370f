/** Jobs that share the slots of a key: who waits aside, and what becomes of them. */
import { describe, expect, it } from 'vitest';
import { Queue, type EnqueueOptions, type Job } from '../lib/index.ts';
import type { AdvanceReply } from '../lib/worker-store.ts';
import { useLink, useQueue, useRedis, useWorkerStore, workOff } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);
const link = useLink(redis);
const store = useWorkerStore('default', 'other');

const limit = { key: 'acme', concurrency: 2 };

function put(count: number, options: EnqueueOptions = {}, queue: Queue = q): Promise<Job[]> {
  return queue.enqueueMany(
    Array.from({ length: count }, () => ['nothing', [], { limit, ...options }] as const),
  );
}
const take = (want: number = 9): Promise<AdvanceReply> =>
  store.advance(link.redis, { handIns: [], want, claims: new Set(), strategy: 'default' });
/** Hands in the end of runs, and takes as many. */
function end(jobs: AdvanceReply['jobs'], status: 'finished' | 'failed' = 'finished'): Promise<AdvanceReply> {
  const common = {
    status,
    ttl: 60,
    text: '1',
    stream: '',
    publish: false,
    again: status === 'failed' ? 'plan' : '',
  };
  const handIns = jobs.map(({ place, jobId, executionId }) => ({
    place,
    jobId,
    executionId,
    ended: { ...common, shares: 'acme' } as const,
    seconds: 1,
  }));
  return store.advance(link.redis, { handIns, want: jobs.length, claims: new Set(), strategy: 'default' });
}
const ids = (jobs: readonly { readonly id: string }[]): string[] => jobs.map(({ id }) => id);
const taken = ({ jobs }: AdvanceReply): string[] => jobs.map(({ jobId }) => jobId);
const parked = (): Promise<string[]> => redis.client.zrange('rq:parked:acme', '0', '-1');
const traces = (): Promise<string[]> =>
  redis.client.keys('rq:*').then(keys => keys.filter(key => /slots|parked|aside/.test(key)));

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
    const jobs = await put(4);
    for (const [i, concurrency] of ['', 'x', '0'].entries())
      await redis.client.hset(`rq:job:${jobs[i]?.id}`, 'limit_concurrency', concurrency);
    await redis.client.hset(`rq:job:${jobs[3]?.id}`, 'limit_key', '');
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
