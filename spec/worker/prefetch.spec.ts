/** Jobs taken ahead of free slots: leased as if they ran, and nobody's once they are not. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Job, Worker, WorkerOptions, WorkOptions } from '../../lib/index.ts';
import { useLink, useQueue, useRedis, useWorkers, useWorkerStore } from '../support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);
const link = useLink(redis);
const sweeper = useWorkerStore('default');
const makeWorker = useWorkers(redis);

const soon = { timeout: 15_000, interval: 10 };
let release: (() => void)[] = [];
let ran: string[] = [];

const long = (): Promise<void> => new Promise(resolve => release.push(resolve));
const short = (name: string): void => void ran.push(name);

afterEach(() => {
  for (const go of release.splice(0)) go();
  [release, ran] = [[], []];
});

const started = (): Promise<number> => q.startedRegistry.count();
const statuses = (jobs: readonly Job[]): Promise<string[]> => Promise.all(jobs.map(job => job.getStatus()));

/** A worker with one slot, whose first job takes long, and which has taken so many ahead. */
async function ahead(
  count: number,
  options: Partial<WorkerOptions> = {},
  until: WorkOptions = {},
): Promise<{ worker: Worker; first: Job; jobs: Job[]; working: Promise<void> }> {
  const first = await q.enqueue('long');
  const jobs = await q.enqueueMany(Array.from({ length: count }, (_, i) => ['short', [`${i}`]] as const));
  const worker = makeWorker({ long, short }, { prefetch: count, ...options }, 'default');
  const working = worker.work(until);
  await expect.poll(started, soon).toBe(count + 1);
  // Redis knows before the worker does; and what a stop finds on its way to the worker has not begun either
  await expect.poll(() => release.length, soon).toBe(1);
  return { worker, first, jobs, working };
}

describe('jobs taken ahead', () => {
  it('wait for a slot, and run in their order', async () => {
    const { jobs } = await ahead(4);
    expect(ran).toEqual([]);
    release.shift()?.();
    await expect.poll(() => statuses(jobs), soon).toEqual(Array(4).fill('finished'));
    expect(ran).toEqual(['0', '1', '2', '3']);
  });

  it('are no more than were asked for', async () => {
    const { worker } = await ahead(3);
    const more = await q.enqueueMany([
      ['short', ['x']],
      ['short', ['y']],
    ]);
    const looked: unknown[] = [];
    worker.on('jobStarted', job => looked.push(job.jobId));
    expect(await q.getJobIds()).toEqual(more.map(({ id }) => id));
    release.shift()?.();
    await expect.poll(() => ran, soon).toEqual(['0', '1', '2', 'x', 'y']);
    expect(looked).toHaveLength(5);
  });

  it('never run beside more than concurrency allows', async () => {
    let [running, most] = [0, 0];
    const f = async (): Promise<void> => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
    };
    await q.enqueueMany(Array.from({ length: 300 }, () => ['f'] as const));
    await makeWorker({ f }, { prefetch: 7, concurrency: 3 }, 'default').work({ burst: true });
    expect(most).toBe(3);
    expect(await q.finishedRegistry.count()).toBe(300);
  });

  it('count for maxJobs, and a burst runs them all', async () => {
    await q.enqueueMany(Array.from({ length: 20 }, (_, i) => ['short', [`${i}`]] as const));
    await makeWorker({ short }, { prefetch: 5 }, 'default').work({ maxJobs: 7 });
    expect([ran.length, await q.count(), await started()]).toEqual([7, 13, 0]);
    await makeWorker({ short }, { prefetch: 5 }, 'default').work({ burst: true });
    expect([ran.length, await q.count(), await started()]).toEqual([20, 0, 0]);
  });

  it('are renewed with the runs', async () => {
    await ahead(2, { lease: 3 });
    const scores = async (): Promise<number[]> =>
      (await redis.client.zrange('rq:wip:default', '0', '-1', 'WITHSCORES')).flatMap((entry, i) =>
        i % 2 ? [Number(entry)] : [],
      );
    const before = Math.min(...(await scores()));
    await expect.poll(async () => Math.min(...(await scores())), soon).toBeGreaterThan(before);
  });

  it('go back in their order, uncounted, when the worker stops', async () => {
    const { worker, first, jobs } = await ahead(3);
    const stopping = worker.stop();
    await expect.poll(() => q.getJobIds(), soon).toEqual(jobs.map(({ id }) => id));
    release.shift()?.();
    await stopping;
    expect([await first.getStatus(), ...(await statuses(jobs))]).toEqual([
      'finished',
      ...Array(3).fill('queued'),
    ]);
    for (const { id } of jobs) expect(await redis.client.hget(`rq:job:${id}`, 'recoveries')).toBeNull();
    expect(ran).toEqual([]);
  });

  it('go back with the slots of their keys when the worker stops at once', async () => {
    const limit = { key: 'acme', concurrency: 2 };
    await q.enqueueMany(Array.from({ length: 4 }, () => ['long', [], { limit }] as const));
    const worker = makeWorker({ long }, { prefetch: 3, grace: 0 }, 'default');
    void worker.work();
    await expect.poll(() => q.parkedRegistry.count(), soon).toBe(2);
    expect(await started()).toBe(2);
    await worker.stop('cold');
    expect(await redis.client.exists('rq:slots:acme')).toBe(0);
    expect((await q.count()) + (await q.parkedRegistry.count())).toBe(4);
  });

  it('go on where their queue is paused meanwhile', async () => {
    const { jobs } = await ahead(2);
    await q.pause();
    release.shift()?.();
    await expect.poll(() => statuses(jobs), soon).toEqual(['finished', 'finished']);
  });

  it('give their place up at once when they are stopped, canceled or deleted', async () => {
    const { jobs } = await ahead(4);
    const after = await q.enqueueMany([
      ['short', ['a']],
      ['short', ['b']],
      ['short', ['c']],
    ]);
    await jobs[0]?.stop();
    await expect(jobs[0]?.wait({ timeout: 15 })).rejects.toMatchObject({ code: 'RQ_JOB_STOPPED' });
    await jobs[1]?.cancel();
    await jobs[2]?.delete();
    // while the first job still runs, three others take their places
    await expect.poll(() => q.count(), soon).toBe(0);
    expect(await started()).toBe(5);
    expect(ran).toEqual([]);
    release.shift()?.();
    await expect.poll(() => ran, soon).toEqual(['3', 'a', 'b', 'c']);
    // their ends are handed in after they have run
    await expect.poll(() => statuses(after), soon).toEqual(Array(3).fill('finished'));
  });

  it('of a worker that stays away run elsewhere, each once', async () => {
    // it renews every three seconds, and not between the next lines; and it takes none of them a second time
    const { worker, jobs } = await ahead(2, { lease: 9 }, { maxJobs: 3 });
    const lost: string[] = [];
    worker.on('jobLost', ({ jobId }) => lost.push(jobId));
    // as if it had died: past its lease, and swept
    for (const member of await redis.client.zrange('rq:wip:default', '0', '-1'))
      await redis.client.zadd('rq:wip:default', 1, member);
    expect((await sweeper.sweep(link.redis, 0, true)).recovered).toHaveLength(3);
    const other = makeWorker({ long: short, short }, { lease: 3 }, 'default');
    void other.work();
    await expect.poll(() => statuses(jobs), { timeout: 25_000 }).toEqual(['finished', 'finished']);
    await expect.poll(() => lost.length, soon).toBeGreaterThanOrEqual(2);
    for (const name of ['0', '1']) expect(ran.filter(each => each === name)).toEqual([name]);
  });

  it('are not asked for beside a job that was lost twice', async () => {
    const [poison] = await q.enqueueMany([['long'], ['short', ['0']], ['short', ['1']]]);
    await redis.client.hset(`rq:job:${poison?.id}`, 'recoveries', '2');
    void makeWorker({ long, short }, { prefetch: 5, concurrency: 2 }, 'default').work();
    await expect.poll(() => release.length, soon).toBe(1);
    expect(await q.count()).toBe(2);
    release.shift()?.();
    await expect.poll(() => ran, soon).toEqual(['0', '1']);
  });
});
