import { describe, expect, it } from 'vitest';
import { DuplicateJobError, task, type EnqueueOptions, type Job, type UniqueOptions } from '../lib/index.ts';
import { enqueue } from '../lib/lua/enqueue.ts';
import { Queue } from '../lib/queue.ts';
import { callHash, uniquePlan } from '../lib/unique.ts';
import { useQueue, useRedis, workOff } from './support/in-process.ts';
import { Proxy } from './support/proxy.ts';
import { add, sum } from './support/tasks.js';

const redis = useRedis();
const q = useQueue(redis);

const MONTH = 30 * 24 * 3600;
const args = (more: Omit<UniqueOptions, 'on'> = {}): EnqueueOptions => ({ unique: { on: 'args', ...more } });
const status = (job: Job): Promise<string | null> => redis.client.hget(`rq:job:${job.id}`, 'status');
/** The one unique call there is: its key and what it holds. */
async function call(): Promise<{ key: string; text: string | null; ttl: number }> {
  const [key = '', ...more] = await redis.client.keys('rq:unique:*');
  expect(more).toEqual([]);
  return { key, text: await redis.client.get(key), ttl: await redis.client.ttl(key) };
}

describe('uniquePlan', () => {
  it.each<[given: unknown, kind: ErrorConstructor, said: RegExp]>([
    [true, TypeError, /^unique: true needs a jobId/],
    ['args', TypeError, /^unique must be true \(with a jobId\), false, or \{ on: 'args'.* not "args"$/],
    [null, TypeError, /not null$/],
    [[], TypeError, /not an array$/],
    [{}, TypeError, /^unique\.on must be 'args', not undefined$/],
    [{ on: 'id' }, TypeError, /not "id"$/],
    [{ on: 'args', foor: 1 }, TypeError, /option of unique "foor": did you mean "for"/],
    [{ on: 'args', else: 'drop' }, TypeError, /'throw', 'return' or 'replace', not "drop"$/],
    [{ on: 'args', for: 0.5 }, RangeError, /^unique\.for must be at least 1 second, not 0\.5$/],
    [{ on: 'args', for: -1 }, RangeError, /not -1/],
    [{ on: 'args', for: 'soon' }, RangeError, /"soon"/],
  ])('refuses %o', async (given, kind, said) => {
    expect(() => uniquePlan(given, undefined)).toThrow(kind);
    expect(() => uniquePlan(given, undefined)).toThrow(said);
    await expect(q.enqueue('f', [], { unique: given as UniqueOptions })).rejects.toThrow(said);
    expect(await redis.client.dbsize()).toBe(0);
  });
});

describe('callHash', () => {
  it('is the same whatever the order of an object’s names, and for nothing else', () => {
    const one = callHash('["f",null,[{"a":1,"b":[{"c":1,"d":2}]}],{}]', []);
    expect(callHash('["f",null,[{"b":[{"d":2,"c":1}],"a":1}],{}]', [])).toBe(one);
    const others = [
      callHash('["g",null,[{"a":1,"b":[{"c":1,"d":2}]}],{}]', []),
      callHash('["f",null,[{"a":1,"b":[{"c":1,"d":"2"}]}],{}]', []),
      callHash('["f",null,[{"a":1,"b":[{"c":1,"d":2}]}],{"x":1}]', []),
      callHash('["f",null,[{"a":1,"b":[{"c":1,"d":2}]}],{}]', ['job']),
      callHash('["f",null,[{"__proto__":1}],{}]', []),
      callHash('["f",null,[{}],{}]', []),
    ];
    expect(new Set([one, ...others]).size).toBe(7);
    expect(one).toMatch(/^[\w-]{43}$/);
  });
});

describe('unique: true', () => {
  it.each(['queued', 'started', 'finished', 'failed', 'canceled', 'deferred', 'scheduled'])(
    'refuses the id of a job that is %s, and leaves it',
    async was => {
      const before = { status: was, origin: 'default', data: '["g",null,[],{}]' };
      await redis.client.hset('rq:job:mine', before);
      const refused = q.enqueue('f', [], { jobId: 'mine', unique: true });
      await expect(refused).rejects.toThrow(DuplicateJobError);
      await expect(refused).rejects.toMatchObject({ jobId: 'mine', status: was });
      expect(await redis.client.hgetall('rq:job:mine')).toEqual(before);
      expect(await q.count()).toBe(0);
    },
  );

  it('refuses the id of a job that ended on another queue', async () => {
    await redis.client.hset('rq:job:mine', { status: 'finished', origin: 'other' });
    await expect(q.enqueue('f', [], { jobId: 'mine', unique: true })).rejects.toThrow(DuplicateJobError);
  });

  it('is accepted where there is none, once of many', async () => {
    const calls = Array.from({ length: 5 }, () => q.enqueue('f', [], { jobId: 'mine', unique: true }));
    const done = await Promise.allSettled(calls);
    expect(done.map(each => each.status)).toEqual([
      'fulfilled',
      ...Array.from({ length: 4 }, () => 'rejected'),
    ]);
    expect(await q.getJobIds()).toEqual(['mine']);
  });

  it('without it, a job that has ended is replaced', async () => {
    await redis.client.hset('rq:job:mine', { status: 'finished', origin: 'default' });
    await q.enqueue('f', [], { jobId: 'mine', unique: false });
    expect(await q.getJobIds()).toEqual(['mine']);
  });
});

describe('unique on args', () => {
  it('refuses the same call while its job waits, and says which it is', async () => {
    const job = await q.enqueue(add, [1, 2], args());
    const refused = q.enqueue(add, [1, 2], args());
    await expect(refused).rejects.toThrow(
      `The same call was queued before, as job ${job.id}, which is queued`,
    );
    await expect(refused).rejects.toMatchObject({
      code: 'RQ_DUPLICATE_JOB',
      jobId: job.id,
      status: 'queued',
    });
    expect(await q.getJobIds()).toEqual([job.id]);
    const { key, text, ttl } = await call();
    expect(key).toMatch(/^rq:unique:default:[\w-]{43}$/);
    expect(key).toBe(`rq:unique:default:${await redis.client.hget(`rq:job:${job.id}`, 'unique')}`);
    expect([text, ttl]).toEqual([job.id, MONTH]);
  });

  it('takes other arguments, keyword arguments, functions and queues for other calls', async () => {
    await using other = new Queue('other', { connection: redis.url });
    await q.enqueue('f', [{ a: 1, b: 2 }], args());
    await expect(q.enqueue('f', [{ b: 2, a: 1 }], args())).rejects.toThrow(DuplicateJobError);
    await q.enqueue('f', [{ a: 1 }], args());
    await q.enqueue('f', [{ a: 1, b: 2 }], { ...args(), kwargs: { x: 1 } });
    await q.enqueue('g', [{ a: 1, b: 2 }], args());
    await other.enqueue('f', [{ a: 1, b: 2 }], args());
    expect([await q.count(), await other.count()]).toEqual([4, 1]);
  });

  it('lets a call that is not unique by', async () => {
    await q.enqueue('f', [1], args());
    await q.enqueue('f', [1]);
    expect(await q.count()).toBe(2);
  });

  it.each(['started', 'deferred', 'scheduled'])('refuses while the job is %s', async was => {
    const job = await q.enqueue('f', [1], args());
    await redis.client.hset(`rq:job:${job.id}`, 'status', was);
    await expect(q.enqueue('f', [1], args())).rejects.toMatchObject({ status: was });
  });

  it.each(['finished', 'failed', 'stopped', 'canceled'])('accepts once the job is %s', async was => {
    const job = await q.enqueue('f', [1], args());
    await redis.client.hset(`rq:job:${job.id}`, 'status', was);
    const next = await q.enqueue('f', [1], args());
    expect((await call()).text).toBe(next.id);
  });

  it('accepts once the job is gone: expired, or deleted', async () => {
    const job = await q.enqueue('f', [1], args());
    await job.delete();
    expect((await call()).text).toBe(job.id);
    await q.enqueue('f', [1], args());
    expect(await q.count()).toBe(1);
  });

  it('keeps the key as long as the job that ended', async () => {
    await q.enqueue(sum, [[1]], { ...args(), resultTtl: 77 });
    await workOff(redis);
    expect((await call()).ttl).toBe(77);
    await redis.client.flushall();
    await q.enqueue(sum, [[1]], { ...args(), resultTtl: 0 });
    await workOff(redis);
    expect(await redis.client.keys('rq:unique:*')).toEqual([]);
  });

  it('stays with a job that is retried', async () => {
    const job = await q.enqueue('fail', ['no'], { ...args(), retry: { max: 1, interval: 60 } });
    await workOff(redis);
    expect(await status(job)).toBe('scheduled');
    await expect(q.enqueue('fail', ['no'], args())).rejects.toMatchObject({ status: 'scheduled' });
    expect((await call()).ttl).toBeGreaterThan(MONTH - 60);
  });

  it('counts a job again that is requeued', async () => {
    const job = await q.enqueue('fail', ['no'], { ...args(), failureTtl: 60 });
    await workOff(redis);
    expect(Math.abs((await call()).ttl - 60)).toBeLessThan(5);
    await job.requeue();
    expect(Math.abs((await call()).ttl - MONTH)).toBeLessThan(5);
    await expect(q.enqueue('fail', ['no'], args())).rejects.toMatchObject({ jobId: job.id });
  });

  it('leaves the key to the job that came after one that is requeued', async () => {
    const job = await q.enqueue('fail', ['no'], { ...args(), failureTtl: 60 });
    await workOff(redis);
    const next = await q.enqueue('fail', ['no'], args());
    await job.requeue();
    expect((await call()).text).toBe(next.id);
    expect(await q.getJobIds()).toEqual([next.id, job.id]);
  });

  it('holds for calls of one batch, with and without ids of the caller’s', async () => {
    const done = await Promise.allSettled([
      q.enqueue('f', [1], args()),
      q.enqueue('f', [2], { ...args(), jobId: 'two' }),
      q.enqueue('f', [1], { ...args(), jobId: 'one' }),
      q.enqueue('f', [2], args()),
      q.enqueue('f', [3]),
    ]);
    expect(done.map(each => each.status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
      'fulfilled',
    ]);
    expect(await q.count()).toBe(3);
    expect(await redis.client.exists('rq:job:one')).toBe(0);
  });

  it('leaves an ended job of the same id as it is where the call is refused', async () => {
    await q.enqueue('f', [1], args());
    await redis.client.hset('rq:job:mine', { status: 'finished', origin: 'default', result: '1' });
    await expect(q.enqueue('f', [1], { ...args(), jobId: 'mine' })).rejects.toThrow(DuplicateJobError);
    expect(await redis.client.hget('rq:job:mine', 'result')).toBe('1');
  });

  it('holds for scheduled jobs, until they have run', async () => {
    const job = await q.enqueueIn('40d', 'f', [1], args());
    await expect(q.enqueueAt(new Date(Date.now() + 1e6), 'f', [1], args())).rejects.toMatchObject({
      jobId: job.id,
      status: 'scheduled',
    });
    await expect(q.enqueue('f', [1], args())).rejects.toThrow(DuplicateJobError);
    expect((await call()).ttl).toBe(MONTH + 40 * 24 * 3600);
  });

  it('holds for a job that waits for others, whose results it takes', async () => {
    const first = await q.enqueue(add, [1, 2]);
    const other = await q.enqueue(add, [1, 2]);
    const job = await q.enqueue(add, [first, 1], args());
    expect(job.status).toBe('deferred');
    await expect(q.enqueue(add, [first, 1], args())).rejects.toMatchObject({ jobId: job.id });
    expect((await q.enqueue(add, [other, 1], args())).status).toBe('deferred');
    await workOff(redis);
    expect(await job.result).toBe(4);
  });

  it('with an id that is taken, keeps all of a chain or a group from being queued', async () => {
    const jobId = 'own';
    await redis.client.hset('rq:job:own', { status: 'finished', origin: 'default' });
    await redis.client.zadd('rq:finished:default', 'inf', jobId);
    const before = (await redis.client.keys('*')).toSorted();
    const refusal = { code: 'RQ_DUPLICATE_JOB', jobId, status: 'finished' };
    await expect(q.chain([['f'], ['g', [], { jobId, unique: true }]])).rejects.toMatchObject(refusal);
    await expect(q.group([['f'], ['g', [], { jobId, unique: true }]])).rejects.toMatchObject(refusal);
    const made = (await redis.client.keys('*')).toSorted().filter(key => key !== 'rq:queues');
    expect(made).toEqual(before);
    // not so where it is not unique
    expect((await q.chain([['f'], ['g', [], { jobId }]])).id).toBe(jobId);
  });

  it('is refused for chains and groups', async () => {
    const said = 'is for single jobs';
    await expect(q.chain([['f', [], args()], ['g']])).rejects.toThrow(said);
    await expect(q.group([['f', [], args()]])).rejects.toThrow(said);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('refuses a call whose key has another type, and no other', async () => {
    const job = await q.enqueue('f', [1], args());
    const { key } = await call();
    await redis.client.del(key);
    await redis.client.hset(key, 'a', '1');
    const [bad, good] = await Promise.allSettled([q.enqueue('f', [1], args()), q.enqueue('f', [2])]);
    expect(bad).toMatchObject({ reason: { code: 'RQ_REDIS_REFUSED' } });
    expect(good.status).toBe('fulfilled');
    await workOff(redis, { functions: { f: () => 1 } });
    expect(await status(job)).toBe('finished');
  });
});

describe('unique on args, for a time', () => {
  it('refuses whatever became of the job, as long as the time lasts', async () => {
    const job = await q.enqueue(sum, [[1]], args({ for: '10m' }));
    expect(await call()).toMatchObject({ text: `${job.id}:timed` });
    expect(Math.abs((await call()).ttl - 600)).toBeLessThan(5);
    await workOff(redis);
    await expect(q.enqueue(sum, [[1]], args({ for: '10m' }))).rejects.toMatchObject({ status: 'finished' });
    await job.delete();
    await expect(q.enqueue(sum, [[1]], args())).rejects.toMatchObject({ jobId: job.id, status: 'gone' });
    expect((await call()).ttl).toBeGreaterThan(590);
  });

  it('accepts when it is over, though the job still waits', async () => {
    await q.enqueue('f', [1], args({ for: 1 }));
    const again = (): Promise<boolean> =>
      q.enqueue('f', [1], args({ for: 1 })).then(
        () => true,
        () => false,
      );
    await expect.poll(again).toBe(true);
    expect(await q.count()).toBe(2);
  });
});

describe('unique on args, elsewhere', () => {
  it('is an option of a task, which a call can leave out', async () => {
    const once = q.task((n: number): number => n, { name: 'once', unique: { on: 'args', else: 'return' } });
    const [one, same, other] = await Promise.all([once.delay(1), once.delay(1), once.delay(2)]);
    expect([same.id, other.id === one.id]).toEqual([one.id, false]);
    await q.enqueue(once, [1], { unique: false });
    expect(await q.count()).toBe(3);
  });

  it('is refused for a task as true: a task has no id', () => {
    expect(() => task(add, { unique: true })).toThrow('unique: true needs a jobId');
  });

  it('holds where the caller runs the job', async () => {
    await using now = new Queue('default', { connection: redis.url, isAsync: false });
    const job = await now.enqueue(sum, [[1, 2]], args({ for: '1h' }));
    expect(await job.result).toBe(3);
    await expect(now.enqueue(sum, [[1, 2]], args())).rejects.toMatchObject({ jobId: job.id });
    const same = await now.enqueue(sum, [[1, 2]], args({ else: 'return' }));
    expect([same.id, same.status]).toEqual([job.id, 'finished']);
    const waiting = await q.enqueue(sum, [[4]], args());
    const instead = await now.enqueue(sum, [[4]], args({ else: 'replace' }));
    expect([await status(waiting), instead.status]).toEqual(['canceled', 'finished']);
    expect(await q.count()).toBe(0);
  });

  it.each(['throw', 'return', 'replace'] as const)(
    'leaves one job where the reply is lost: else %s',
    async otherwise => {
      const proxy = await Proxy.to(redis.port);
      await redis.client.script('LOAD', enqueue.source);
      await using behind = new Queue('default', { connection: proxy.url });
      await behind.count();
      const lost = proxy.loseReplyTo(enqueue.sha);
      const options = args({ else: otherwise });
      const [one, mine] = await Promise.all([
        behind.enqueue('f', [1], options),
        behind.enqueue('f', [2], { ...options, jobId: 'mine' }),
        lost,
      ]);
      expect(await q.getJobIds()).toEqual([one.id, mine.id]);
      expect(await q.canceledRegistry.count()).toBe(0);
      await proxy.close();
    },
  );

  it('knows a call that was sent before though nothing of its job is left', async () => {
    const proxy = await Proxy.to(redis.port);
    await redis.client.script('LOAD', enqueue.source);
    await using behind = new Queue('default', { connection: proxy.url });
    await behind.count();
    const lost = proxy.loseReplyTo(enqueue.sha).then(() => q.empty());
    const [job] = await Promise.all([behind.enqueue('f', [1], args({ for: '1h' })), lost]);
    expect((await call()).text).toBe(`${job.id}:timed`);
    expect(await q.count()).toBe(0);
    await proxy.close();
  });

  it('leaves a plain call alone', async () => {
    const job = await q.enqueue('f', [1]);
    expect(await redis.client.hexists(`rq:job:${job.id}`, 'unique')).toBe(0);
    expect(await redis.client.keys('rq:unique:*')).toEqual([]);
  });
});
