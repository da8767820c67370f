/** A job that was lost twice is taken by itself, so that what kills its worker takes few others with it. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Worker } from '../lib/index.ts';
import { useLink, useQueue, useRedis, useWorkers, useWorkerStore } from './support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);
const store = useWorkerStore('q');
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);
const none = { handIns: [], claims: new Set<number>(), strategy: 'default' } as const;
const soon = { timeout: 10_000, interval: 10 };

async function put(id: string, recoveries?: number): Promise<void> {
  await q.enqueue('f', [id], { jobId: id });
  if (recoveries !== undefined) await redis.client.hset(`rq:job:${id}`, 'recoveries', recoveries);
}

async function take(want: number, single: boolean = false): Promise<[string[], string, string]> {
  const { jobs, probation, more } = await store.advance(link.redis, { ...none, want, single });
  return [jobs.map(({ jobId }) => jobId), probation, more];
}

describe('WorkerStore.advance', () => {
  it('takes jobs that were lost once as any other', async () => {
    await put('a');
    await put('b', 1);
    expect(await take(5)).toEqual([['a', 'b'], 'none', 'no']);
  });

  it('ends before a job that was lost twice, which stays in front', async () => {
    for (const [id, lost] of [['a'], ['b', 2], ['c'], ['d']] as const) await put(id, lost);
    expect(await take(4)).toEqual([['a'], 'ahead', 'yes']);
    expect(await q.getJobIds()).toEqual(['b', 'c', 'd']);
  });

  it('gives it to a call of its own, alone', async () => {
    await put('b', 2);
    await put('c');
    expect(await take(4)).toEqual([[], 'ahead', 'yes']);
    expect(await take(4, true)).toEqual([['b'], 'taken', 'yes']);
    expect(await q.getJobIds()).toEqual(['c']);
    expect(await take(4, true)).toEqual([['c'], 'none', 'no']);
  });

  it('puts back what a blocking read took of it', async () => {
    await put('a');
    await put('b', 3);
    await redis.client.lmove('rq:queue:q', 'rq:worker:w1:claims:q', 'LEFT', 'RIGHT');
    await redis.client.lmove('rq:queue:q', 'rq:worker:w1:claims:q', 'LEFT', 'RIGHT');
    const { jobs, probation, more } = await store.advance(link.redis, {
      ...none,
      want: 4,
      claims: new Set([0]),
    });
    expect([jobs.map(({ jobId }) => jobId), probation, more]).toEqual([['a'], 'ahead', 'yes']);
    expect(await q.getJobIds()).toEqual(['b']);
    expect(await redis.client.exists('rq:worker:w1:claims:q')).toBe(0);
  });

  it('takes nothing of it while work is suspended', async () => {
    await put('b', 2);
    await redis.client.set('rq:suspended', '1');
    expect(await take(4, true)).toEqual([[], 'none', 'suspended']);
  });
});

describe('Worker', () => {
  const ends: (() => void)[] = [];
  afterEach(() => ends.splice(0).forEach(end => end()));

  /** Works with four slots; its functions run until they are told to end. Gives who runs, and when each began. */
  async function work(): Promise<[Worker, string[], number[]]> {
    const running: string[] = [];
    const began: number[] = [];
    const f = async (id: string): Promise<void> => {
      running.push(id);
      began.push(performance.now());
      await new Promise<void>(resolve => ends.push(resolve));
      running.splice(running.indexOf(id), 1);
    };
    const worker = makeWorker({ f }, { concurrency: 4 });
    void worker.work();
    await new Promise(resolve => worker.once('listening', resolve));
    return [worker, running, began];
  }

  it('starts nothing beside a job that was lost twice until it has ended', async () => {
    for (const [id, lost] of [['a', 2], ['b', 2], ['c']] as const) await put(id, lost);
    const [, running] = await work();
    await expect.poll(() => running, soon).toEqual(['a']);
    await put('d');
    // a round trip in which the others could have come
    await expect
      .poll(() => redis.client.hget('rq:worker:w', 'state').then(() => running), soon)
      .toEqual(['a']);
    ends.shift()?.();
    await expect.poll(() => running, soon).toEqual(['b']);
    ends.shift()?.();
    await expect.poll(() => running, soon).toEqual(['c', 'd']);
  });

  it('goes on beside it after ten seconds', { timeout: 60_000 }, async () => {
    await put('a', 2);
    await put('b');
    const [worker, running, began] = await work();
    await expect.poll(() => running, soon).toEqual(['a']);
    await expect.poll(() => running, { timeout: 25_000, interval: 20 }).toEqual(['a', 'b']);
    const [first = NaN, second = NaN] = began;
    expect(second - first).toBeGreaterThan(9_900);
    expect(worker.listenerCount('error')).toBe(0);
  });
});
