/** What the options of `enqueue` do to a job's life: its id, its lifetime, what is kept of it. */
import { describe, expect, it, vi } from 'vitest';
import { DuplicateJobError } from '../lib/errors.ts';
import { Queue } from '../lib/queue.ts';
import { useQueue, useRedis, workOff } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
const list = (name = 'default'): Promise<string[]> => redis.client.lrange(`rq:queue:${name}`, 0, -1);
const burst = (...queues: string[]): Promise<void> =>
  workOff(redis, {}, queues.length > 0 ? queues : 'default');

describe('jobId', () => {
  it('refuses the id of a job that waits', async () => {
    await q.enqueue('f', [1], { jobId: 'a' });
    const second = q.enqueue('f', [2], { jobId: 'a' });
    await expect(second).rejects.toThrow(DuplicateJobError);
    await expect(second).rejects.toMatchObject({ code: 'RQ_DUPLICATE_JOB', jobId: 'a', status: 'queued' });
    expect(await list()).toEqual(['a']);
    expect((await hash('a'))['data']).toBe('["f",null,[1],{}]');
  });

  it('refuses it in the same tick as well', async () => {
    const calls = [q.enqueue('f', [1], { jobId: 'a' }), q.enqueue('f', [2], { jobId: 'a' })];
    const [first, second] = await Promise.allSettled(calls);
    expect(first?.status).toBe('fulfilled');
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'RQ_DUPLICATE_JOB' } });
    expect(await list()).toEqual(['a']);
  });

  it('refuses it to another queue', async () => {
    await using other = new Queue('other', { connection: redis.url });
    await q.enqueue('f', [1], { jobId: 'a' });
    await expect(other.enqueue('f', [2], { jobId: 'a' })).rejects.toThrow(DuplicateJobError);
    expect(await list('other')).toEqual([]);
    expect(await hash('a')).toMatchObject({ origin: 'default' });
  });

  it.each(['started', 'deferred', 'scheduled'])('refuses the id of a job that is %s', async status => {
    await q.enqueue('f', [1], { jobId: 'a' });
    await redis.client.multi().hset('rq:job:a', 'status', status).del('rq:queue:default').exec();
    await expect(q.enqueue('f', [2], { jobId: 'a' })).rejects.toMatchObject({
      code: 'RQ_DUPLICATE_JOB',
      status,
    });
    expect(await list()).toEqual([]);
    expect(await hash('a')).toMatchObject({ status, data: '["f",null,[1],{}]' });
  });

  it('replaces a job that finished', async () => {
    await q.enqueue('sum', [[1, 2]], { jobId: 'a', meta: { old: true } });
    await burst();
    expect(await hash('a')).toMatchObject({ status: 'finished', result: '3' });
    const job = await q.enqueue('sum', [[3, 4]], { jobId: 'a' });
    expect(await job.result).toBeUndefined();
    expect(Object.keys(await hash('a')).toSorted()).toEqual([
      'created_at',
      'data',
      'description',
      'enqueue_id',
      'enqueued_at',
      'origin',
      'status',
      'timeout',
    ]);
    expect(await redis.client.ttl('rq:job:a')).toBe(-1);
    expect(await redis.client.exists('rq:finished:default')).toBe(0);
    await burst();
    expect(await job.result).toBe(7);
  });

  it('replaces a job that failed', async () => {
    await q.enqueue('fail', ['no'], { jobId: 'a' });
    await burst();
    expect(await redis.client.zrange('rq:failed:default', '0', '-1')).toEqual(['a']);
    await q.enqueue('sum', [[3, 4]], { jobId: 'a' });
    expect(await redis.client.exists('rq:failed:default')).toBe(0);
    expect(await hash('a')).not.toHaveProperty('exc_info');
    expect(await list()).toEqual(['a']);
  });

  it('replaces a job that was stopped', async () => {
    await redis.client.hset('rq:job:a', { status: 'stopped', origin: 'default', exc_info: 'x' });
    await redis.client.zadd('rq:failed:default', '+inf', 'a');
    await q.enqueue('sum', [[3, 4]], { jobId: 'a' });
    expect(await redis.client.exists('rq:failed:default')).toBe(0);
    expect(await hash('a')).toMatchObject({ status: 'queued' });
    expect(await hash('a')).not.toHaveProperty('exc_info');
  });

  it('replaces a job that was canceled', async () => {
    const job = await q.enqueue('f', [1], { jobId: 'a' });
    await job.cancel();
    await q.enqueue('sum', [[3, 4]], { jobId: 'a' });
    expect(await redis.client.exists('rq:canceled:default')).toBe(0);
    expect(await list()).toEqual(['a']);
    expect(await redis.client.ttl('rq:job:a')).toBe(-1);
  });

  it('drops the result stream of the job it replaces', async () => {
    await redis.client.hset('rq:job:a', { status: 'finished', origin: 'default' });
    await redis.client.xadd('rq:results:a', '*', 'type', '1', 'return_value', 'Mw==');
    await q.enqueue('sum', [[3, 4]], { jobId: 'a' });
    expect(await redis.client.exists('rq:results:a')).toBe(0);
  });

  it.each(['finished', 'failed', 'canceled'])('replaces a job that is %s on another queue', async status => {
    await using other = new Queue('other', { connection: redis.url });
    await redis.client.hset('rq:job:a', { status, origin: 'other', result: '1', meta: '{"old":1}' });
    await redis.client.zadd(`rq:${status}:other`, '+inf', 'a');
    await redis.client.xadd('rq:results:a', '*', 'type', '1', 'return_value', 'Mw==');
    const job = await q.enqueue('sum', [[3, 4]], { jobId: 'a' });
    expect(job.origin).toBe('default');
    expect(await redis.client.exists(`rq:${status}:other`, 'rq:results:a')).toBe(0);
    expect(await hash('a')).toMatchObject({ status: 'queued', origin: 'default' });
    expect(await hash('a')).not.toHaveProperty('result');
    expect(await hash('a')).not.toHaveProperty('meta');
    expect([await list(), await list('other')]).toEqual([['a'], []]);
    expect(await other.count()).toBe(0);
  });

  it('is free again once the job is deleted', async () => {
    const job = await q.enqueue('f', [1], { jobId: 'a' });
    await job.delete();
    await q.enqueue('f', [2], { jobId: 'a' });
    expect(await list()).toEqual(['a']);
  });

  it('gives one copy to twenty callers at once', async () => {
    const queues = Array.from({ length: 20 }, () => new Queue('default', { connection: redis.url }));
    const done = await Promise.allSettled(queues.map(each => each.enqueue('f', [], { jobId: 'a' })));
    expect(done.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await list()).toEqual(['a']);
    await Promise.all(queues.map(each => each.close()));
  });
});

describe('ttl', () => {
  it('gives the hash its lifetime', async () => {
    const { id } = await q.enqueue('f', [], { ttl: '1h' });
    expect(await redis.client.ttl(`rq:job:${id}`)).toBeGreaterThan(3595);
    expect(await redis.client.ttl(`rq:job:${id}`)).toBeLessThanOrEqual(3600);
  });

  it.each([undefined, -1])('of %s gives it none', async ttl => {
    const { id } = await q.enqueue('f', [], ttl === undefined ? {} : { ttl });
    expect(await redis.client.ttl(`rq:job:${id}`)).toBe(-1);
  });

  it('lets a waiting job expire, which no worker then runs', async () => {
    const job = await q.enqueue('sum', [[1]], { ttl: 1 });
    await vi.waitFor(async () => expect(await redis.client.exists(`rq:job:${job.id}`)).toBe(0), {
      timeout: 10_000,
      interval: 20,
    });
    expect(await q.fetchJob(job.id)).toBeUndefined();
    await expect(job.result).rejects.toMatchObject({ code: 'RQ_NO_SUCH_JOB' });
    await burst();
    expect(await list()).toEqual([]);
    expect(await redis.client.exists(`rq:job:${job.id}`, 'rq:finished:default', 'rq:wip:default')).toBe(0);
  });

  it('no longer counts once the job runs', async () => {
    const job = await q.enqueue('sum', [[1]], { ttl: 100, resultTtl: -1 });
    await burst();
    expect(await job.result).toBe(1);
    expect(await redis.client.ttl(`rq:job:${job.id}`)).toBe(-1);
  });
});

describe('resultTtl', () => {
  it.each([
    [undefined, 500],
    [60, 60],
    ['1h', 3600],
  ] as const)('of %s keeps the job %d seconds after it finished', async (resultTtl, seconds) => {
    const { id } = await q.enqueue('sum', [[1]], resultTtl === undefined ? {} : { resultTtl });
    await burst();
    expect(await redis.client.ttl(`rq:job:${id}`)).toBeGreaterThan(seconds - 5);
    expect(await redis.client.ttl(`rq:job:${id}`)).toBeLessThanOrEqual(seconds);
    const [now] = await redis.client.time();
    const score = Number(await redis.client.zscore('rq:finished:default', id));
    expect(Math.abs(score - Number(now) - seconds)).toBeLessThan(5);
  });

  it('of 0 keeps nothing of a job that finished', async () => {
    const { id } = await q.enqueue('sum', [[1]], { resultTtl: 0 });
    expect((await hash(id))['result_ttl']).toBe('0');
    await burst();
    expect(await redis.client.exists(`rq:job:${id}`, 'rq:finished:default', `rq:results:${id}`)).toBe(0);
  });

  it('of -1 keeps it for ever', async () => {
    const { id } = await q.enqueue('sum', [[1]], { resultTtl: -1 });
    await burst();
    expect(await redis.client.ttl(`rq:job:${id}`)).toBe(-1);
    expect(await redis.client.zscore('rq:finished:default', id)).toBe('inf');
  });
});

describe('failureTtl', () => {
  it.each([
    [undefined, 30 * 24 * 3600],
    ['2m', 120],
  ] as const)('of %s keeps the job %d seconds after it failed', async (failureTtl, seconds) => {
    const { id } = await q.enqueue('fail', ['no'], failureTtl === undefined ? {} : { failureTtl });
    await burst();
    const ttl = await redis.client.ttl(`rq:job:${id}`);
    expect(ttl).toBeGreaterThan(seconds - 5);
    expect(ttl).toBeLessThanOrEqual(seconds);
    expect(await redis.client.zrange('rq:failed:default', '0', '-1')).toEqual([id]);
  });

  it('of 0 keeps nothing of a job that failed', async () => {
    const { id } = await q.enqueue('fail', ['no'], { failureTtl: 0 });
    await burst();
    expect(await redis.client.exists(`rq:job:${id}`, 'rq:failed:default')).toBe(0);
  });
});

describe('A queue’s defaults', () => {
  it('stand where a call does not say', async () => {
    await using queue = new Queue('default', {
      connection: redis.url,
      defaultTimeout: '10m',
      defaultResultTtl: '1h',
    });
    const plain = await queue.enqueue('f');
    const own = await queue.enqueue('f', [], { timeout: 5, resultTtl: 6 });
    expect(await hash(plain.id)).toMatchObject({ timeout: '600', result_ttl: '3600' });
    expect(await hash(own.id)).toMatchObject({ timeout: '5', result_ttl: '6' });
  });
});

describe('kwargs', () => {
  it('reach a function as one last object', async () => {
    const job = await q.enqueue('echo', [1], { kwargs: { b: [2], c: null } });
    expect(job.kwargs).toEqual({ b: [2], c: null });
    expect(job.description).toBe('echo(1, b=[2], c=null)');
    await burst();
    expect(await job.result).toEqual([1, { b: [2], c: null }]);
  });
});

describe('description', () => {
  it('is cut where a call is long', async () => {
    const { id } = await q.enqueue('f', ['x'.repeat(10_000)]);
    const { description = '' } = await hash(id);
    expect(description.length).toBeLessThanOrEqual(200);
    expect(description).toMatch(/^f\("x+…\)$/);
  });
});

describe('meta', () => {
  it('reaches the function', async () => {
    const job = await q.enqueue('whoAmI', [], { meta: { user: { id: 7 } } });
    await burst();
    expect(await job.result).toMatchObject({ id: job.id, origin: 'default', meta: { user: { id: 7 } } });
  });
});
