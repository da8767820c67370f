/** A job as an argument: it stands for its result, whatever that is, and wherever in the call it is. */
import { describe, expect, it } from 'vitest';
import { Job, Queue } from '../lib/index.ts';
import { add, echo, multiply, sum, total, useFollowing } from './support/following.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);
const other = useQueue(redis, 'other');
const { work, hash, status, data, finish, finishAsPython, queueAsPython } = useFollowing(redis);

const TOKEN = String.raw`"\u006aob:`;

describe('A job as an argument', () => {
  it('stands for its result, and is waited for', async () => {
    const first = await q.enqueue(add, [4, 6]);
    const last = await q.enqueue(multiply, [first, 10]);
    expect(last.status).toBe('deferred');
    expect(last.dependencyIds).toEqual([first.id]);
    expect(last.description).toBe(`multiply(job ${first.id}, 10)`);
    expect(await hash(last.id)).toMatchObject({
      status: 'deferred',
      data: `["multiply",null,[${TOKEN}${first.id}",10],{}]`,
      dependency_id: first.id,
      dependency_ids: `["${first.id}"]`,
      takes_results: '1',
    });
    expect(await hash(last.id)).not.toHaveProperty('enqueued_at');
    expect(await q.deferredRegistry.getJobIds()).toEqual([last.id]);
    expect(await q.getJobIds()).toEqual([first.id]);
    await work();
    expect(await last.result).toBe(100);
    expect(await q.deferredRegistry.count()).toBe(0);
    expect(await data(last.id)).toBe('["multiply",null,[10,10],{}]');
    expect((await last.refresh()).args).toEqual([10, 10]);
    expect(Object.keys(await hash(last.id)).filter(name => name.startsWith('argument:'))).toEqual([]);
    expect(await redis.client.keys('*depend*')).toEqual([]);
  });

  it('stands nested in arrays, objects and kwargs', async () => {
    const [a, b, c] = await q.enqueueMany([
      [add, [1, 0]],
      [add, [2, 0]],
      [add, [3, 0]],
    ]);
    const all = await q.enqueue(sum, [[a, 5, b, c]]);
    const one = await q.enqueue(total, [{ total: a }]);
    const deep = await q.enqueue(echo, [{ list: [{ of: b }], at: [[c]] }], { kwargs: { k: a, l: [b, 'x'] } });
    expect(deep.dependencyIds.toSorted()).toEqual([a.id, b.id, c.id].toSorted());
    await work();
    expect(await all.result).toBe(11);
    expect(await one.result).toBe(1);
    expect(await deep.result).toEqual([
      { list: [{ of: 2 }], at: [[3]] },
      { k: 1, l: [2, 'x'] },
    ]);
  });

  it('may stand in several places, and is waited for once', async () => {
    const a = await q.enqueue(add, [2, 3]);
    const square = await q.enqueue(multiply, [a, a]);
    expect(square.dependencyIds).toEqual([a.id]);
    expect(await redis.client.smembers(`rq:job::${square.id}:dependencies`)).toEqual([a.id]);
    await work();
    expect(await square.result).toBe(25);
  });

  it('may be on another queue', async () => {
    const a = await q.enqueue(add, [1, 2]);
    const b = await other.enqueue(multiply, [a, 2]);
    const c = await q.enqueue(multiply, [b, 2]);
    expect(await other.deferredRegistry.getJobIds()).toEqual([b.id]);
    await work();
    expect([await status(b.id), await status(c.id)]).toEqual(['queued', 'deferred']);
    expect(await other.getJobIds()).toEqual([b.id]);
    await work({}, 'other');
    expect(await q.getJobIds()).toEqual([c.id]);
    await work();
    expect(await c.result).toBe(12);
  });

  it('may be one that was fetched, or is running, or waits itself', async () => {
    const a = await q.enqueue(add, [1, 2]);
    const fetched = await q.fetchJob<number>(a.id);
    if (fetched === undefined) throw new Error('gone');
    const b = await q.enqueue(add, [fetched, 1]);
    const c = await q.enqueue(add, [b, 1]);
    expect(await c.getStatus()).toBe('deferred');
    await work();
    expect(await c.result).toBe(5);
    let inner: Job | undefined;
    const outer = await q.enqueue('outer');
    await work({
      outer: async () => {
        inner = await q.enqueue('add', [outer, 1]);
        return 41;
      },
    });
    expect(await inner?.result).toBe(42);
  });

  it('is run at once by a queue with isAsync: false, where it has finished', async () => {
    await using now = new Queue('default', { connection: redis.url, isAsync: false });
    const a = await now.enqueue(add, [1, 2]);
    expect(await (await now.enqueue(multiply, [a, 2])).result).toBe(6);
  });

  it('takes the place of hundreds at once', async () => {
    const jobs = await q.enqueueMany(Array.from({ length: 1500 }, (_, i) => [add, [i, 0]] as const));
    const all = await q.enqueue(sum, [jobs]);
    await work({}, 'default', { concurrency: 500 });
    expect(await all.result).toBe((1499 * 1500) / 2);
  });
});

describe('The result that takes the place of a job', () => {
  const TEXTS = [
    'null',
    '[]',
    '{}',
    '[[],{}]',
    'false',
    '0',
    '1e300',
    '9007199254740993',
    '-0.1e-7',
    '""',
    '"\\"quoted\\" \\\\u006aob:x \\u0000 \\ud83d\\ude00"',
    JSON.stringify(`${TOKEN}x"`),
    '"%1 %% $& $1"',
    '{"a": [1, {"b": null}], "é": "ü"}',
  ];

  it.each(TEXTS)('%s arrives as it was', async text => {
    const a = await q.enqueue(add, [1, 2], { jobId: 'a' });
    const before = await q.enqueue(echo, [a, [a]]);
    await finish(text);
    const after = await q.enqueue(echo, ['x', { a }]);
    expect(after.status).toBe('queued');
    expect(await data(before.id)).toBe(`["echo",null,[${text},[${text}]],{}]`);
    expect(await data(after.id)).toBe(`["echo",null,["x",{"a":${text}}],{}]`);
    await work();
    const value: unknown = JSON.parse(text);
    expect(await before.result).toEqual([value, [value]]);
    expect(await after.result).toEqual(['x', { a: value }]);
  });

  it.each(TEXTS)('%s arrives as it was where Python ran the one and queued the other', async text => {
    const a = await q.enqueue(add, [1, 2], { jobId: 'a' });
    const before = await q.enqueue(echo, [a, [a]]);
    await finishAsPython('a', text);
    await queueAsPython(before.id);
    const after = await q.enqueue(echo, [{ a }]);
    expect(after.status).toBe('queued');
    await work();
    const value: unknown = JSON.parse(text);
    expect(await before.result).toEqual([value, [value]]);
    expect(await after.result).toEqual([{ a: value }]);
  });

  it('is null where Python’s function gave None', async () => {
    const a = await q.enqueue(add, [1, 2], { jobId: 'a' });
    await finishAsPython('a', '');
    await redis.client.del('rq:results:a');
    await redis.client.xadd('rq:results:a', '*', 'type', '1');
    const after = await q.enqueue(echo, [a]);
    await work();
    expect(await after.result).toEqual([null]);
  });

  it('is that of the last run, where Python left an earlier one in the hash', async () => {
    const a = await q.enqueue(add, [1, 2], { jobId: 'a' });
    await finishAsPython('a', '"new"');
    await redis.client.hset('rq:job:a', 'result', '"old"');
    const after = await q.enqueue(echo, [a]);
    await work();
    expect(await after.result).toEqual(['new']);
  });

  it('may have several megabytes', async () => {
    const text = `${'ä"\\'.repeat(700_000)}end`;
    const big = await q.enqueue('big');
    const [length, twice] = await Promise.all([
      q.enqueue('lengths', [big]),
      q.enqueue('lengths', [big, big]),
    ]);
    await work({ big: () => text, lengths: (...texts: string[]) => texts.map(each => each.length) });
    expect(await length.result).toEqual([text.length]);
    expect(await twice.result).toEqual([text.length, text.length]);
  });

  it('is kept from the moment it is there, also where nothing else of the job is', async () => {
    const short = await q.enqueue(add, [1, 2], { jobId: 'short', resultTtl: 0 });
    const slow = await q.enqueue(add, [3, 4], { jobId: 'slow' });
    const both = await q.enqueue(add, [short, slow]);
    await finish('3', 0);
    expect(await redis.client.exists('rq:job:short')).toBe(0);
    expect(await hash(both.id)).toMatchObject({ status: 'deferred', 'argument:short': '3' });
    await finish('7');
    expect(await data(both.id)).toBe('["add",null,[3,7],{}]');
    await work();
    expect(await both.result).toBe(10);
  });

  it('stays in the call when the job runs again', async () => {
    const a = await q.enqueue(add, [1, 2]);
    let runs = 0;
    const again = await q.enqueue('again', [a], { retry: { max: 1 } });
    await work({
      again: (x: number) => {
        if (++runs === 1) throw new Error('the first time');
        return x;
      },
    });
    expect(await again.result).toBe(3);
    await (await q.fetchJob(a.id))?.delete();
    await again.requeue();
    await work({ again: (x: number) => x + 1 });
    expect(await again.result).toBe(4);
  });

  it('fails the job that takes it, where it is gone when that is claimed', async () => {
    const a = await q.enqueue(add, [1, 2], { jobId: 'a' });
    const b = await q.enqueue(echo, [a], { jobId: 'b' });
    await finishAsPython('a', '1');
    await queueAsPython('b');
    await redis.client.del('rq:job:a', 'rq:results:a');
    await work();
    await expect(b.result).rejects.toMatchObject({
      code: 'RQ_JOB_FAILED',
      remote: { name: 'DependencyFailedError', message: 'Job b needs job a, which is gone' },
    });
    expect(await q.failedRegistry.getJobIds()).toEqual(['b']);
  });

  it('fails that job alone, where Python queued it though the other failed since', async () => {
    const a = await q.enqueue(add, [1, 2], { jobId: 'a' });
    await q.enqueue(echo, [a], { jobId: 'b' });
    await redis.client.hset('rq:job:a', { status: 'failed', exc_info: 'RangeError: too far' });
    await redis.client.del('rq:queue:default');
    await queueAsPython('b');
    const fine = await q.enqueue(add, [1, 2]);
    await work();
    expect((await hash('b'))['exc_info']).toMatch(
      /^DependencyFailedError: Job b needs job a, which failed \(RangeError: too far\)/,
    );
    expect(await fine.result).toBe(3);
  });
});

describe('A text that looks like the place of a job', () => {
  it.each([`${TOKEN}a"`, String.raw`\u006aob:a`, 'job:a', '"job:a"'])('%s is a text', async text => {
    const a = await q.enqueue(add, [1, 2], { jobId: 'a' });
    const both = await q.enqueue(echo, [text, a, { [text]: text }], { kwargs: { [text]: text } });
    const alone = await q.enqueue(echo, [text]);
    expect(alone.dependencyIds).toEqual([]);
    await work();
    expect(await both.result).toEqual([text, 3, { [text]: text }, { [text]: text }]);
    expect(await alone.result).toEqual([text]);
  });

  it('is data where it only has the form of a job', async () => {
    const standsFor = { ids: ['a'], list: false, home: '' };
    const job = await q.enqueue(echo, [{ id: 'a', standsFor }]);
    expect(job.dependencyIds).toEqual([]);
    await work();
    expect(await job.result).toEqual([{ id: 'a', standsFor }]);
  });
});

describe('A job of another Redis', () => {
  it.each([
    ['another database', 3, 'rq'],
    ['another prefix', 0, 'mine'],
  ])('is refused: %s', async (_, db, prefix) => {
    await using elsewhere = new Queue('o', { connection: { port: redis.port, db }, prefix });
    const job = await elsewhere.enqueue(add, [1, 2]);
    const here = `127.0.0.1:${redis.port}/0 rq:`;
    await expect(q.enqueue(add, [job, 1])).rejects.toThrow(
      new TypeError(
        `args[0] is a job of another Redis (127.0.0.1:${redis.port}/${db} ${prefix}:): this queue is on ${here}`,
      ),
    );
    await expect(q.enqueue(echo, [{ deep: [job] }])).rejects.toThrow('args[0].deep[0] is a job of another');
    await expect(q.enqueue(echo, [], { kwargs: { k: job } })).rejects.toThrow('kwargs.k is a job of another');
    await expect(q.enqueue(echo, [], { dependsOn: [job] })).rejects.toThrow(
      'dependsOn[0] is a job of another',
    );
    expect(await redis.client.keys('rq:job*')).toEqual([]);
  });

  it('is none where the same one was reached in another way', async () => {
    await using same = new Queue('o', { connection: redis.client });
    await using named = new Queue('o', { connection: `redis://localhost:${redis.port}` });
    const job = await same.enqueue(add, [1, 2]);
    const next = await named.enqueue(add, [job, 1]);
    expect((await q.enqueue(add, [next, 1])).status).toBe('deferred');
  });
});
