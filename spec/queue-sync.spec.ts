/** A queue with `isAsync: false`: jobs run at once, in the caller. */
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { getCurrentJob } from '../lib/current-job.ts';
import { Queue } from '../lib/queue.ts';
import { useRedis } from './support/in-process.ts';
import { add, echo, fail, nothing, notJson, sum } from './support/tasks.js';

const redis = useRedis();
let q: Queue;

beforeEach(async () => {
  await q?.close();
  q = new Queue('default', { connection: redis.url, isAsync: false });
});
afterAll(() => q.close());

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);

describe('Queue with isAsync: false', () => {
  it('resolves when the job has finished', async () => {
    const job = await q.enqueue(sum, [[42, 43]]);
    expect(job.status).toBe('finished');
    expect(await job.result).toBe(85);
  });

  it('leaves the job as a worker would have', async () => {
    const job = await q.enqueue(sum, [[42, 43]]);
    expect(await hash(job.id)).toMatchObject({ status: 'finished', result: '85', origin: 'default' });
    expect(await hash(job.id)).toHaveProperty('started_at');
    expect(await hash(job.id)).toHaveProperty('ended_at');
    expect(await redis.client.ttl(`rq:job:${job.id}`)).toBeGreaterThan(490);
    const [worker = ''] = await redis.client.keys('rq:worker:*');
    // signed off, and soon gone
    expect(await redis.client.hexists(worker, 'death')).toBe(1);
    expect(await redis.client.ttl(worker)).toBeGreaterThan(0);
    expect((await redis.client.keys('*')).filter(key => key !== worker).toSorted()).toEqual([
      'rq:finished:default',
      `rq:job:${job.id}`,
      'rq:queues',
      'rq:taken:default',
    ]);
  });

  it('runs one job after the other', async () => {
    expect(await (await q.enqueue(add, [1, 2])).result).toBe(3);
    expect(await (await q.enqueue(add, [3, 4])).result).toBe(7);
    const third = await q.enqueue(echo, ['x']);
    expect(third.status).toBe('finished');
    expect(await third.result).toEqual(['x']);
    expect(await redis.client.zcard('rq:finished:default')).toBe(3);
  });

  it('runs the calls of one tick', async () => {
    const jobs = await Promise.all([q.enqueue(add, [1, 2]), q.enqueue(add, [3, 4]), q.enqueue(sum, [[5]])]);
    expect(await Promise.all(jobs.map(job => job.result))).toEqual([3, 7, 5]);
    expect(await redis.client.exists('rq:queue:default', 'rq:wip:default')).toBe(0);
  });

  it('never puts a job on the list, where a worker could take it', async () => {
    await redis.client.config('SET', 'notify-keyspace-events', 'Kl');
    const listener = redis.client.duplicate();
    const touched: string[] = [];
    listener.on('message', (_: string, event: string) => touched.push(event));
    await listener.subscribe('__keyspace@0__:rq:queue:default', 'end');
    await Promise.all([q.enqueue(sum, [[2]]), q.enqueue(sum, [[3]])]);
    await q.enqueue(sum, [[1]]);
    await redis.client.publish('end', 'end');
    await vi.waitFor(() => expect(touched.at(-1)).toBe('end'), { timeout: 10_000, interval: 10 });
    expect(touched).toEqual(['end']);
    listener.disconnect();
  });

  it('runs the calls of enqueueMany in their order', async () => {
    const order: number[] = [];
    const note = (n: number): number => order.push(n);
    const jobs = await q.enqueueMany([
      [note, [1]],
      [note, [2]],
      [note, [3]],
    ]);
    expect(order).toEqual([1, 2, 3]);
    expect(jobs.map(({ status }) => status)).toEqual(['finished', 'finished', 'finished']);
  });

  it('resolves when the job has failed, and keeps the error', async () => {
    const job = await q.enqueue(fail, ['no luck']);
    expect(job.status).toBe('failed');
    expect(await q.failedRegistry.getJobIds()).toEqual([job.id]);
    await expect(job.result).rejects.toMatchObject({
      code: 'RQ_JOB_FAILED',
      remote: { name: 'RangeError', message: 'no luck' },
    });
  });

  it('fails a job whose result is not JSON', async () => {
    const job = await q.enqueue(notJson);
    await expect(job.result).rejects.toMatchObject({ remote: { name: 'InvalidResultError' } });
  });

  it('gives null for a function that returns nothing', async () => {
    const job = await q.enqueue(nothing);
    expect(await job.result).toBeNull();
  });

  it('ends a job that exceeds its timeout', async () => {
    const wait = (): Promise<void> =>
      new Promise((_, reject) => {
        getCurrentJob()?.signal.addEventListener('abort', () => reject(new Error('aborted')));
      });
    const job = await q.enqueue(wait, [], { timeout: 1 });
    await expect(job.result).rejects.toMatchObject({ remote: { name: 'JobTimeoutError' } });
  });

  it('gives the function its job', async () => {
    const who = (): { id?: string | undefined; meta?: unknown } => {
      const job = getCurrentJob();
      return { id: job?.id, meta: job?.meta };
    };
    const job = await q.enqueue(who, [], { jobId: 'me', meta: { a: 1 } });
    expect(await job.result).toEqual({ id: 'me', meta: { a: 1 } });
  });

  it('takes no job that waits on the list', async () => {
    await using other = new Queue('default', { connection: redis.url });
    const waiting = await other.enqueue(add, [1, 2]);
    const job = await q.enqueue(sum, [[1]]);
    expect(job.status).toBe('finished');
    expect(await waiting.getStatus()).toBe('queued');
    expect(await other.getJobIds()).toEqual([waiting.id]);
  });

  it('is a worker for as long as the job runs: its lease is known, and is found if it dies', async () => {
    const seen: unknown[] = [];
    const look = async (): Promise<void> => {
      const [worker = ''] = await redis.client.smembers('rq:workers');
      const name = worker.slice('rq:worker:'.length);
      seen.push(
        await redis.client.smembers('rq:claimants:default'),
        await redis.client.hget(worker, 'state'),
      );
      expect(seen).toEqual([[name], 'busy']);
      expect(await redis.client.zcard('rq:wip:default')).toBe(1);
    };
    expect((await q.enqueue(look)).status).toBe('finished');
    expect(seen).toHaveLength(2);
    expect(await redis.client.smembers('rq:workers')).toEqual([]);
    expect(await redis.client.smembers('rq:claimants:default')).toEqual([]);
  });

  it('runs while work is suspended, as no worker is part of it', async () => {
    await redis.client.set('rq:suspended', '1');
    const job = await q.enqueue(sum, [[1]]);
    expect(job.status).toBe('finished');
    expect(await q.count()).toBe(0);
  });

  it('knows that a job finished of which nothing is kept', async () => {
    const job = await q.enqueue(sum, [[1]], { resultTtl: 0 });
    expect(job.status).toBe('finished');
    expect(await redis.client.exists(`rq:job:${job.id}`)).toBe(0);
  });

  it('refuses the name of a function', async () => {
    await expect(q.enqueue('sum', [[1]])).rejects.toThrow(/isAsync: false .*not its name "sum"/);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('refuses an id that exists', async () => {
    await redis.client.hset('rq:job:a', { status: 'queued', origin: 'default' });
    await expect(q.enqueue(sum, [[1]], { jobId: 'a' })).rejects.toMatchObject({ code: 'RQ_DUPLICATE_JOB' });
  });
});
