/** What `Queue` refuses before anything is sent, and what it says then. */
import { runInNewContext } from 'node:vm';
import { Cluster, Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import type { EnqueueOptions } from '../lib/enqueue-options.ts';
import { Queue, type QueueOptions } from '../lib/queue.ts';
import { useQueue, useRedis } from './support/in-process.ts';
import { add } from './support/tasks.js';

const redis = useRedis();
const q = useQueue(redis);

afterEach(async () => {
  const keys = await redis.client.keys('*');
  if (keys.length > 0) throw new Error(`Sent although it was refused: ${keys.join(' ')}`);
});

/** What a caller without types, or with values from outside, may hand in. */
const options = (value: unknown): EnqueueOptions => value as EnqueueOptions;
const queueOptions = (value: unknown): QueueOptions => value as QueueOptions;
const put = (args: unknown, given?: unknown): Promise<unknown> =>
  q.enqueue('f', args as never, given as EnqueueOptions);

describe('new Queue', () => {
  it.each(['', 'a b', 'a:b', 'a,b', 'ä', 'x'.repeat(129), 'a\n', 7, null])('refuses the name %j', name => {
    expect(() => new Queue(name as string)).toThrow(TypeError);
    expect(() => new Queue(name as string)).toThrow(/queue name must be .* not /);
  });

  it('quotes the name it refuses', () => {
    expect(() => new Queue('a b')).toThrow('"a b"');
  });

  it('refuses an option that it does not know, and names the nearest', () => {
    expect(() => new Queue('q', queueOptions({ conection: redis.url }))).toThrow(
      /"conection".*did you mean "connection"\?/,
    );
  });

  it.each([[[]], ['redis://127.0.0.1'], [null], [7]])('refuses %j as its options', given => {
    expect(() => new Queue('q', queueOptions(given))).toThrow(TypeError);
  });

  it.each(['a b', 'a:b', '', 3])('refuses the prefix %j', prefix => {
    expect(() => new Queue('q', queueOptions({ prefix }))).toThrow(/prefix must be/);
  });

  it.each([0, '0s', '500ms', -2, NaN, Infinity, 'soon', '5 m', '', null, true, '11d'.repeat(2)])(
    'refuses the defaultTimeout %j',
    defaultTimeout => {
      expect(() => new Queue('q', queueOptions({ defaultTimeout }))).toThrow(/defaultTimeout must be/);
    },
  );

  it('refuses a defaultResultTtl below a second', () => {
    expect(() => new Queue('q', { defaultResultTtl: 0.5 })).toThrow(RangeError);
    expect(() => new Queue('q', { defaultResultTtl: 0.5 })).toThrow(/defaultResultTtl .*0\.5/);
  });

  it.each([0, 'false', null])('refuses %j as isAsync', isAsync => {
    expect(() => new Queue('q', queueOptions({ isAsync }))).toThrow(/isAsync must be true or false, not/);
  });

  it.each([7, true, [[]], null])('refuses the connection %j', connection => {
    expect(() => new Queue('q', queueOptions({ connection }))).toThrow(
      /connection must be an ioredis client, a URL or ioredis options/,
    );
  });

  it.each(['localhost:6379', 'http://127.0.0.1:6379', 'redis://127.0.0.1/mydb', 'not a url'])(
    'refuses the URL %s',
    connection => {
      expect(() => new Queue('q', { connection })).toThrow(TypeError);
    },
  );

  it('does not repeat the password of a URL that it refuses', () => {
    for (const connection of ['redis//:hunter2@h', 'http://:hunter2@h', 'redis://:hunter2@h/db']) {
      expect(() => new Queue('q', { connection })).toThrow(/^(?!.*hunter2)/s);
    }
  });

  it('refuses a keyPrefix, in options and in a client', () => {
    const client = new Redis({ keyPrefix: 'x:', lazyConnect: true });
    for (const connection of [{ keyPrefix: 'x:' }, client]) {
      expect(() => new Queue('q', { connection })).toThrow(TypeError);
      expect(() => new Queue('q', { connection })).toThrow(/keyPrefix.*prefix option/s);
    }
    client.disconnect();
  });

  it('refuses a Redis Cluster client', () => {
    const cluster = new Cluster([], { lazyConnect: true });
    expect(() => new Queue('q', queueOptions({ connection: cluster }))).toThrow(/Cluster/);
    cluster.disconnect();
  });
});

describe('Queue.enqueue', () => {
  it.each([undefined, null, 7, {}, Symbol('f')])('refuses %s as a function', async fn => {
    await expect(q.enqueue(fn as never)).rejects.toThrow(/function, or the name of one, .*not/);
  });

  it('refuses a function without a name of its own', async () => {
    const [unnamed] = [() => 1];
    await expect(q.enqueue(unnamed)).rejects.toThrow(/no name .*task\(fn, \{ name/);
    const { default: exported } = { default: () => 1 };
    await expect(q.enqueue(exported)).rejects.toThrow(/no name .*task\(fn, \{ name/);
  });

  it.each(['', 'a b', 'a\tb', 'a\u0000', 'x'.repeat(257)])('refuses the function name %j', async name => {
    await expect(q.enqueue(name)).rejects.toThrow(TypeError);
  });

  it.each([{}, 'x', null, 7, new Set([1])])('refuses %j as args', async args => {
    await expect(put(args)).rejects.toThrow(/args must be an array, not/);
  });

  class Point {
    x = 1;
  }
  const cycle: unknown[] = [];
  cycle.push([cycle]);
  it.each([
    ['undefined', [undefined], 'args[0] is undefined'],
    ['undefined inside', [1, { a: undefined }], 'args[1].a is undefined'],
    ['a hole', Array(2), 'args[0] is undefined'],
    ['NaN', [NaN], 'args[0] is NaN'],
    ['Infinity', [[-Infinity]], 'args[0][0] is -Infinity'],
    ['a BigInt', [1n], 'args[0] is a bigint'],
    ['a Date', [1, { when: new Date() }], 'args[1].when is a Date'],
    ['a Map', [new Map()], 'args[0] is a Map'],
    ['a Buffer', [Buffer.from('x')], 'args[0] is a Buffer'],
    ['a class instance', [new Point()], 'args[0] is a Point'],
    ['a function', [{ f: () => 1 }], 'args[0].f is a function'],
    ['a symbol', [Symbol('s')], 'args[0] is a symbol'],
    ['a cycle', cycle, 'args[0][0] is a cycle'],
    ['a toJSON method', [{ toJSON: () => 1 }], 'args[0] is an object with a toJSON method'],
    ['an Error', [new Error('x')], 'args[0] is an Error'],
    ['a key that needs quotes', [{ 'a b': [NaN] }], 'args[0]["a b"][0] is NaN'],
  ])('refuses %s in args, with its path', async (_, args, said) => {
    await expect(put(args)).rejects.toThrow(TypeError);
    await expect(put(args)).rejects.toThrow(said);
  });

  it('refuses the same in kwargs and in meta', async () => {
    await expect(put([], { kwargs: { a: [new Date()] } })).rejects.toThrow('kwargs.a[0] is a Date');
    await expect(put([], { meta: { a: { b: 1n } } })).rejects.toThrow('meta.a.b is a bigint');
  });

  it('refuses what nests deeper than Python’s parser goes', async () => {
    let deep: unknown = 1;
    for (let i = 0; i < 2000; i++) deep = [deep];
    await expect(put([deep])).rejects.toThrow(/nested deeper/);
  });

  it.each([[[1]], ['x'], [null], [7]])('refuses %j as kwargs and as meta', async value => {
    await expect(put([], { kwargs: value })).rejects.toThrow(/kwargs must be an object, not/);
    await expect(put([], { meta: value })).rejects.toThrow(/meta must be an object, not/);
  });

  it.each([
    ['timeOut', 'timeout'],
    ['job_id', 'jobId'],
    ['result_ttl', 'resultTtl'],
    ['metadata', 'meta'],
  ])('refuses the option %s', async (name, near) => {
    await expect(put([], { [name]: 1 })).rejects.toThrow(TypeError);
    await expect(put([], { [name]: 1 })).rejects.toThrow(new RegExp(`"${name}".*${near}`));
  });

  it.each([[[]], ['x'], [7], [null]])('refuses %j as its options', async given => {
    await expect(put([], given)).rejects.toThrow(TypeError);
  });

  it.each(['', 'a.b', 'a:b', 'a b', 'ä', 'x'.repeat(129), 7, null, {}])(
    'refuses the jobId %j',
    async jobId => {
      await expect(put([], { jobId })).rejects.toThrow(/job id must be .* not/);
    },
  );

  it.each(['timeout', 'ttl', 'resultTtl', 'failureTtl'])('refuses a %s that can’t be stored', async name => {
    for (const value of [-2, 0.5, '500ms', NaN, Infinity, 'soon', '1w', '1e9d', 4e9]) {
      await expect(put([], { [name]: value })).rejects.toThrow(RangeError);
      await expect(put([], { [name]: value })).rejects.toThrow(new RegExp(`^${name} must be .*not`));
    }
    for (const value of [null, true, [], {}, 5n]) {
      await expect(put([], { [name]: value })).rejects.toThrow(TypeError);
    }
  });

  it.each(['timeout', 'ttl'])('refuses 0 as %s', async name => {
    await expect(put([], { [name]: 0 })).rejects.toThrow(RangeError);
  });

  it.each(['', 7, null])('refuses the description %j', async description => {
    await expect(put([], { description })).rejects.toThrow(/description must be a text .*not/);
  });

  it.each([1, 'yes', null])('refuses %j as atFront', async atFront => {
    await expect(put([], { atFront })).rejects.toThrow(/atFront must be true or false, not/);
  });

  it('escapes control characters that it quotes', async () => {
    await expect(put([], { jobId: 'a\u001b[31m' })).rejects.toThrow(/^[^\u0000-\u001f]*$/);
  });

  it('takes plain objects of another realm, and those without a prototype', async () => {
    const foreign: unknown = runInNewContext('({ a: [1] })');
    const bare: unknown = Object.assign(Object.create(null) as object, { b: 2 });
    const job = await q.enqueue('f', [foreign as never, bare as never]);
    expect(job.args).toEqual([{ a: [1] }, { b: 2 }]);
    await redis.client.flushall();
  });

  it('takes one object in two places, which is no cycle', async () => {
    const shared = { a: 1 };
    const job = await q.enqueue('f', [shared, [shared]]);
    expect(job.args).toEqual([{ a: 1 }, [{ a: 1 }]]);
    await redis.client.flushall();
  });

  it('has types that refuse wrong arguments', async () => {
    const wrong = [
      // @ts-expect-error add takes numbers
      () => q.enqueue(add, ['1', 2]),
      // @ts-expect-error add takes two
      () => q.enqueue(add, [1]),
      // @ts-expect-error add takes no more than two
      () => q.enqueue(add, [1, 2, 3]),
      // @ts-expect-error add needs its arguments
      () => q.enqueue(add),
      // @ts-expect-error no such option
      () => q.enqueue(add, [1, 2], { timeOut: 1 }),
    ];
    expect(wrong).toHaveLength(5);
    const number: () => Promise<number | undefined> = async () => (await q.enqueue(add, [1, 2])).result;
    expect(number).toBeTypeOf('function');
  });
});

describe('Queue.enqueueMany', () => {
  it.each([undefined, 'f', {}, 7])('refuses %j instead of calls', async calls => {
    await expect(q.enqueueMany(calls as never)).rejects.toThrow(/enqueueMany needs an array of calls, not/);
  });

  it('names the call that is none', async () => {
    await expect(q.enqueueMany([['f'], 'f'] as never)).rejects.toThrow(/calls\[1\] must be .* not "f"/);
  });

  it('refuses all where the last has a wrong argument', async () => {
    const calls = [
      ['f', [1]],
      ['f', [2]],
      ['f', [NaN]],
    ] as const;
    await expect(q.enqueueMany(calls)).rejects.toThrow('args[0] is NaN');
  });
});

describe('Queue’s other calls', () => {
  it.each(['', 'a:b', 7, undefined, null])('refuse the id %j', async id => {
    await expect(q.fetchJob(id as string)).rejects.toThrow(/job id must be .* not/);
    await expect(q.failedRegistry.requeue(id as string)).rejects.toThrow(/job id must be/);
    await expect(q.failedRegistry.remove(id as string)).rejects.toThrow(/job id must be/);
  });

  it.each([-1, 0.5, NaN])('refuse %j as offset and as limit', async value => {
    for (const read of [q, q.finishedRegistry]) {
      await expect(read.getJobIds(value)).rejects.toThrow(/offset must be a whole number/);
      await expect(read.getJobIds(0, value)).rejects.toThrow(/limit must be a whole number/);
    }
    await expect(q.getJobs(value)).rejects.toThrow(RangeError);
  });

  it('refuse a text as offset', async () => {
    await expect(q.getJobIds('1' as unknown as number)).rejects.toThrow(TypeError);
  });
});

describe('The options of a job’s calls', () => {
  it('are checked by name and value', async () => {
    const job = await q.enqueue('f', []);
    try {
      await expect(job.wait(options({ timeOut: 1 }) as object)).rejects.toThrow(/did you mean "timeout"/);
      await expect(job.wait({ timeout: 'soon' })).rejects.toThrow(RangeError);
      await expect(job.requeue(options({ front: true }) as object)).rejects.toThrow(/"front"/);
      await expect(job.requeue(options({ atFront: 1 }) as object)).rejects.toThrow(TypeError);
    } finally {
      await redis.client.flushall();
    }
  });
});
