/** What is sent to Redis, and what a caller is told where the reply is lost, late, or a refusal. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OutcomeUnknownError, RedisRefusedError, type DuplicateJobError } from '../lib/errors.ts';
import { enqueue } from '../lib/lua/enqueue.ts';
import { Queue } from '../lib/queue.ts';
import { useQueue, useRedis } from './support/in-process.ts';
import { Proxy } from './support/proxy.ts';
import { startRedis } from './support/redis.ts';

const redis = useRedis();
const q = useQueue(redis);

const list = (): Promise<string[]> => redis.client.lrange('rq:queue:default', 0, -1);

describe('A lost reply to enqueue', () => {
  let proxy: Proxy;
  beforeAll(async () => {
    proxy = await Proxy.to(redis.port);
  });
  beforeEach(() => redis.client.script('LOAD', enqueue.source));
  afterAll(() => proxy.close());

  it('leaves one copy, and the call resolves', async () => {
    await using queue = new Queue('default', { connection: proxy.url });
    await queue.count();
    const lost = proxy.loseReplyTo(enqueue.sha);
    const [job] = await Promise.all([queue.enqueue('f', [1]), lost]);
    expect(await list()).toEqual([job.id]);
    expect(await redis.client.hgetall(`rq:job:${job.id}`)).toMatchObject({ status: 'queued' });
  });

  it('is no duplicate where the caller chose the id', async () => {
    await using queue = new Queue('default', { connection: proxy.url });
    await queue.count();
    const lost = proxy.loseReplyTo(enqueue.sha);
    const [job] = await Promise.all([queue.enqueue('f', [1], { jobId: 'mine' }), lost]);
    expect(job.id).toBe('mine');
    expect(await list()).toEqual(['mine']);
  });

  it('leaves one copy of each of 1,200, in order', async () => {
    await using queue = new Queue('default', { connection: proxy.url });
    await queue.count();
    const lost = proxy.loseReplyTo(enqueue.sha);
    const calls = Array.from({ length: 1200 }, (_, i) => ['f', [i]] as const);
    const [jobs] = await Promise.all([queue.enqueueMany(calls), lost]);
    expect((await list()).toSorted()).toEqual(jobs.map(({ id }) => id).toSorted());
    expect(await list()).toEqual(jobs.map(({ id }) => id));
  });

  it('does not bring back a job that was taken and ended meanwhile', async () => {
    await using queue = new Queue('default', { connection: proxy.url });
    await queue.count();
    const lost = proxy.loseReplyTo(enqueue.sha).then(async () => {
      await redis.client.hset('rq:job:mine', 'status', 'finished');
      await redis.client.del('rq:queue:default');
    });
    await Promise.all([queue.enqueue('f', [1], { jobId: 'mine' }), lost]);
    expect(await list()).toEqual([]);
    expect(await redis.client.hget('rq:job:mine', 'status')).toBe('finished');
  });

  it('leaves one copy through a client that resends by itself', async () => {
    const client = new Redis(proxy.url);
    client.on('error', () => {});
    await using queue = new Queue('default', { connection: client });
    await queue.count();
    const lost = proxy.loseReplyTo(enqueue.sha);
    const [job] = await Promise.all([queue.enqueue('f', [1], { jobId: 'mine' }), lost]);
    expect(await list()).toEqual([job.id]);
    client.disconnect();
  });

  it('leaves the later calls as they are', async () => {
    await using queue = new Queue('default', { connection: proxy.url });
    const lost = proxy.loseReplyTo(enqueue.sha);
    const [first] = await Promise.all([queue.enqueue('f', [1]), lost]);
    const second = await queue.enqueue('f', [2]);
    expect(await list()).toEqual([first.id, second.id]);
  });
});

describe.concurrent('A connection that never replies', () => {
  it('gives OutcomeUnknownError in time, and repeating with the same jobId leaves one copy', async ({
    onTestFinished,
  }) => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    await using queue = new Queue('default', { connection: server.url });
    await queue.count();
    process.kill(server.pid, 'SIGSTOP');
    const began = performance.now();
    const call = queue.enqueue('f', [1], { jobId: 'mine' });
    try {
      await expect(call).rejects.toThrow(OutcomeUnknownError);
      await expect(call).rejects.toMatchObject({ code: 'RQ_OUTCOME_UNKNOWN' });
      await expect(call).rejects.toThrow(new RegExp(`127\\.0\\.0\\.1:${server.port}.*same jobId`));
      expect(performance.now() - began).toBeLessThan(9000);
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    // the first sending may have arrived: then this one is a second call, and refused
    const again = await queue.enqueue('f', [1], { jobId: 'mine' }).then(
      () => 'queued',
      (error: unknown) => (error as DuplicateJobError).code,
    );
    expect(['queued', 'RQ_DUPLICATE_JOB']).toContain(again);
    expect(await server.client.lrange('rq:queue:default', 0, -1)).toEqual(['mine']);
  });

  it('gives ConnectionError to a call that only reads', async ({ onTestFinished }) => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    await using queue = new Queue('default', { connection: server.url });
    await queue.count();
    process.kill(server.pid, 'SIGSTOP');
    try {
      await expect(queue.count()).rejects.toMatchObject({ code: 'RQ_CONNECTION' });
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
  });
});

describe('A Redis that is out of memory', () => {
  const fill = (): Promise<unknown> =>
    redis.client.config('SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '1');
  const relieve = (): Promise<unknown> => redis.client.config('SET', 'maxmemory', '0');

  it('refuses enqueue with an error that says what to do', async () => {
    await fill();
    const call = q.enqueue('f', [1]);
    await expect(call).rejects.toThrow(RedisRefusedError);
    await expect(call).rejects.toMatchObject({ code: 'RQ_REDIS_REFUSED' });
    await expect(call).rejects.toThrow(/enqueue.*OOM.*maxmemory/);
    await relieve();
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('lets jobs be looked at, canceled and deleted', async () => {
    const jobs = await q.enqueueMany([['f'], ['f'], ['f']]);
    await fill();
    try {
      expect(await q.count()).toBe(3);
      expect(await jobs[0].getStatus()).toBe('queued');
      expect((await q.getJobs()).map(({ functionName }) => functionName)).toEqual(['f', 'f', 'f']);
      await jobs[0].cancel();
      await jobs[1].delete();
      expect(await q.empty()).toBe(1);
    } finally {
      await relieve();
    }
    expect(await list()).toEqual([]);
  });

  it('lets registries be read', async () => {
    await redis.client.zadd('rq:failed:default', '+inf', 'a');
    await fill();
    try {
      expect(await q.failedRegistry.count()).toBe(1);
      expect(await q.failedRegistry.getJobIds()).toEqual(['a']);
    } finally {
      await relieve();
    }
  });
});

describe('A key of the wrong type', () => {
  it.each(['rq:queue:default', 'rq:queues'])(
    'at %s refuses the whole call before anything is written',
    async key => {
      await redis.client.set(key, 'text');
      const calls = await Promise.allSettled([q.enqueue('f'), q.enqueue('f', [], { jobId: 'mine' })]);
      for (const call of calls) {
        expect(call).toMatchObject({ status: 'rejected', reason: { code: 'RQ_REDIS_REFUSED' } });
        expect((call as PromiseRejectedResult).reason).toMatchObject({
          message: expect.stringMatching(/refused to enqueue.*WRONGTYPE/) as unknown,
        });
      }
      expect(await redis.client.keys('*')).toEqual([key]);
      expect(await redis.client.get(key)).toBe('text');
    },
  );

  it.each(['finished', 'failed', 'canceled'])(
    'at rq:%s:default refuses the job that is to replace an ended one, and no other',
    async registry => {
      await redis.client.hset('rq:job:mine', { status: 'finished', origin: 'default', result: '1' });
      await redis.client.set(`rq:${registry}:default`, 'text');
      const [fresh, mine] = await Promise.allSettled([q.enqueue('f'), q.enqueue('f', [], { jobId: 'mine' })]);
      expect(fresh?.status).toBe('fulfilled');
      expect(mine).toMatchObject({
        status: 'rejected',
        reason: {
          code: 'RQ_REDIS_REFUSED',
          message: expect.stringMatching(/mine.*WRONGTYPE/) as unknown,
        },
      });
      expect(await redis.client.hget('rq:job:mine', 'result')).toBe('1');
      expect(await redis.client.llen('rq:queue:default')).toBe(1);
    },
  );

  it('at one job of a hundred refuses that one only', async () => {
    await redis.client.set('rq:job:id-50', 'text');
    const calls = Array.from({ length: 100 }, (_, i) => q.enqueue('f', [i], { jobId: `id-${i}` }));
    const done = await Promise.allSettled(calls);
    const refused = done.flatMap((call, i) => (call.status === 'rejected' ? [i] : []));
    expect(refused).toEqual([50]);
    expect(done[50]).toMatchObject({
      reason: { code: 'RQ_REDIS_REFUSED', message: expect.stringMatching(/id-50.*WRONGTYPE/) as unknown },
    });
    expect(await redis.client.get('rq:job:id-50')).toBe('text');
    expect(await list()).toHaveLength(99);
    expect(await list()).not.toContain('id-50');
  });

  it('at a job’s key is said when the job is fetched', async () => {
    await redis.client.set('rq:job:bad', 'text');
    const [bad, missing] = await Promise.allSettled([q.fetchJob('bad'), q.fetchJob('missing')]);
    expect(bad).toMatchObject({
      status: 'rejected',
      reason: {
        code: 'RQ_INVALID_JOB',
        jobId: 'bad',
        message: expect.stringContaining('WRONGTYPE') as unknown,
      },
    });
    expect(missing).toEqual({ status: 'fulfilled', value: undefined });
  });

  it.each(['rq:canceled:default', 'rq:wip:default', 'rq:queue:default'])(
    'at %s leaves a job that is to be canceled as it is',
    async key => {
      const job = await q.enqueue('f', [], { jobId: 'mine' });
      await redis.client.set(key, 'text');
      await expect(job.cancel()).rejects.toMatchObject({ code: 'RQ_REDIS_REFUSED' });
      expect(await job.getStatus()).toBe('queued');
    },
  );
});

describe('A Redis that forgot its scripts', () => {
  it('is given them again', async () => {
    await q.enqueue('f');
    await redis.client.script('FLUSH');
    const jobs = await Promise.all([q.enqueue('f'), q.enqueue('f')]);
    await redis.client.script('FLUSH');
    expect(await jobs[0].getStatus()).toBe('queued');
    expect(await list()).toHaveLength(3);
  });
});
