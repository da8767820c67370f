/** How a job that repeats runs: so often, after its waits, and what is seen of it meanwhile. */
import { describe, expect, it } from 'vitest';
import type { Job } from '../lib/index.ts';
import { Keys } from '../lib/keys.ts';
import { WorkerStore } from '../lib/worker-store.ts';
import { Worker } from '../lib/worker/worker.ts';
import { add, echo, useFollowing } from './support/following.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);
const { work, hash, lookAround } = useFollowing(redis);

/** Counts its runs, and gives the number of each. */
const counter = () => {
  let runs = 0;
  return { count: () => ++runs, runs: () => runs };
};
/** Seconds until the job is due, by Redis' clock. */
async function dueIn(job: Job): Promise<number> {
  const score = Number(await redis.client.zscore('rq:scheduled:default', job.id));
  const [now = 0] = await redis.client.time();
  return score - now;
}
/** Has the time of a scheduled job come. */
async function comes(job: Job): Promise<void> {
  await redis.client.zadd('rq:scheduled:default', 1, job.id);
  await lookAround();
}

describe('A job that repeats', () => {
  it('runs so often after the first run, at once where no wait is given', async () => {
    const { count, runs } = counter();
    const job = await q.enqueue('count', [], { repeat: { times: 3 } });
    await work({ count });
    expect(runs()).toBe(4);
    expect(await job.result).toBe(4);
    expect(await hash(job.id)).toMatchObject({ status: 'finished', repeats_left: '0' });
    expect(await q.finishedRegistry.getJobIds()).toEqual([job.id]);
  });

  it.each<[number | number[], number[]]>([
    [10, [10, 10, 10]],
    [
      [10, 20, 30],
      [10, 20, 30],
    ],
    [
      [10, 20],
      [10, 20, 20],
    ],
    [
      [0, 20, 0],
      [0, 20, 0],
    ],
  ])('with interval %j waits %j seconds', async (interval, waits) => {
    const { count, runs } = counter();
    const job = await q.enqueue('count', [], { repeat: { times: 3, interval } });
    let expected = 1;
    await work({ count });
    for (const seconds of waits) {
      expected++;
      if (seconds === 0) continue;
      expect(await job.getStatus()).toBe('scheduled');
      expect(await q.scheduledRegistry.getJobIds()).toEqual([job.id]);
      const left = await dueIn(job);
      expect(left).toBeGreaterThan(seconds - 9);
      expect(left).toBeLessThanOrEqual(seconds);
      await comes(job);
      await work({ count });
    }
    expect(runs()).toBe(expected);
    expect(await job.getStatus()).toBe('finished');
    expect(await redis.client.exists('rq:scheduled:default')).toBe(0);
  });

  it('has a result once the last run has ended, and until then none', async () => {
    const { count } = counter();
    const job = await q.enqueue('count', [], { repeat: { times: 1, interval: 10 } });
    const waited = job.wait({ timeout: 25 });
    await work({ count });
    expect(await job.result).toBeUndefined();
    expect(await hash(job.id)).toMatchObject({ status: 'scheduled', repeats_left: '0' });
    expect(await hash(job.id)).not.toHaveProperty('result');
    expect(await redis.client.ttl(`rq:job:${job.id}`)).toBe(-1);
    expect(await q.finishedRegistry.count()).toBe(0);
    await comes(job);
    await work({ count });
    expect(await waited).toBe(2);
  });

  it('is retried where a run fails, and repeats after that has finished', async () => {
    const outcomes = ['fails', 1, 'fails', 2, 3];
    const job = await q.enqueue('next', [], { repeat: { times: 2 }, retry: { max: 2 } });
    await work({
      next: () => {
        const outcome = outcomes.shift();
        if (outcome === 'fails') throw new Error('no');
        return outcome;
      },
    });
    expect(outcomes).toEqual([]);
    expect(await job.result).toBe(3);
    expect(await hash(job.id)).toMatchObject({ repeats_left: '0', retries_left: '0' });
    expect((await job.results()).map(({ type }) => type)).toEqual(['successful', 'failed', 'failed']);
  });

  it('ends where a run fails for good', async () => {
    let runs = 0;
    const job = await q.enqueue('second', [], { repeat: { times: 3 } });
    await work({
      second: () => {
        if (++runs === 2) throw new Error('the second');
      },
    });
    expect(runs).toBe(2);
    await expect(job.result).rejects.toMatchObject({
      code: 'RQ_JOB_FAILED',
      remote: { message: 'the second' },
    });
    expect(await hash(job.id)).toMatchObject({ status: 'failed', repeats_left: '2' });
  });

  it('releases what waits for it after its first run', async () => {
    const { count } = counter();
    const job = await q.enqueue('count', [], { repeat: { times: 1, interval: 10 } });
    const next = await q.enqueue(echo, [job]);
    await work({ count });
    expect(await next.result).toEqual([1]);
    expect(await job.getStatus()).toBe('scheduled');
  });

  it('is canceled between two runs', async () => {
    const { count, runs } = counter();
    const job = await q.enqueue('count', [], { repeat: { times: 1, interval: 10 } });
    await work({ count });
    await job.cancel();
    await comes(job);
    await work({ count });
    expect([runs(), await job.getStatus()]).toEqual([1, 'canceled']);
  });

  it('waits for others before its first run only', async () => {
    const { count, runs } = counter();
    const a = await q.enqueue(add, [1, 2]);
    const job = await q.enqueue('count', [a], { repeat: { times: 2 } });
    await work({ count });
    expect([runs(), await job.result]).toEqual([3, 3]);
  });

  it('is told as finished once for each run, and as ended once', async () => {
    const job = await q.enqueue(add, [1, 2], { repeat: { times: 2 } });
    const worker = new Worker('default', { connection: redis.url, functions: { add } });
    let finished = 0;
    worker.on('jobFinished', () => void finished++);
    const seen: string[] = [];
    const watched = (async () => {
      for await (const { status } of job.statuses()) seen.push(status);
    })();
    await expect.poll(() => redis.client.pubsub('NUMSUB', `rq:status:default:${job.id}`)).toContain(1);
    await worker.work({ burst: true });
    await watched;
    expect(finished).toBe(3);
    expect(seen.filter(status => status === 'finished')).toHaveLength(1);
  });
});

describe('The outcome of a run that is repeated', () => {
  it.each([0, 10])('counts once, though it is handed in twice, with an interval of %i', async interval => {
    const job = await q.enqueue(add, [1, 2], { repeat: { times: 5, interval } });
    const store = new WorkerStore(new Keys(), 'w', ['default']);
    const request = { handIns: [], want: 1, claims: new Set<number>(), strategy: 'default' } as const;
    const [run] = (await store.advance(redis.client, request)).jobs;
    if (run === undefined) throw new Error('no job waits');
    const ended = {
      status: 'finished',
      ttl: 500,
      text: '3',
      stream: '',
      publish: true,
      again: 'repeat',
    } as const;
    const handIns = [{ ...run, ended, seconds: 0 }];
    for (const time of [1, 2, 3]) {
      const { answers } = await store.advance(redis.client, { ...request, want: 0, handIns });
      expect(answers, `time ${time}`).toEqual(['accepted']);
      expect(await hash(job.id)).toMatchObject({
        status: interval === 0 ? 'queued' : 'scheduled',
        repeats_left: '4',
        repeated_run: run.executionId,
      });
      expect(await q.getJobIds()).toEqual(interval === 0 ? [job.id] : []);
    }
    expect(await redis.client.zcard('rq:wip:default')).toBe(0);
  });

  it('is dropped where the job was canceled meanwhile', async () => {
    const job = await q.enqueue('f', [], { repeat: { times: 5 } });
    await work({
      f: async () => {
        await job.cancel();
      },
    });
    expect(await hash(job.id)).toMatchObject({ status: 'canceled', repeats_left: '5' });
    expect(await q.getJobIds()).toEqual([]);
  });

  it.each([
    ['no list', 'x', 0],
    ['an empty list', '[]', 0],
    ['no number in it', '["soon"]', 0],
  ])('is followed at once where the intervals of another writer are %s', async (_, intervals) => {
    const { count, runs } = counter();
    const job = await q.enqueue('count');
    await redis.client.hset(`rq:job:${job.id}`, { repeats_left: '1', repeat_intervals: intervals });
    await work({ count });
    expect([runs(), await job.result]).toEqual([2, 2]);
  });

  it.each(['', 'x', '-1', '0', '1.5'])('is the last where the repeats that are left are %j', async left => {
    const { count, runs } = counter();
    const job = await q.enqueue('count');
    await redis.client.hset(`rq:job:${job.id}`, { repeats_left: left });
    await work({ count });
    expect([runs(), await job.getStatus()]).toEqual([1, 'finished']);
  });
});
