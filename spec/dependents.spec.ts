/** What becomes of the jobs that wait for one that is canceled, deleted, gone, or comes back. */
import { describe, expect, it } from 'vitest';
import type { CancelOptions, Job } from '../lib/index.ts';
import { Keys } from '../lib/keys.ts';
import { WorkerStore } from '../lib/worker-store.ts';
import { add, echo, fail, useFollowing } from './support/following.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);
const other = useQueue(redis, 'other');
const { work, hash, status, dependents, finish, lookAround } = useFollowing(redis);

/** `a`, one job that waits for it, one that takes its result, on another queue, and one that waits for both. */
async function family(): Promise<[a: Job, waits: Job, takes: Job, last: Job]> {
  const a = await q.enqueue(add, [1, 2], { jobId: 'a' });
  const waits = await q.enqueue(add, [3, 4], { jobId: 'waits', dependsOn: a });
  const takes = await other.enqueue(add, [a, 1], { jobId: 'takes' });
  const last = await q.enqueue(add, [takes, 1], { jobId: 'last', dependsOn: waits });
  return [a, waits, takes, last];
}
const statuses = (jobs: readonly Job[]): Promise<(string | null)[]> =>
  Promise.all(jobs.map(({ id }) => status(id)));
const workAll = (functions = {}): Promise<void> => work(functions, ['default', 'other']);

describe('Job.getDependentIds', () => {
  it('gives the jobs that wait for it, on whatever queue', async () => {
    const [a, , takes] = await family();
    expect((await a.getDependentIds()).toSorted()).toEqual(['takes', 'waits']);
    expect(await takes.getDependentIds()).toEqual(['last']);
    await workAll();
    expect(await a.getDependentIds()).toEqual([]);
  });

  it('gives those that are on the way to their queue as well', async () => {
    const [a] = await family();
    await a.delete();
    expect(await dependents('a')).toEqual([]);
    expect((await a.getDependentIds()).toSorted()).toEqual(['takes', 'waits']);
  });
});

describe('Job.cancel of a dependency', () => {
  it('leaves what waits for it waiting, and has it say so', async () => {
    const all = await family();
    await all[0].cancel();
    expect(await statuses(all)).toEqual(['canceled', 'deferred', 'deferred', 'deferred']);
    for (const job of all.slice(1))
      await expect(job.wait({ timeout: 10 })).rejects.toMatchObject({
        code: 'RQ_DEPENDENCY_FAILED',
        dependencyId: 'a',
        status: 'canceled',
      });
    await all[0].requeue();
    await workAll();
    expect(await statuses(all)).toEqual(['finished', 'finished', 'finished', 'finished']);
    expect(await all[3].result).toBe(5);
  });

  it('with enqueueDependents has them wait no longer; one that takes its result fails', async () => {
    const all = await family();
    await all[0].cancel({ enqueueDependents: true });
    await lookAround();
    expect(await statuses(all)).toEqual(['canceled', 'queued', 'queued', 'deferred']);
    expect([await q.getJobIds(), await other.getJobIds()]).toEqual([['waits'], ['takes']]);
    await workAll();
    expect(await statuses(all)).toEqual(['canceled', 'finished', 'failed', 'deferred']);
    await expect(all[2].result).rejects.toMatchObject({
      remote: { name: 'DependencyFailedError', message: 'Job takes needs job a, which is canceled' },
    });
    expect(await redis.client.keys('rq:releasing*')).toEqual([]);
  });

  it('with enqueueDependents releases them through a running worker', async () => {
    const [a, waits] = await family();
    await other.enqueue('keep');
    await work(
      {
        keep: async () => {
          await q.enqueue('echo', ['first']);
          await a.cancel({ enqueueDependents: true });
        },
      },
      ['other', 'default'],
    );
    expect(await waits.wait({ timeout: 15 })).toBe(7);
  });

  it('with enqueueDependents waits for what else there is', async () => {
    const [a, b] = await q.enqueueMany([
      [add, [1, 2]],
      [add, [3, 4]],
    ]);
    const both = await q.enqueue(add, [5, 6], { dependsOn: [a, b] });
    await a.cancel({ enqueueDependents: true });
    await lookAround();
    expect(await both.getStatus()).toBe('deferred');
    await work();
    expect(await both.result).toBe(11);
  });

  it('with cancelDependents clears away what waits for a job that has failed', async () => {
    const root = await q.enqueue(fail, [], { jobId: 'root' });
    const last = await q.enqueue(add, [root, 1]);
    await workAll();
    await root.cancel({ cancelDependents: true });
    expect([await root.getStatus(), await last.getStatus()]).toEqual(['failed', 'canceled']);
    expect(await q.deferredRegistry.count()).toBe(0);
  });

  it('with cancelDependents cancels all that waits for it, be it through others', async () => {
    const all = await family();
    const apart = await q.enqueue(add, [1, 2]);
    await all[0].cancel({ cancelDependents: true });
    expect(await statuses(all)).toEqual(['canceled', 'canceled', 'canceled', 'canceled']);
    expect([await q.deferredRegistry.count(), await other.deferredRegistry.count()]).toEqual([0, 0]);
    expect((await q.canceledRegistry.getJobIds()).toSorted()).toEqual(['a', 'last', 'waits']);
    expect(await other.canceledRegistry.getJobIds()).toEqual(['takes']);
    await expect(all[3].result).rejects.toMatchObject({ code: 'RQ_JOB_CANCELED' });
    expect(await q.getJobIds()).toEqual([apart.id]);
    await workAll();
    expect(await statuses(all)).toEqual(['canceled', 'canceled', 'canceled', 'canceled']);
  });

  it('of one that waits itself leaves nothing that it waited for in the way', async () => {
    const [a, waits] = await family();
    await waits.cancel();
    await workAll();
    expect(await statuses([a, waits])).toEqual(['finished', 'canceled']);
    expect(await dependents('a')).toEqual([]);
    await waits.requeue();
    await work();
    expect(await waits.result).toBe(7);
  });

  it.each([
    [{ enqueueDependents: 1 }, 'enqueueDependents must be true or false, not 1'],
    [{ cancelDependents: 'all' }, 'cancelDependents must be true or false, not "all"'],
    [
      { enqueueDependent: true },
      'Unknown option of cancel "enqueueDependent": did you mean "enqueueDependents"? (accepted are enqueueDependents, cancelDependents)',
    ],
    [
      { enqueueDependents: true, cancelDependents: true },
      'enqueueDependents and cancelDependents exclude each other',
    ],
    [true, 'The options of cancel must be an object, not true'],
  ])('refuses %j', async (options, message) => {
    const [a] = await family();
    await expect(a.cancel(options as CancelOptions)).rejects.toThrow(new TypeError(message));
    expect(await status('a')).toBe('queued');
  });
});

describe('Job.delete of a dependency', () => {
  it('has what waits for it wait no longer; one that takes its result fails', async () => {
    const all = await family();
    await all[0].delete();
    await workAll();
    expect(await statuses(all)).toEqual([null, 'finished', 'failed', 'deferred']);
    await expect(all[2].result).rejects.toMatchObject({
      remote: { name: 'DependencyFailedError', message: 'Job takes needs job a, which is gone' },
    });
    await expect(all[3].result).rejects.toMatchObject({ dependencyId: 'takes', status: 'failed' });
    expect(await redis.client.keys('rq:releasing*')).toEqual([]);
  });

  it.each(['empty', 'delete'] as const)('is the same by Queue.%s', async verb => {
    const all = await family();
    await q[verb]();
    await workAll();
    expect(await statuses(all)).toEqual([null, 'finished', 'failed', 'deferred']);
  });

  it('keeps a result that was there before', async () => {
    const a = await q.enqueue(add, [1, 2], { jobId: 'a' });
    const b = await q.enqueue(add, [3, 4], { jobId: 'b' });
    const both = await q.enqueue(add, [a, b]);
    await finish('3');
    await a.delete();
    await work();
    expect(await both.result).toBe(10);
  });

  it('of one that waits leaves no trace with what it waited for', async () => {
    const [a, waits] = await family();
    await waits.delete();
    expect(await redis.client.exists('rq:job::waits:dependencies', 'rq:job:waits')).toBe(0);
    await workAll();
    expect(await status('waits')).toBeNull();
    expect(await a.result).toBe(3);
    expect(await redis.client.keys('*depend*')).toEqual([]);
  });
});

describe('A job that waits for one that is gone without a word', () => {
  const sweep = async (): Promise<void> => {
    const store = new WorkerStore(new Keys(), 'w', ['default', 'other']);
    for (const place of [0, 1]) await store.sweep(redis.client, place, false);
  };

  it('is queued by the janitor; one that takes its result fails', async () => {
    const all = await family();
    await redis.client.del('rq:job:a');
    await redis.client.lrem('rq:queue:default', 0, 'a');
    await sweep();
    expect(await statuses(all)).toEqual([null, 'queued', 'queued', 'deferred']);
    await workAll();
    expect(await statuses(all)).toEqual([null, 'finished', 'failed', 'deferred']);
  });

  it('is queued where it expired in its queue', async () => {
    const a = await q.enqueue(add, [1, 2], { jobId: 'a', ttl: 60 });
    const b = await q.enqueue(add, [3, 4], { dependsOn: a });
    await redis.client.pexpire('rq:job:a', 1);
    await expect.poll(() => redis.client.exists('rq:job:a')).toBe(0);
    // the worker's first round does it
    await work();
    expect(await b.wait({ timeout: 10 })).toBe(7);
  });

  it('waits on where something else is left', async () => {
    const [a, b] = await q.enqueueMany([
      [add, [1, 2]],
      [add, [3, 4]],
    ]);
    const both = await q.enqueue(add, [5, 6], { dependsOn: [a, b] });
    await redis.client.del(`rq:job:${a.id}`);
    await sweep();
    expect(await both.getStatus()).toBe('deferred');
    expect(await q.getJobIds()).toEqual([a.id, b.id]);
    await work();
    expect(await both.result).toBe(11);
  });
});

describe('The ttl of a job that waits for others', () => {
  it('counts from the call, and anew from when it is queued', async () => {
    const a = await q.enqueue(add, [1, 2], { jobId: 'a' });
    const b = await q.enqueue(add, [a, 4], { ttl: 600 });
    const left = (): Promise<number> => redis.client.ttl(`rq:job:${b.id}`);
    expect(await left()).toBeGreaterThan(595);
    expect(await redis.client.ttl(`rq:job::${b.id}:dependencies`)).toBeGreaterThan(595);
    await redis.client.expire(`rq:job:${b.id}`, 100);
    await finish('3');
    expect(await b.getStatus()).toBe('queued');
    expect(await left()).toBeGreaterThan(595);
    await work();
    expect(await b.result).toBe(7);
  });

  it('is over: it is gone, and nothing waits or holds its place', async () => {
    const a = await q.enqueue(add, [1, 2], { jobId: 'a' });
    const b = await q.enqueue(add, [a, 4], { ttl: 1 });
    const c = await q.enqueue(add, [5, 6], { dependsOn: b });
    await redis.client.pexpire(`rq:job:${b.id}`, 1);
    await redis.client.pexpire(`rq:job::${b.id}:dependencies`, 1);
    await expect.poll(() => redis.client.exists(`rq:job:${b.id}`)).toBe(0);
    await work();
    expect([await status('a'), await status(c.id)]).toEqual(['finished', 'finished']);
    await expect(b.result).rejects.toMatchObject({ code: 'RQ_NO_SUCH_JOB' });
    expect(await dependents('a')).toEqual([]);
    expect(await redis.client.exists(`rq:job:${b.id}`)).toBe(0);
  });
});

describe('A dependency that failed', () => {
  it('releases what waits for it once it was requeued and finished', async () => {
    const a = await q.enqueue(fail, [], { jobId: 'a' });
    const b = await q.enqueue(echo, [a]);
    const c = await q.enqueue(add, [1, 2], { dependsOn: b });
    await work();
    expect([await status('a'), await b.getStatus(), await c.getStatus()]).toEqual([
      'failed',
      'deferred',
      'deferred',
    ]);
    await expect(c.result).rejects.toMatchObject({ dependencyId: 'a' });
    expect(await dependents('a')).toEqual([b.id]);
    await q.failedRegistry.requeue('a');
    expect(await c.result).toBeUndefined();
    await work({ fail: () => 'well' });
    expect([await b.result, await c.result]).toEqual([['well'], 3]);
    expect(await redis.client.keys('*depend*')).toEqual([]);
  });

  it('has its dependents listed for as long as it is kept', async () => {
    const a = await q.enqueue(fail, [], { jobId: 'a', failureTtl: 600 });
    await q.enqueue(echo, [a]);
    await work();
    const ttl = await redis.client.ttl('rq:job:a:dependents');
    expect(ttl).toBeGreaterThan(595);
    expect(ttl).toBeLessThanOrEqual(600);
  });

  it('and is replaced by a job of the same id, which releases what waited for it', async () => {
    const a = await q.enqueue(fail, [], { jobId: 'a' });
    const b = await q.enqueue(echo, [a]);
    await work();
    await q.enqueue(echo, ['new'], { jobId: 'a' });
    expect(await hash('a')).toMatchObject({ status: 'queued' });
    const c = await q.enqueue(echo, [a]);
    expect(await redis.client.ttl('rq:job:a:dependents')).toBe(-1);
    await work();
    expect([await b.result, await c.result]).toEqual([[['new']], [['new']]]);
  });
});

describe('A jobId of the caller’s that is given again', () => {
  it('is refused while the job waits for others', async () => {
    const a = await q.enqueue(add, [1, 2]);
    await q.enqueue(add, [a, 1], { jobId: 'b' });
    await expect(q.enqueue(add, [5, 6], { jobId: 'b' })).rejects.toMatchObject({
      code: 'RQ_DUPLICATE_JOB',
      status: 'deferred',
    });
    await work();
    expect(await (await q.fetchJob('b'))?.result).toBe(4);
  });

  it('leaves the job that ended as it is, where the new one is refused for what it takes', async () => {
    await q.enqueue(add, [1, 2], { jobId: 'b' });
    await work();
    const gone = await q.enqueue(add, [1, 2], { resultTtl: 0 });
    await work();
    const before = await hash('b');
    await expect(q.enqueue(echo, [gone], { jobId: 'b' })).rejects.toMatchObject({ status: 'gone' });
    expect(await hash('b')).toEqual(before);
    expect(await q.finishedRegistry.getJobIds()).toEqual(['b']);
  });

  it('gives a job that waits for others of its own', async () => {
    const [a, b] = await q.enqueueMany([
      [add, [1, 2]],
      [add, [3, 4]],
    ]);
    const old = await q.enqueue(echo, [a], { jobId: 'c' });
    await old.cancel();
    const anew = await q.enqueue(echo, [b], { jobId: 'c' });
    await finish('3');
    expect(await anew.getStatus()).toBe('deferred');
    await work();
    expect(await anew.result).toEqual([7]);
  });
});
