import { describe, expect, it } from 'vitest';
import { Keys } from '../lib/keys.ts';
import type { RunRef } from '../lib/outcome.ts';
import { WorkerStore, type Report } from '../lib/worker-store.ts';
import { useLink, useRedis, useWorkerStore } from './support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);
const store = useWorkerStore('a', 'b');

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
const report: Report = { state: 'idle', currentJob: '', finished: 0, failed: 0, seconds: 0 };
const beat = (more: Partial<Report> = {}): Promise<boolean> =>
  store.heartbeat(link.redis, { ...report, ...more }, ['queues', 'a,b', 'pid', '42']);
const workerHash = (): Promise<Record<string, string>> => redis.client.hgetall('rq:worker:w1');
const list = (queue: string): Promise<string[]> => redis.client.lrange(`rq:queue:${queue}`, 0, -1);
const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);

/** Puts jobs on a queue and takes them. */
async function started(
  ids: readonly string[],
  { queue = 'a', by = store, fields = {} }: { queue?: string; by?: WorkerStore; fields?: object } = {},
): Promise<readonly RunRef[]> {
  const data = '["fn",null,[],{}]';
  for (const id of ids) {
    await redis.client.hset(`rq:job:${id}`, { status: 'queued', origin: queue, data, ...fields });
  }
  await redis.client.rpush(`rq:queue:${queue}`, ...ids);
  const request = { handIns: [], want: ids.length, claims: new Set<number>(), strategy: 'default' } as const;
  return (await by.advance(link.redis, request)).jobs;
}

async function redisTime(): Promise<number> {
  const [seconds, micros] = await redis.client.time();
  return Number(seconds) + Number(micros) / 1e6;
}

describe('WorkerStore.claimsKey', () => {
  it('is a list of the worker’s own for each queue', () => {
    expect(store.claimsKey(0)).toBe('rq:worker:w1:claims:a');
    expect(store.claimsKey(1)).toBe('rq:worker:w1:claims:b');
    expect(store.listKey(1)).toBe('rq:queue:b');
  });

  it('refuses a queue that there is none of', () => {
    expect(() => store.claimsKey(2)).toThrow(RangeError);
    expect(() => store.claimsKey(2)).toThrow('No queue 2 among 2');
  });
});

describe('WorkerStore.heartbeat', () => {
  it('registers the worker, for 40 s', async () => {
    expect(await beat()).toBe(true);
    const fields = await workerHash();
    expect(fields).toMatchObject({ queues: 'a,b', pid: '42', state: 'idle' });
    expect(fields['birth']).toMatch(TIMESTAMP);
    expect(fields['last_heartbeat']).toMatch(TIMESTAMP);
    expect(fields).not.toHaveProperty('current_job');
    expect(await redis.client.ttl('rq:worker:w1')).toBeGreaterThan(35);
    expect(await redis.client.ttl('rq:worker:w1')).toBeLessThanOrEqual(40);
    expect(await redis.client.smembers('rq:workers')).toEqual(['rq:worker:w1']);
    expect(await redis.client.smembers('rq:workers:a')).toEqual(['rq:worker:w1']);
    expect(await redis.client.smembers('rq:workers:b')).toEqual(['rq:worker:w1']);
  });

  it('keeps it registered, with its birth', async () => {
    await beat();
    await redis.client.hset('rq:worker:w1', 'birth', 'long ago');
    await redis.client.expire('rq:worker:w1', 5);
    expect(await beat()).toBe(false);
    expect(await redis.client.ttl('rq:worker:w1')).toBeGreaterThan(35);
    expect(await redis.client.ttl('rq:worker:w1')).toBeLessThanOrEqual(40);
    expect(await workerHash()).toMatchObject({ birth: 'long ago' });
  });

  it('registers it again once its hash is gone', async () => {
    await beat();
    await redis.client.del('rq:worker:w1', 'rq:workers', 'rq:workers:a', 'rq:workers:b');
    expect(await beat({ state: 'busy', currentJob: 'j' })).toBe(true);
    expect(await workerHash()).toMatchObject({ queues: 'a,b', state: 'busy', current_job: 'j' });
    expect(await redis.client.smembers('rq:workers')).toEqual(['rq:worker:w1']);
    expect(await redis.client.smembers('rq:workers:b')).toEqual(['rq:worker:w1']);
  });

  it('says which job runs, and clears it when none does', async () => {
    await beat({ state: 'busy', currentJob: 'job-1' });
    expect(await workerHash()).toMatchObject({ state: 'busy', current_job: 'job-1' });
    await beat();
    expect(await workerHash()).not.toHaveProperty('current_job');
  });

  it('adds up what ended', async () => {
    await beat({ finished: 2, failed: 1, seconds: 1.5 });
    await beat({ finished: 3, failed: 0, seconds: 0.25 });
    expect(await workerHash()).toMatchObject({
      successful_job_count: '5',
      failed_job_count: '1',
      total_working_time: '1.75',
    });
  });

  it('takes a very short working time', async () => {
    await beat({ finished: 1, seconds: 1.25e-7 });
    expect(Number((await workerHash())['total_working_time'])).toBeCloseTo(1.25e-7, 9);
  });

  it('is taken by a Redis that is out of memory', async () => {
    await redis.client.config('SET', 'maxmemory', '1');
    try {
      expect(await beat()).toBe(true);
    } finally {
      await redis.client.config('SET', 'maxmemory', '0');
    }
  });
});

describe('WorkerStore.unregister', () => {
  it('notes the death, and leaves the hash for 60 s', async () => {
    await beat({ state: 'busy', currentJob: 'job-1' });
    await store.unregister(link.redis);
    const fields = await workerHash();
    expect(fields['death']).toMatch(TIMESTAMP);
    expect(fields).not.toHaveProperty('current_job');
    expect(await redis.client.ttl('rq:worker:w1')).toBeGreaterThan(55);
    expect(await redis.client.ttl('rq:worker:w1')).toBeLessThanOrEqual(60);
    expect(await redis.client.exists('rq:workers', 'rq:workers:a', 'rq:workers:b')).toBe(0);
  });

  it('brings no hash to life that is gone', async () => {
    await store.unregister(link.redis);
    expect(await redis.client.keys('*')).toEqual([]);
  });

  it('leaves other workers registered', async () => {
    await beat();
    const other = new WorkerStore(new Keys(), 'w2', ['a']);
    await other.heartbeat(link.redis, report, ['queues', 'a']);
    await store.unregister(link.redis);
    expect(await redis.client.smembers('rq:workers:a')).toEqual(['rq:worker:w2']);
  });
});

describe('WorkerStore.renew', () => {
  it('puts the end of the lease off', async () => {
    const [run] = await started(['1']);
    const member = `1:${run?.executionId}`;
    await redis.client.zadd('rq:wip:a', 5, member);
    const before = await redisTime();
    expect(await store.renew(link.redis, [run as RunRef])).toEqual({ lost: [], stops: [] });
    const score = Number(await redis.client.zscore('rq:wip:a', member));
    expect(score).toBeGreaterThanOrEqual(before + 90 - 0.002);
    expect(score).toBeLessThan(before + 95);
  });

  it.each([
    ['was deleted', (id: string) => redis.client.del(id)],
    ['has another execution', (id: string) => redis.client.hset(id, 'execution_id', 'other')],
    ['was canceled', (id: string) => redis.client.hset(id, 'status', 'canceled')],
    ['is no hash', async (id: string) => (await redis.client.del(id)) + (await redis.client.sadd(id, 'x'))],
  ])('says that the run of a job is lost which %s', async (_, change) => {
    const [lost, kept] = await started(['1', '2']);
    await change('rq:job:1');
    expect(await store.renew(link.redis, [lost as RunRef, kept as RunRef])).toEqual({
      lost: [lost?.executionId],
      stops: [],
    });
    expect(await redis.client.zrange('rq:wip:a', '0', '-1')).toEqual([`2:${kept?.executionId}`]);
  });

  it('brings no hash back to life', async () => {
    const [run] = await started(['1']);
    await redis.client.flushall();
    await store.renew(link.redis, [run as RunRef]);
    expect(await redis.client.keys('*')).toEqual([]);
  });
});

describe('WorkerStore.giveBack', () => {
  it('puts runs back to the front of their queue, in order and uncounted', async () => {
    const runs = await started(['1', '2', '3']);
    await redis.client.rpush('rq:queue:a', 'waiting');
    expect(await store.giveBack(link.redis, runs)).toBe(3);
    expect(await list('a')).toEqual(['1', '2', '3', 'waiting']);
    expect(await redis.client.zcard('rq:wip:a')).toBe(0);
    expect(await hash('1')).not.toHaveProperty('recoveries');
  });

  it('leaves nothing of the run in the hash', async () => {
    const runs = await started(['1'], { fields: { timeout: '7' } });
    await store.giveBack(link.redis, runs);
    const fields = await hash('1');
    expect(Object.keys(fields).toSorted()).toEqual(['data', 'enqueued_at', 'origin', 'status', 'timeout']);
    expect(fields).toMatchObject({ status: 'queued', timeout: '7' });
    expect(fields['enqueued_at']).toMatch(TIMESTAMP);
  });

  it('lets a job that has a ttl expire again', async () => {
    const runs = await started(['1', '2'], { fields: { ttl: '60' } });
    expect(await redis.client.ttl('rq:job:1')).toBe(-1);
    await store.giveBack(link.redis, runs);
    expect(await redis.client.ttl('rq:job:1')).toBeGreaterThan(55);
    expect(await redis.client.ttl('rq:job:1')).toBeLessThanOrEqual(60);
  });

  it('passes over runs that are the worker’s no more', async () => {
    const runs = await started(['1', '2', '3']);
    await redis.client.del('rq:job:1');
    await redis.client.hset('rq:job:2', 'execution_id', 'other');
    expect(await store.giveBack(link.redis, runs)).toBe(1);
    expect(await list('a')).toEqual(['3']);
    expect(await redis.client.exists('rq:job:1')).toBe(0);
    expect(await hash('2')).toMatchObject({ status: 'started' });
  });

  it('gives each run back once, however often it is asked', async () => {
    const runs = await started(['1']);
    await store.giveBack(link.redis, runs);
    expect(await store.giveBack(link.redis, runs)).toBe(0);
    expect(await list('a')).toEqual(['1']);
  });

  it('gives runs of several queues back to each', async () => {
    const runs = [...(await started(['1'])), ...(await started(['2'], { queue: 'b' }))];
    await store.giveBack(link.redis, runs);
    expect([await list('a'), await list('b')]).toEqual([['1'], ['2']]);
  });
});

describe('WorkerStore.releaseClaims', () => {
  it('puts claims back to the front of their queues, in order', async () => {
    await redis.client.rpush('rq:queue:a', 'waiting');
    await redis.client.rpush('rq:worker:w1:claims:a', '1', '2');
    await redis.client.rpush('rq:worker:w1:claims:b', '3');
    expect(await store.releaseClaims(link.redis)).toBe(3);
    expect([await list('a'), await list('b')]).toEqual([['1', '2', 'waiting'], ['3']]);
    expect(await redis.client.keys('*claims*')).toEqual([]);
  });

  it('leaves those of other workers', async () => {
    await redis.client.rpush('rq:worker:w2:claims:a', '1');
    expect(await store.releaseClaims(link.redis)).toBe(0);
    expect(await redis.client.llen('rq:worker:w2:claims:a')).toBe(1);
  });
});

describe('WorkerStore.findRuns', () => {
  it('finds this worker’s runs on all its queues', async () => {
    const runs = [...(await started(['1', '2'])), ...(await started(['3'], { queue: 'b' }))];
    const other = new WorkerStore(new Keys(), 'w1', ['a']);
    await started(['theirs'], { by: other });
    await redis.client.zadd('rq:wip:a', 1, 'py:0123456789abcdef');
    const found = await store.findRuns(link.redis);
    const plain = runs.map(({ place, jobId, executionId }) => ({ place, jobId, executionId }));
    expect(found.toSorted((x, y) => x.jobId.localeCompare(y.jobId))).toEqual(plain);
  });

  it('finds all of many', async () => {
    const ids = Array.from({ length: 400 }, (_, i) => `job-${i}`);
    await started(ids);
    expect(new Set((await store.findRuns(link.redis)).map(({ jobId }) => jobId)).size).toBe(400);
  });

  it('finds none where there is none', async () => {
    expect(await store.findRuns(link.redis)).toEqual([]);
  });
});
