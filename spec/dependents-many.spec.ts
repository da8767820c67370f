/** How many dependents one script tells, and who goes on with the rest: lib/lua/dependents.ts. */
import { describe, expect, it } from 'vitest';
import type { Ended, HandIn, RunRef } from '../lib/outcome.ts';
import { ALL } from './support/fault-case.ts';
import { useLink, useQueue, useRedis, useWorkerStore } from './support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);
const q = useQueue(redis);
const store = useWorkerStore('default');

const none = { handIns: [], want: 0, claims: new Set<number>(), strategy: 'default' } as const;
const finished = (text = '1', ttl = 500): Ended => ({
  status: 'finished',
  ttl,
  text,
  stream: '',
  publish: false,
  again: '',
});
const failed = (ttl = 500): Ended => ({ ...finished('Error: no', ttl), status: 'failed', again: 'never' });
const endedWith = (run: RunRef, ended: Ended): HandIn => ({ ...run, ended, seconds: 1 });

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}-${n}`);
const root = (jobId = 'root') => q.enqueue('f', [], { jobId });
const take = async (want: number) => (await store.advance(link.redis, { ...none, want })).jobs;
const handIn = (...handIns: readonly HandIn[]) => store.advance(link.redis, { ...none, handIns });
const goOn = async () => (await store.queueDue(link.redis)).more;
const queued = () => redis.client.llen('rq:queue:default');
const deferred = () => redis.client.zcard('rq:deferred:default');
const keysOfDependents = async () =>
  (await redis.client.keys('rq:*')).filter(key => /dependents|dependencies|releasing/.test(key));

/** So many jobs that wait for one job, which has been taken. */
async function waiting(count: number): Promise<RunRef> {
  await root();
  await Promise.all(names('d', count).map(jobId => q.enqueue('f', [], { jobId, dependsOn: 'root' })));
  const [run] = await take(1);
  return run as RunRef;
}

describe('dependents of one job', () => {
  it('are queued by the script that ends it where they are 200', async () => {
    await handIn(endedWith(await waiting(200), finished()));
    expect(await queued()).toBe(200);
    expect(await keysOfDependents()).toEqual([]);
  });

  it('wait in a set of their own where they are more, and are queued 200 a call', async () => {
    await handIn(endedWith(await waiting(901), finished()));
    // who finds nothing to take begins with them
    const seen = [await queued()];
    while (await goOn()) seen.push(await queued());
    const steps = seen.map((now, i) => now - (seen[i - 1] ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(200);
    expect(seen.at(-1)).toBe(901);
    expect(new Set(await q.getJobIds()).size).toBe(901);
    expect(await deferred()).toBe(0);
    expect(await keysOfDependents()).toEqual([]);
  });

  it('go on to be queued where the job itself is gone by then', async () => {
    await handIn(endedWith(await waiting(450), finished('1', 0)));
    expect(await redis.client.exists('rq:job:root')).toBe(0);
    while (await goOn());
    expect(await queued()).toBe(450);
    expect(await keysOfDependents()).toEqual([]);
  });

  it('stay deferred after a failure, but for those that allow it', async () => {
    await root();
    await Promise.all(names('d', 300).map(jobId => q.enqueue('f', [], { jobId, dependsOn: 'root' })));
    const dependsOn = { jobs: 'root', allowFailure: true };
    await Promise.all(names('a', 300).map(jobId => q.enqueue('f', [], { jobId, dependsOn })));
    const [run] = await take(1);
    await handIn(endedWith(run as RunRef, failed()));
    while (await goOn());
    expect((await q.getJobIds()).toSorted()).toEqual(names('a', 300).toSorted());
    expect(await deferred()).toBe(300);
    expect((await redis.client.smembers('rq:job:root:dependents')).toSorted()).toEqual(
      names('d', 300).toSorted(),
    );
    // they are not kept for longer than the job that failed
    expect(await redis.client.ttl('rq:job:root:dependents')).toBeGreaterThan(490);
    expect(await redis.client.exists('rq:releasing', 'rq:releasing:root')).toBe(0);
  });

  it('are all queued by one round of the janitor, 200 a call, where the job is gone without a word', async () => {
    await root();
    await q.enqueueMany(Array.from({ length: 450 }, () => ['f', [], { dependsOn: 'root' }] as const));
    await redis.client.del('rq:job:root', 'rq:queue:default');
    const seen: number[] = [];
    for (let more = true; more; seen.push(await queued()))
      more = (await store.sweep(link.redis, 0, seen.length > 0)).more;
    expect(seen).toEqual([200, 400, 450, 450]);
    expect(await deferred()).toBe(0);
    expect(await keysOfDependents()).toEqual([]);
  });

  it('are found on the way by cancel and by getDependentIds', async () => {
    const job = await root();
    const ids = names('d', 501);
    await Promise.all(ids.map(jobId => q.enqueue('f', [], { jobId, dependsOn: 'root' })));
    const [run] = await take(1);
    await handIn(endedWith(run as RunRef, finished()));
    const left = await job.getDependentIds();
    expect(left.length).toBe(501 - (await queued()));
    expect(left.length).toBeGreaterThan(0);
    const canceled = left[0] ?? '';
    await (await q.fetchJob(canceled))?.cancel();
    while (await goOn());
    expect((await q.getJobIds()).toSorted()).toEqual(ids.filter(id => id !== canceled).toSorted());
    expect(await q.canceledRegistry.getJobIds()).toEqual([canceled]);
  });
});

describe('a great number of dependents of one job', () => {
  /** Milliseconds that Redis has worked for: its own, as a busy machine makes every call long. */
  async function worked(): Promise<number> {
    const info = await redis.client.info('cpu');
    const of = (what: string): number =>
      Number(new RegExp(`used_cpu_${what}_main_thread:([\\d.]+)`).exec(info)?.[1] ?? NaN);
    return (of('user') + of('sys')) * 1000;
  }

  it('holds Redis for less than 50 ms a call', { timeout: 120_000 }, async () => {
    const count = ALL ? 100_000 : 5_000;
    await root();
    for (let n = 0; n < count; n += 5_000)
      await q.enqueueMany(Array.from({ length: 5_000 }, () => ['f', [], { dependsOn: 'root' }] as const));
    const [run] = await take(1);
    const times: number[] = [];
    let more = true;
    for (let before = await worked(); more; before = await worked()) {
      more = times.length === 0 || (await goOn());
      if (times.length === 0) await handIn(endedWith(run as RunRef, finished()));
      times.push((await worked()) - before);
    }
    expect(await queued()).toBe(count);
    expect(times.length).toBeGreaterThan(count / 200);
    expect(Math.max(...times)).toBeLessThan(50);
  });
});

describe('dependents of many jobs that end together', () => {
  it('are queued some hundred a call, not one job’s a call', async () => {
    const roots = names('r', 500);
    await Promise.all(roots.map(id => root(id)));
    await Promise.all(roots.map(id => q.enqueue('f', [], { jobId: `of-${id}`, dependsOn: id })));
    const runs = await take(500);
    await handIn(...runs.map(run => endedWith(run, finished())));
    const first = await queued();
    expect(first).toBeGreaterThanOrEqual(200);
    expect(first).toBeLessThanOrEqual(201);
    let calls = 0;
    while (await goOn()) calls++;
    expect(calls).toBeLessThanOrEqual(3);
    expect((await q.getJobIds()).toSorted()).toEqual(roots.map(id => `of-${id}`).toSorted());
    expect(await keysOfDependents()).toEqual([]);
  });
});

describe('dependents that take a long result', () => {
  it('are few a call, as each gets a copy', async () => {
    const job = await root();
    await Promise.all(names('d', 40).map(jobId => q.enqueue('f', [job], { jobId })));
    const [run] = await take(1);
    const text = JSON.stringify('x'.repeat(200_000));
    await handIn(endedWith(run as RunRef, finished(text)));
    const seen = [await queued()];
    while (await goOn()) seen.push(await queued());
    expect(Math.max(...seen.map((now, i) => now - (seen[i - 1] ?? 0)))).toBeLessThanOrEqual(5);
    expect(seen.at(-1)).toBe(40);
    expect(await redis.client.hget('rq:job:d-39', 'data')).toBe(`["f",null,[${text}],{}]`);
    expect(await redis.client.hexists('rq:job:d-39', 'argument:root')).toBe(0);
  });

  it('is one, at once, however long it is', async () => {
    const job = await root();
    await q.enqueue('f', [job], { jobId: 'd' });
    const [run] = await take(1);
    await handIn(endedWith(run as RunRef, finished(JSON.stringify('x'.repeat(5_000_000)))));
    expect(await queued()).toBe(1);
    expect(await redis.client.hstrlen('rq:job:d', 'data')).toBe(5_000_002 + '["f",null,[],{}]'.length);
  });
});

describe('results that a dependent takes', () => {
  const kept = async (id: string): Promise<string[]> =>
    (await redis.client.hkeys(`rq:job:${id}`)).filter(name => name.startsWith('argument:'));
  const data = (id: string) => redis.client.hget(`rq:job:${id}`, 'data');

  it('leave nothing behind, nor do those that it only waits for', async () => {
    const taken = await root('taken');
    await root('before');
    await root('after');
    const [run, before, after] = (await take(3)) as readonly RunRef[] as [RunRef, RunRef, RunRef];
    await handIn(endedWith(before, finished('2')));
    await q.enqueue('f', [taken], { jobId: 'd', dependsOn: ['before', 'after'] });
    await handIn(endedWith(run, finished('[1e300]')));
    expect(await kept('d')).toEqual(['argument:taken']);
    await handIn(endedWith(after, finished('3')));
    expect(await q.getJobIds()).toEqual(['d']);
    expect(await data('d')).toBe('["f",null,[[1e300]],{}]');
    expect(await kept('d')).toEqual([]);
  });

  it('are null of a job that failed and may, whoever runs it', async () => {
    const [a, b] = [await root('a'), await root('b')];
    const dependsOn = { allowFailure: true };
    await q.enqueue('f', [a, b], { jobId: 'd', dependsOn });
    const [first, second] = (await take(2)) as readonly RunRef[] as [RunRef, RunRef];
    await handIn(endedWith(first, failed()), endedWith(second, finished('"well"')));
    expect(await data('d')).toBe('["f",null,[null,"well"],{}]');
    // as Python's requeue leaves it
    await redis.client.hset('rq:job:a', { result: '"of an earlier run"' });
    await q.enqueue('f', [[a], { b }], { jobId: 'e', dependsOn });
    expect(await data('e')).toBe('["f",null,[[null],{"b":"well"}],{}]');
    expect((await q.getJobIds()).toSorted()).toEqual(['d', 'e']);
  });

  it('are null too where the sweep finds that it failed', async () => {
    await q.enqueue('f', [await root('a')], { jobId: 'd', dependsOn: { allowFailure: true } });
    await take(1);
    // as a worker leaves it that tells nobody
    await redis.client.hset('rq:job:a', { status: 'failed' });
    await store.sweep(link.redis, 0, true);
    expect(await q.getJobIds()).toEqual(['d']);
    expect(await data('d')).toBe('["f",null,[null],{}]');
  });
});
