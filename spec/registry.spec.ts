/** A queue's registries: what they count and list, and what leaves them. */
import { describe, expect, it } from 'vitest';
import { InvalidJobOperationError, NoSuchJobError } from '../lib/errors.ts';
import type { Queue } from '../lib/queue.ts';
import { Worker } from '../lib/worker/worker.ts';
import { useQueue, useRedis, workOff } from './support/in-process.ts';
import * as tasks from './support/tasks.js';

const redis = useRedis();
const q = useQueue(redis);

const NAMES = ['started', 'finished', 'failed', 'deferred', 'scheduled', 'canceled'] as const;
const keyOf = (name: string): string => `rq:${name === 'started' ? 'wip' : name}:default`;
const registry = (name: (typeof NAMES)[number]): Queue['failedRegistry'] => q[`${name}Registry`];

/** A job that is in a registry of its own by its hash and its membership. */
async function put(id: string, status: string, place: string, origin = 'default'): Promise<void> {
  await redis.client.hset(`rq:job:${id}`, { status, origin, data: '["f",null,[],{}]', description: 'f()' });
  await redis.client.zadd(`rq:${place}:${origin}`, 9e9, id);
}

describe.each(NAMES)('The %s registry', name => {
  it('is named so', () => expect(registry(name).name).toBe(name));

  it('is empty where nothing is in it', async () => {
    expect(await registry(name).count()).toBe(0);
    expect(await registry(name).getJobIds()).toEqual([]);
  });

  it('counts and lists ids by their scores, from offset, at most limit', async () => {
    const member = (id: string): string => (name === 'started' ? `${id}:n${'0'.repeat(31)}` : id);
    const members = ['e', 'd', 'c', 'b', 'a'].map((id, i): [number, string] => [9e9 + i, member(id)]);
    await redis.client.zadd(keyOf(name), ...members.toReversed().flat());
    expect(await registry(name).count()).toBe(5);
    expect(await registry(name).getJobIds()).toEqual(['e', 'd', 'c', 'b', 'a']);
    expect(await registry(name).getJobIds(1)).toEqual(['d', 'c', 'b', 'a']);
    expect(await registry(name).getJobIds(1, 2)).toEqual(['d', 'c']);
    expect(await registry(name).getJobIds(0, 0)).toEqual([]);
    expect(await registry(name).getJobIds(4, 9)).toEqual(['a']);
    expect(await registry(name).getJobIds(5)).toEqual([]);
  });
});

describe('What has expired', () => {
  it.each(['finished', 'failed'] as const)('is not counted among the %s jobs', async name => {
    await redis.client.zadd(keyOf(name), 1, 'old', 9e9, 'new', '+inf', 'ever');
    expect(await registry(name).count()).toBe(2);
    expect(await registry(name).getJobIds()).toEqual(['new', 'ever']);
    expect(await registry(name).getJobIds(0, 1)).toEqual(['new']);
  });

  it.each(['deferred', 'scheduled', 'canceled'] as const)(
    'is nothing among the %s jobs, whose scores mean another thing',
    async name => {
      await redis.client.zadd(keyOf(name), 1, 'old', 9e9, 'new');
      expect(await registry(name).count()).toBe(2);
      expect(await registry(name).getJobIds()).toEqual(['old', 'new']);
    },
  );

  it('leaves a run whose lease is over in the registry, for the janitor to find', async () => {
    await redis.client.zadd(keyOf('started'), 1, `a:n${'0'.repeat(31)}`);
    expect(await q.startedRegistry.getJobIds()).toEqual(['a']);
    expect(await redis.client.zcard(keyOf('started'))).toBe(1);
  });
});

describe('The started registry', () => {
  it('gives the ids of runs, ours and Python’s', async () => {
    await redis.client.zadd(keyOf('started'), 9e9, `a-1:n${'0'.repeat(31)}`, 9e9 + 1, `b:${'f'.repeat(32)}`);
    expect(await q.startedRegistry.getJobIds()).toEqual(['a-1', 'b']);
  });

  it('holds a job while it runs', async () => {
    const worker = new Worker('default', { connection: redis.url, functions: tasks });
    const job = await q.enqueue('waitForAbort', [20_000]);
    const started = new Promise(resolve => worker.once('jobStarted', resolve));
    const work = worker.work({ maxJobs: 1 });
    await started;
    expect(await q.startedRegistry.getJobIds()).toEqual([job.id]);
    expect(await q.startedRegistry.count()).toBe(1);
    await job.stop();
    await work;
    expect(await q.startedRegistry.count()).toBe(0);
    expect(await q.failedRegistry.getJobIds()).toEqual([job.id]);
  });

  it('refuses to give a running job up', async () => {
    await redis.client.hset('rq:job:a', { status: 'started', origin: 'default', execution_id: 'n1' });
    await redis.client.zadd(keyOf('started'), 9e9, 'a:n1');
    await expect(q.startedRegistry.requeue('a')).rejects.toThrow(InvalidJobOperationError);
    await expect(q.startedRegistry.remove('a')).rejects.toThrow(InvalidJobOperationError);
    expect(await redis.client.hget('rq:job:a', 'status')).toBe('started');
    expect(await redis.client.zcard(keyOf('started'))).toBe(1);
  });
});

describe('Registry.requeue', () => {
  it.each([
    ['finished', 'finished'],
    ['failed', 'failed'],
    ['failed', 'stopped'],
    ['canceled', 'canceled'],
  ] as const)('of the %s registry puts a %s job back on its queue', async (name, status) => {
    await put('a', status, name);
    const job = await registry(name).requeue('a');
    expect(job).toMatchObject({ id: 'a', status: 'queued' });
    expect(await q.getJobIds()).toEqual(['a']);
    expect(await registry(name).count()).toBe(0);
    expect(await redis.client.hget('rq:job:a', 'status')).toBe('queued');
  });

  it('puts it in front where atFront says so', async () => {
    const { id } = await q.enqueue('f');
    await put('a', 'failed', 'failed');
    await q.failedRegistry.requeue('a', { atFront: true });
    expect(await q.getJobIds()).toEqual(['a', id]);
  });

  it.each(['queued', 'started', 'finished', 'canceled'])(
    'of the failed one refuses a job that is %s',
    async status => {
      await redis.client.hset('rq:job:a', { status, origin: 'default' });
      await expect(q.failedRegistry.requeue('a')).rejects.toThrow(InvalidJobOperationError);
      await expect(q.failedRegistry.requeue('a')).rejects.toThrow(/not in the failed registry/);
      expect(await redis.client.hget('rq:job:a', 'status')).toBe(status);
      expect(await q.count()).toBe(0);
    },
  );

  it('refuses a job of another queue', async () => {
    await put('a', 'failed', 'failed', 'other');
    await expect(q.failedRegistry.requeue('a')).rejects.toThrow(InvalidJobOperationError);
    expect(await redis.client.hget('rq:job:a', 'status')).toBe('failed');
    expect(await redis.client.zrange('rq:failed:other', '0', '-1')).toEqual(['a']);
  });

  it('rejects for a job that is gone', async () => {
    await expect(q.failedRegistry.requeue('a')).rejects.toThrow(NoSuchJobError);
    expect(await redis.client.dbsize()).toBe(0);
  });
});

describe('Registry.remove', () => {
  it.each([
    ['finished', 'finished'],
    ['failed', 'failed'],
    ['failed', 'stopped'],
    ['deferred', 'deferred'],
    ['scheduled', 'scheduled'],
    ['canceled', 'canceled'],
  ] as const)('of the %s registry deletes a %s job', async (name, status) => {
    await put('a', status, name);
    await put('b', status, name);
    await registry(name).remove('a');
    expect(await registry(name).getJobIds()).toEqual(['b']);
    expect(await redis.client.exists('rq:job:a')).toBe(0);
    expect(await redis.client.exists('rq:job:b')).toBe(1);
  });

  it('refuses a job that is elsewhere', async () => {
    const job = await q.enqueue('f', [], { jobId: 'a' });
    await expect(q.failedRegistry.remove('a')).rejects.toThrow(/not in the failed registry: it is queued/);
    expect(await job.getStatus()).toBe('queued');
    expect(await q.getJobIds()).toEqual(['a']);
  });

  it('refuses a job of another queue', async () => {
    await put('a', 'failed', 'failed', 'other');
    await expect(q.failedRegistry.remove('a')).rejects.toThrow(InvalidJobOperationError);
    expect(await redis.client.exists('rq:job:a')).toBe(1);
  });

  it('rejects for a job that is gone', async () => {
    await expect(q.failedRegistry.remove('a')).rejects.toThrow(NoSuchJobError);
  });
});

describe('The registries of real runs', () => {
  it('hold what became of each job, in one place', async () => {
    const [finished, failed, canceled] = await q.enqueueMany([
      ['sum', [[1]]],
      ['fail', ['no']],
      ['sum', [[2]]],
    ]);
    await canceled.cancel();
    await workOff(redis);
    expect(await q.finishedRegistry.getJobIds()).toEqual([finished.id]);
    expect(await q.failedRegistry.getJobIds()).toEqual([failed.id]);
    expect(await q.canceledRegistry.getJobIds()).toEqual([canceled.id]);
    expect(await q.startedRegistry.count()).toBe(0);
    expect(await q.count()).toBe(0);
  });
});
