/** What cancel and delete leave of a job, wherever it was. Each id is in one place afterwards, or in none. */
import { describe, expect, it } from 'vitest';
import { InvalidJobOperationError, NoSuchJobError } from '../lib/errors.ts';
import type { Job } from '../lib/job.ts';
import { Keys } from '../lib/keys.ts';
import { WorkerStore } from '../lib/worker-store.ts';
import { Worker } from '../lib/worker/worker.ts';
import { useQueue, useRedis } from './support/in-process.ts';
import * as tasks from './support/tasks.js';

type Status =
  'queued' | 'started' | 'finished' | 'failed' | 'stopped' | 'canceled' | 'deferred' | 'scheduled';

const MONTH = 30 * 24 * 3600;
const EXECUTION = `n${'0123456789abcdef'.repeat(2).slice(1)}`;
const PLACES = ['wip', 'finished', 'failed', 'deferred', 'canceled', 'scheduled'];
const REGISTRY: Record<Status, string | undefined> = {
  queued: undefined,
  started: 'wip',
  finished: 'finished',
  failed: 'failed',
  stopped: 'failed',
  canceled: 'canceled',
  deferred: 'deferred',
  scheduled: 'scheduled',
};

const redis = useRedis();
const q = useQueue(redis);

const hash = (id = 'a'): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);

/** A job of this status, with all that goes with it, as the scripts leave it. */
async function jobThatIs(status: Status, fields: Record<string, string> = {}): Promise<Job> {
  const job = await q.enqueue('f', [1], { jobId: 'a' });
  if (status === 'queued') return job;
  await redis.client.lrem('rq:queue:default', 0, 'a');
  const more: Record<string, string> = { status, ...fields };
  if (status === 'started') Object.assign(more, { execution_id: EXECUTION, worker_name: 'w' });
  if (['finished', 'failed', 'stopped'].includes(status)) {
    Object.assign(more, {
      execution_id: EXECUTION,
      worker_name: 'w',
      ended_at: '2026-01-02T03:04:05.000000Z',
    });
    Object.assign(more, status === 'finished' ? { result: '1' } : { exc_info: 'Error: no' });
    await redis.client.expire('rq:job:a', 1000);
  }
  await redis.client.hset('rq:job:a', more);
  const member = status === 'started' ? `a:${EXECUTION}` : 'a';
  await redis.client.zadd(`rq:${REGISTRY[status] as string}:default`, 9e9, member);
  return job;
}

/** Where the id stands. */
async function places(): Promise<string[]> {
  const found = (await redis.client.lrange('rq:queue:default', 0, -1)).map(() => 'queue');
  for (const name of PLACES)
    for (const member of await redis.client.zrange(`rq:${name}:default`, '0', '-1'))
      if (member === 'a' || member.startsWith('a:')) found.push(name);
  return found;
}

/** Moves a job while a worker runs it, and waits until the worker has let go of it. */
async function whileItRuns(move: (job: Job) => Promise<unknown>): Promise<void> {
  const worker = new Worker('default', { connection: redis.url, functions: tasks });
  const job = await q.enqueue('waitForAbort', [20_000], { jobId: 'a' });
  const [started, lost] = ['jobStarted', 'jobLost'].map(
    name => new Promise(resolve => worker.once(name as 'jobLost', resolve)),
  );
  const work = worker.work({ maxJobs: 1 });
  await started;
  await move(job);
  await lost;
  await worker.stop();
  await work;
}

describe('Job.cancel', () => {
  it.each(['queued', 'started', 'deferred', 'scheduled'] as const)(
    'moves a job that is %s to the canceled registry',
    async status => {
      const job = await jobThatIs(status);
      await job.cancel();
      expect(job.status).toBe('canceled');
      expect(await hash()).toMatchObject({ status: 'canceled', data: '["f",null,[1],{}]' });
      expect(await hash()).not.toHaveProperty('execution_id');
      expect(await places()).toEqual(['canceled']);
    },
  );

  it('scores it by the time, and keeps the hash for 30 days', async () => {
    await (await jobThatIs('queued')).cancel();
    const [now] = await redis.client.time();
    const score = Number(await redis.client.zscore('rq:canceled:default', 'a'));
    expect(Math.abs(score - Number(now))).toBeLessThan(5);
    expect(await redis.client.ttl('rq:job:a')).toBeGreaterThan(MONTH - 5);
    expect(await redis.client.ttl('rq:job:a')).toBeLessThanOrEqual(MONTH);
  });

  it('keeps the hash for the job’s own failureTtl', async () => {
    await (await q.enqueue('f', [], { jobId: 'a', failureTtl: 60, ttl: 10 })).cancel();
    expect(await redis.client.ttl('rq:job:a')).toBeGreaterThan(55);
    expect(await redis.client.ttl('rq:job:a')).toBeLessThanOrEqual(60);
  });

  it('keeps the hash for ever where failureTtl is -1', async () => {
    await (await q.enqueue('f', [], { jobId: 'a', failureTtl: -1, ttl: 10 })).cancel();
    expect(await redis.client.ttl('rq:job:a')).toBe(-1);
  });

  it('keeps nothing where failureTtl is 0', async () => {
    await (await q.enqueue('f', [], { jobId: 'a', failureTtl: 0 })).cancel();
    expect(await redis.client.exists('rq:job:a')).toBe(0);
    expect(await places()).toEqual([]);
  });

  it.each(['finished', 'failed', 'stopped'] as const)('refuses a job that is %s', async status => {
    const job = await jobThatIs(status);
    const before = await hash();
    await expect(job.cancel()).rejects.toThrow(InvalidJobOperationError);
    await expect(job.cancel()).rejects.toThrow(`can't be canceled: it is ${status}`);
    expect(await hash()).toEqual(before);
    expect(await places()).toEqual([REGISTRY[status]]);
  });

  it('is allowed twice', async () => {
    const job = await jobThatIs('canceled');
    await job.cancel();
    expect(job.status).toBe('canceled');
    expect(await places()).toEqual(['canceled']);
  });

  it('rejects once the job is gone, and writes nothing', async () => {
    const job = await jobThatIs('queued');
    await redis.client.flushall();
    await expect(job.cancel()).rejects.toThrow(NoSuchJobError);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('does not say that it canceled what it left as it was', async () => {
    const job = await jobThatIs('queued');
    await redis.client.hset('rq:job:a', 'status', 'rate_limited');
    await expect(job.cancel()).rejects.toThrow(InvalidJobOperationError);
    expect(await hash()).toMatchObject({ status: 'rate_limited' });
  });

  it('finds a job that is on another queue by now', async () => {
    const job = await jobThatIs('queued');
    await redis.client.hset('rq:job:a', 'origin', 'other');
    await redis.client.rename('rq:queue:default', 'rq:queue:other');
    await job.cancel();
    expect(await redis.client.zrange('rq:canceled:other', '0', '-1')).toEqual(['a']);
    expect(await redis.client.exists('rq:queue:other', 'rq:canceled:default')).toBe(0);
  });

  it('aborts the function, and drops what it still gives', async () => {
    await whileItRuns(job => job.cancel());
    expect(await hash()).toMatchObject({ status: 'canceled' });
    expect(await hash()).not.toHaveProperty('exc_info');
    expect(await places()).toEqual(['canceled']);
  });
});

describe('Job.delete', () => {
  const all: Status[] = [
    'queued',
    'started',
    'finished',
    'failed',
    'stopped',
    'canceled',
    'deferred',
    'scheduled',
  ];
  it.each(all)('leaves nothing of a job that is %s', async status => {
    const job = await jobThatIs(status);
    await redis.client.xadd('rq:results:a', '*', 'type', '1');
    await redis.client.sadd('rq:job:a:dependents', 'b');
    await redis.client.sadd('rq:job::a:dependencies', 'c');
    await job.delete();
    // who waited for it is told soon
    expect(await redis.client.hgetall('rq:releasing')).toEqual({ a: 'gone:0:' });
    await new WorkerStore(new Keys(), 'w', ['default']).queueDue(redis.client);
    expect(await redis.client.keys('*')).toEqual(['rq:queues']);
  });

  it('takes the job out of its group', async () => {
    const job = await jobThatIs('queued');
    await redis.client.hset('rq:job:a', 'group_id', 'g');
    await redis.client.sadd('rq:group:g', 'a', 'b');
    await job.delete();
    expect(await redis.client.smembers('rq:group:g')).toEqual(['b']);
  });

  it('leaves other jobs alone', async () => {
    const other = await q.enqueue('f');
    await (await jobThatIs('queued')).delete();
    expect(await q.getJobIds()).toEqual([other.id]);
    expect(await other.getStatus()).toBe('queued');
  });

  it('is safe where the job is gone, and clears what is left in the list', async () => {
    const job = await jobThatIs('queued');
    await redis.client.del('rq:job:a');
    await job.delete();
    await job.delete();
    expect(await redis.client.keys('*')).toEqual(['rq:queues']);
  });

  it('tells who waits for a job that is gone', async () => {
    const job = await jobThatIs('queued');
    const waits = await q.enqueue('g', [], { dependsOn: job });
    await redis.client.del('rq:job:a');
    await job.delete();
    expect(await redis.client.hgetall('rq:releasing')).toEqual({ a: 'gone:0:' });
    await new WorkerStore(new Keys(), 'w', ['default']).queueDue(redis.client);
    expect(await q.getJobIds()).toEqual([waits.id]);
    expect(await redis.client.keys('rq:releasing*')).toEqual([]);
  });

  it('aborts the function, and drops what it still gives', async () => {
    await whileItRuns(job => job.delete());
    expect(await redis.client.exists('rq:job:a')).toBe(0);
    expect(await places()).toEqual([]);
  });
});
