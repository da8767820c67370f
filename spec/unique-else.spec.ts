/** `unique: { on: 'args', else }`: what becomes of the call, and of the job that is there. */
import { describe, expect, it } from 'vitest';
import { Worker, type EnqueueOptions, type Job, type UniqueOptions } from '../lib/index.ts';
import { useQueue, useRedis, workOff } from './support/in-process.ts';
import * as tasks from './support/tasks.js';
import { add, sum } from './support/tasks.js';

const redis = useRedis();
const q = useQueue(redis);

const MONTH = 30 * 24 * 3600;
const args = (more: Omit<UniqueOptions, 'on'> = {}): EnqueueOptions => ({ unique: { on: 'args', ...more } });
const status = (job: Job): Promise<string | null> => redis.client.hget(`rq:job:${job.id}`, 'status');
/** What holds the one unique call there is. */
async function holder(): Promise<string | null> {
  const [key = '', ...more] = await redis.client.keys('rq:unique:*');
  expect(more).toEqual([]);
  return redis.client.get(key);
}

describe('unique on args, else return', () => {
  it('gives the job that is there', async () => {
    const job = await q.enqueue(add, [1, 2], { ...args(), description: 'the first', timeout: 7 });
    const same = await q.enqueue(add, [1, 2], { ...args({ else: 'return' }), timeout: 9 });
    expect(same).toMatchObject({ id: job.id, status: 'queued', description: 'the first', timeout: 7 });
    expect(await q.count()).toBe(1);
    await workOff(redis);
    expect(await same.result).toBe(3);
  });

  it('gives it from each way to enqueue', async () => {
    const first = await q.enqueueIn(60, 'f', [1], args());
    const mine = args({ else: 'return' });
    const others = [
      await q.enqueueIn(60, 'f', [1], mine),
      await q.enqueueAt(new Date(), 'f', [1], mine),
      ...(await q.enqueueMany([
        ['f', [1], mine],
        ['f', [1], mine],
      ])),
    ];
    expect(others.map(({ id, status: seen }) => [id, seen])).toEqual(
      others.map(() => [first.id, 'scheduled']),
    );
  });

  it('gives a handle that says so where the job is gone and its time is not over', async () => {
    const job = await q.enqueue(sum, [[1]], { ...args({ for: '1h' }), resultTtl: 0 });
    await workOff(redis);
    const same = await q.enqueue(sum, [[1]], args({ for: '1h', else: 'return' }));
    expect(same.id).toBe(job.id);
    expect(same.functionName).toBe('sum');
    await expect(same.result).rejects.toMatchObject({ code: 'RQ_NO_SUCH_JOB' });
  });
});

describe('unique on args, else replace', () => {
  const replace = args({ else: 'replace' });

  it('takes the place of the one that waits, which is canceled', async () => {
    const before = await q.enqueue('g');
    const old = await q.enqueue('f', [1], args());
    const after = await q.enqueue('g');
    const job = await q.enqueue('f', [1], { ...replace, timeout: 9 });
    expect(await q.getJobIds()).toEqual([before.id, job.id, after.id]);
    expect(await status(old)).toBe('canceled');
    expect(await q.canceledRegistry.getJobIds()).toEqual([old.id]);
    expect(Math.abs((await redis.client.ttl(`rq:job:${old.id}`)) - MONTH)).toBeLessThan(5);
    expect(await holder()).toBe(job.id);
    await expect(old.wait({ timeout: 10 })).rejects.toMatchObject({ code: 'RQ_JOB_CANCELED' });
  });

  // the next look of who waits would come after 5 s
  // before they look for themselves, after 5 s
  it('tells those who wait for the old one', { timeout: 4900 }, async () => {
    const old = await q.enqueue('f', [1], args());
    const statuses = old.statuses();
    expect((await statuses.next()).value).toMatchObject({ status: 'queued' });
    await q.enqueue('f', [1], replace);
    expect((await statuses.next()).value).toMatchObject({ status: 'canceled' });
  });

  it('goes to the front where it is to', async () => {
    const other = await q.enqueue('g');
    await q.enqueue('f', [1], args());
    const job = await q.enqueue('f', [1], { ...replace, atFront: true });
    expect(await q.getJobIds()).toEqual([job.id, other.id]);
  });

  it('leaves the last one of a batch, in the place of the first', async () => {
    const jobs = await Promise.all([
      q.enqueue('f', [1], replace),
      q.enqueue('g'),
      q.enqueue('f', [1], { ...replace, jobId: 'second' }),
      q.enqueue('f', [1], replace),
    ]);
    expect(await q.getJobIds()).toEqual([jobs[3].id, jobs[1].id]);
    expect(await Promise.all(jobs.map(status))).toEqual(['canceled', 'queued', 'canceled', 'queued']);
  });

  it('leaves one that runs, and is queued', async () => {
    const old = await q.enqueue('f', [1], args());
    let job: Job | undefined;
    const f = async (): Promise<void> => {
      job ??= await q.enqueue('f', [1], replace);
    };
    await workOff(redis, { functions: { f } });
    expect([await status(old), job && (await status(job))]).toEqual(['finished', 'finished']);
    expect(job?.id).not.toBe(old.id);
  });

  it('puts a scheduled one off, as often as it comes', async () => {
    const old = await q.enqueueIn(1000, 'f', [1], replace);
    const job = await q.enqueueIn(2000, 'f', [1], replace);
    expect(await redis.client.zrange('rq:scheduled:default', '0', '-1')).toEqual([job.id]);
    expect(Number(await redis.client.zscore('rq:scheduled:default', job.id))).toBeGreaterThan(
      Date.now() / 1000 + 1500,
    );
    expect([await status(old), await status(job)]).toEqual(['canceled', 'scheduled']);
  });

  it('takes a deferred one out of its registry', async () => {
    const first = await q.enqueue(add, [1, 2]);
    const old = await q.enqueue('echo', ['x'], { ...replace, dependsOn: first });
    const job = await q.enqueue('echo', ['x'], replace);
    expect(await q.deferredRegistry.count()).toBe(0);
    expect(await redis.client.exists(`rq:job::${old.id}:dependencies`)).toBe(0);
    await workOff(redis);
    expect([await status(old), await job.result]).toEqual(['canceled', ['x']]);
  });

  it('gives what waits for the old one the lifetime that it has', async () => {
    const old = await q.enqueue('f', [1], { ...args(), failureTtl: 60 });
    await q.enqueue('g', [], { dependsOn: old });
    await q.enqueue('f', [1], replace);
    expect(await redis.client.ttl(`rq:job:${old.id}:dependents`)).toBeGreaterThan(50);
    const gone = await q.enqueue('f', [2], { ...args(), failureTtl: 0 });
    await q.enqueue('g', [], { dependsOn: gone });
    await q.enqueue('f', [2], replace);
    expect(await redis.client.exists(`rq:job:${gone.id}:dependents`)).toBe(0);
  });

  it('changes nothing where the new one takes the result of a job that is gone', async () => {
    const lost = await q.enqueue('f', []);
    const old = await q.enqueue('f', [lost], args());
    await redis.client.del(`rq:job:${lost.id}`);
    await expect(q.enqueue('f', [lost], replace)).rejects.toMatchObject({ code: 'RQ_DEPENDENCY_FAILED' });
    expect([await status(old), await holder()]).toEqual(['deferred', old.id]);
  });

  it('puts the new one on the queue where the old one waits for a slot', async () => {
    const limit = { key: 'k', concurrency: 1 };
    const first = await q.enqueue('waitForAbort', [60_000], { limit });
    const old = await q.enqueue('echo', ['x'], { ...replace, limit });
    const worker = new Worker('default', { connection: redis.url, functions: tasks, concurrency: 2 });
    const working = worker.work();
    await expect.poll(() => redis.client.zrange('rq:parked:k', '0', '-1')).toEqual([old.id]);
    const job = await q.enqueue('echo', ['x'], { ...replace, limit });
    await expect.poll(() => redis.client.zrange('rq:parked:k', '0', '-1')).toContain(job.id);
    await first.stop();
    expect(await job.wait({ timeout: 15 })).toEqual(['x']);
    await worker.stop();
    await working;
    expect([await status(old), await redis.client.exists('rq:parked:k')]).toEqual(['canceled', 0]);
  });

  it('keeps nothing of the old one where its failureTtl is 0', async () => {
    const old = await q.enqueue('f', [1], { ...args(), failureTtl: 0 });
    const job = await q.enqueue('f', [1], replace);
    expect(await redis.client.exists(`rq:job:${old.id}`)).toBe(0);
    expect(await q.getJobIds()).toEqual([job.id]);
  });

  it('changes nothing where a registry has another type', async () => {
    const old = await q.enqueue('f', [1], args());
    await redis.client.set('rq:canceled:default', 'text');
    await expect(q.enqueue('f', [1], replace)).rejects.toMatchObject({ code: 'RQ_REDIS_REFUSED' });
    expect(await q.getJobIds()).toEqual([old.id]);
    expect(await holder()).toBe(old.id);
  });
});
