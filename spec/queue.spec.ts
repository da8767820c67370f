/** What a queue writes when a job is put on it. */
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { Queue } from '../lib/queue.ts';
import { useQueue, useRedis } from './support/in-process.ts';
import { add, sum } from './support/tasks.js';

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

const redis = useRedis();
const q = useQueue(redis);

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
const list = (name = 'default'): Promise<string[]> => redis.client.lrange(`rq:queue:${name}`, 0, -1);
const ids = (jobs: readonly { readonly id: string }[]): string[] => jobs.map(({ id }) => id);

/** Calls of scripts that Redis has counted. */
async function scriptCalls(): Promise<number> {
  const info = await redis.client.info('commandstats');
  return ['evalsha', 'eval'].reduce((total, name) => {
    const [, calls] = new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(info) ?? [];
    return total + Number(calls ?? 0);
  }, 0);
}

describe('Queue', () => {
  it('is named default unless it is told otherwise', () => {
    expect(q.name).toBe('default');
    expect(new Queue(undefined, { connection: redis.url }).name).toBe('default');
    expect(new Queue('mail', { connection: redis.url }).name).toBe('mail');
  });

  it('connects to RQ_REDIS_URL unless it is told otherwise', async () => {
    const before = process.env['RQ_REDIS_URL'];
    process.env['RQ_REDIS_URL'] = redis.url;
    try {
      await using queue = new Queue('env');
      const job = await queue.enqueue(sum, [[1]]);
      expect(await list('env')).toEqual([job.id]);
    } finally {
      if (before === undefined) delete process.env['RQ_REDIS_URL'];
      else process.env['RQ_REDIS_URL'] = before;
    }
  });

  it('takes ioredis’ options', async () => {
    await using queue = new Queue('default', { connection: { host: '127.0.0.1', port: redis.port, db: 3 } });
    const job = await queue.enqueue(sum, [[1]]);
    expect(await list()).toEqual([]);
    const client = new Redis(redis.port, '127.0.0.1', { db: 3 });
    expect(await client.lrange('rq:queue:default', 0, -1)).toEqual([job.id]);
    client.disconnect();
  });

  it('keeps everything under another prefix', async () => {
    await using queue = new Queue('default', { connection: redis.url, prefix: 'other' });
    await queue.enqueue(sum, [[1]], { jobId: 'a' });
    expect((await redis.client.keys('*')).toSorted()).toEqual([
      'other:job:a',
      'other:queue:default',
      'other:queues',
    ]);
  });
});

describe('Queue.enqueue', () => {
  it('writes the fields of the wire format, and no other', async () => {
    const { id } = await q.enqueue(sum, [[42, 43]]);
    const { created_at: createdAt, enqueued_at: enqueuedAt, ...rest } = await hash(id);
    expect(createdAt).toMatch(TIMESTAMP);
    expect(enqueuedAt).toMatch(TIMESTAMP);
    expect(rest).toEqual({
      data: '["sum",null,[[42,43]],{}]',
      description: 'sum([42, 43])',
      origin: 'default',
      status: 'queued',
      timeout: '180',
    });
  });

  it('writes the fields of every option', async () => {
    await q.enqueue('mail.send', ['a', 1], {
      jobId: 'all_options-1',
      timeout: '5m',
      ttl: '1h',
      resultTtl: '2d',
      failureTtl: -1,
      description: 'a mail',
      meta: { tries: 1, tags: [] },
      kwargs: { subject: 'ä "x"' },
    });
    const {
      created_at: createdAt,
      enqueued_at: enqueuedAt,
      enqueue_id: enqueueId,
      ...rest
    } = await hash('all_options-1');
    expect(createdAt).toMatch(TIMESTAMP);
    expect(enqueuedAt).toMatch(TIMESTAMP);
    expect(enqueueId).toMatch(/^\S+$/);
    expect(rest).toEqual({
      data: '["mail.send",null,["a",1],{"subject":"ä \\"x\\""}]',
      description: 'a mail',
      failure_ttl: '-1',
      meta: '{"tries":1,"tags":[]}',
      origin: 'default',
      result_ttl: '172800',
      status: 'queued',
      timeout: '300',
      ttl: '3600',
    });
  });

  it('writes no field that is empty', async () => {
    await q.enqueue('f', [], { jobId: 'a', meta: {}, kwargs: {} });
    const empty = Object.entries(await hash('a')).filter(([, value]) => value === '');
    expect(empty).toEqual([]);
  });

  it('writes whole seconds only', async () => {
    await q.enqueue('f', [], {
      jobId: 'a',
      timeout: 2.5,
      ttl: '1500ms',
      resultTtl: 10.01,
      failureTtl: '1.2s',
    });
    expect(await hash('a')).toMatchObject({ timeout: '3', ttl: '2', result_ttl: '11', failure_ttl: '2' });
  });

  it('takes the time from Redis, the same for both timestamps', async () => {
    const { id } = await q.enqueue(sum, [[1]]);
    const [seconds] = await redis.client.time();
    const { created_at: createdAt = '', enqueued_at: enqueuedAt } = await hash(id);
    expect(enqueuedAt).toBe(createdAt);
    expect(Math.abs(Date.parse(createdAt) / 1000 - Number(seconds))).toBeLessThan(5);
  });

  it('puts the id on the list, and the list’s key among the queues', async () => {
    const job = await q.enqueue(sum, [[1]]);
    expect(await list()).toEqual([job.id]);
    expect(await redis.client.smembers('rq:queues')).toEqual(['rq:queue:default']);
    expect((await redis.client.keys('*')).toSorted()).toEqual([
      `rq:job:${job.id}`,
      'rq:queue:default',
      'rq:queues',
    ]);
  });

  it('makes ids of uuid v7', async () => {
    const jobs = [await q.enqueue(sum, [[1]]), await q.enqueue(sum, [[1]]), await q.enqueue(sum, [[1]])];
    for (const { id } of jobs) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-/);
    expect(new Set(ids(jobs)).size).toBe(3);
  });

  it('gives a handle that knows the job', async () => {
    const job = await q.enqueue(add, [1, 2], { meta: { a: 1 } });
    expect(job).toMatchObject({
      origin: 'default',
      status: 'queued',
      functionName: 'add',
      args: [1, 2],
      kwargs: {},
      description: 'add(1, 2)',
      meta: { a: 1 },
      timeout: 180,
    });
    expect(job.resultTtl).toBeUndefined();
    expect(Math.abs((job.createdAt?.getTime() ?? 0) - Date.now())).toBeLessThan(5000);
  });

  it('keeps jobs in the order of the calls', async () => {
    const first = await q.enqueue(sum, [[1]]);
    const second = await q.enqueue(sum, [[2]]);
    const [third, fourth] = await Promise.all([q.enqueue(sum, [[3]]), q.enqueue(sum, [[4]])]);
    expect(await list()).toEqual(ids([first, second, third, fourth]));
  });

  it('puts a job in front where atFront says so', async () => {
    const first = await q.enqueue(sum, [[1]]);
    const urgent = await q.enqueue(sum, [[2]], { atFront: true });
    const [last, mostUrgent] = await Promise.all([
      q.enqueue(sum, [[3]], { atFront: false }),
      q.enqueue(sum, [[4]], { atFront: true }),
    ]);
    expect(await list()).toEqual(ids([mostUrgent, urgent, first, last]));
  });

  it('keeps text of any script, and an escape within it, as it is', async () => {
    const text = '日本語 \u0000 \u001f "\\" \u2028 😀 \\u006aob:1';
    const { id } = await q.enqueue('echo', [text, { [text]: text }]);
    expect(JSON.parse((await hash(id))['data'] ?? '')).toEqual(['echo', null, [text, { [text]: text }], {}]);
    const job = await q.fetchJob(id);
    expect(job?.args).toEqual([text, { [text]: text }]);
  });

  it('keeps an argument of 2 MB', async () => {
    const text = 'x'.repeat(2_000_000);
    const { id } = await q.enqueue('echo', [text]);
    expect((await q.fetchJob(id))?.args).toEqual([text]);
  });

  it('sends the calls of one tick in one round trip', async () => {
    await q.enqueue(sum, [[0]]);
    const before = await scriptCalls();
    const jobs = await Promise.all(Array.from({ length: 100 }, (_, i) => q.enqueue(sum, [[i]])));
    expect((await scriptCalls()) - before).toBe(1);
    expect((await list()).slice(1)).toEqual(ids(jobs));
  });

  it('sends calls of later ticks separately', async () => {
    await q.enqueue(sum, [[0]]);
    const before = await scriptCalls();
    await q.enqueue(sum, [[1]]);
    await q.enqueue(sum, [[2]]);
    expect((await scriptCalls()) - before).toBe(2);
  });
});

describe('Queue.enqueueMany', () => {
  it('queues 1,200 calls in their order', async () => {
    const jobs = await q.enqueueMany(Array.from({ length: 1200 }, (_, i) => [add, [i, 0]] as const));
    expect(jobs).toHaveLength(1200);
    expect(jobs[1199]?.args).toEqual([1199, 0]);
    expect(await list()).toEqual(ids(jobs));
  });

  it('takes each call’s own function and options', async () => {
    const [first, second, third] = await q.enqueueMany([
      [add, [1, 2]],
      ['other.name', ['x'], { timeout: 7 }],
      [sum, [[1]], { jobId: 'mine', atFront: true }],
    ]);
    expect(await list()).toEqual(['mine', first.id, second.id]);
    expect(await hash(second.id)).toMatchObject({ data: '["other.name",null,["x"],{}]', timeout: '7' });
    expect(third.id).toBe('mine');
  });

  it('sends nothing where one call is wrong', async () => {
    const calls = [
      ['f', [1]],
      ['f', [2], { jobId: 'not an id' }],
    ] as const;
    await expect(q.enqueueMany(calls)).rejects.toThrow(TypeError);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('sends nothing where the last of 1,200 is wrong', async () => {
    const calls = Array.from({ length: 1200 }, (_, i) => ['f', [i === 1199 ? NaN : i]] as const);
    await expect(q.enqueueMany(calls)).rejects.toThrow('args[0] is NaN');
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('gives an empty list for no calls', async () => {
    expect(await q.enqueueMany([])).toEqual([]);
    expect(await redis.client.dbsize()).toBe(0);
  });
});
