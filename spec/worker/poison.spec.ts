import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Worker } from '../../lib/worker/worker.ts';
import { useRedis } from '../support/in-process.ts';

const redis = useRedis();

const DATA = '["echo",null,["x"],{}]';
const good = { status: 'queued', origin: 'q', description: 'echo', data: DATA, timeout: '60' };

/** Runs a bad job between two good ones, all in one batch, and says which functions were called. */
async function run(
  badId: string | Buffer,
): Promise<{ calls: unknown[][]; dropped: string[]; lost: string[] }> {
  for (const id of ['before', 'after'])
    await redis.client.hset(`rq:job:${id}`, { ...good, data: `["echo",null,["${id}"],{}]` });
  await redis.client.rpush('rq:queue:q', 'before', badId, 'after');
  const calls: unknown[][] = [];
  const worker = new Worker('q', {
    connection: redis.url,
    // half of the slots are asked for in one call
    concurrency: 6,
    functions: {
      echo: (...args: unknown[]) => {
        calls.push(args);
        return args;
      },
    },
  });
  const dropped: string[] = [];
  const lost: string[] = [];
  worker.on('jobDropped', ({ reason }) => dropped.push(reason));
  worker.on('jobLost', ({ jobId }) => lost.push(jobId));
  await worker.work({ burst: true });
  return { calls, dropped, lost };
}

/** What is to hold whatever the bad job is. */
async function othersRan(calls: readonly unknown[][]): Promise<void> {
  expect(calls).toContainEqual(['before']);
  expect(calls).toContainEqual(['after']);
  for (const id of ['before', 'after']) {
    expect(await redis.client.hget(`rq:job:${id}`, 'status')).toBe('finished');
  }
  expect(await redis.client.llen('rq:queue:q')).toBe(0);
}

const bomb = deflateSync(Buffer.alloc(80 * 1024 * 1024, ' '));

describe('a job that can’t be run fails, alone', () => {
  it.each<readonly [string, Readonly<Record<string, string | Buffer>>, RegExp]>([
    [
      'a pickle',
      { data: Buffer.from([0x80, 0x04, 0x95, 0x0a, 0, 0, 0]) },
      /^InvalidJobError: .*pickle.*JSON serializer/s,
    ],
    [
      'a compressed pickle',
      { data: deflateSync(Buffer.from([0x80, 4, 0x95, 0, 0])) },
      /^InvalidJobError: .*pickle/s,
    ],
    [
      'broken zlib',
      { data: Buffer.from([0x78, 0x9c, 1, 2, 3, 4]) },
      /^InvalidJobError: .*can't be decompressed/,
    ],
    ['cut zlib', { data: deflateSync(DATA).subarray(0, 12) }, /^InvalidJobError: .*can't be decompressed/],
    ['a zlib bomb', { data: bomb }, /^InvalidJobError: .*more than 64 MiB/],
    ['NaN', { data: '["echo",null,[NaN],{}]' }, /^InvalidJobError: .*not JSON/],
    ['text that is no JSON', { data: 'hello' }, /^InvalidJobError: .*not JSON/],
    [
      'JSON of another form',
      { data: '{"f":1}' },
      /^InvalidJobError: .*\[function name, null, \[args\], \{kwargs\}\]/,
    ],
    ['a name that is no text', { data: '[1,null,[],{}]' }, /^InvalidJobError: /],
    ['args that are no list', { data: '["echo",null,{},{}]' }, /^InvalidJobError: /],
    ['kwargs that are a list', { data: '["echo",null,[],[]]' }, /^InvalidJobError: /],
    ['a method of an object', { data: '["echo","someone",[],{}]' }, /^InvalidJobError: .*functions only/],
    ['empty data', { data: '' }, /^InvalidJobError: .*no data/],
    [
      'a timeout of 5m',
      { timeout: '5m' },
      /^InvalidJobError: Job bad is not valid: its field timeout is not a whole number: "5m"/,
    ],
    ['a timeout of 2.5', { timeout: '2.5' }, /^InvalidJobError: Job bad is not valid: its field timeout/],
    [
      'a result_ttl that is no number',
      { result_ttl: 'x' },
      /^InvalidJobError: Job bad is not valid: its field result_ttl/,
    ],
    [
      'a failure_ttl that is no number',
      { failure_ttl: 'x' },
      /^InvalidJobError: Job bad is not valid: its field failure_ttl/,
    ],
    [
      'an unknown status',
      { status: 'napping' },
      /^InvalidJobError: Job bad is not valid: its status is "napping"/,
    ],
    ['an empty status', { status: '' }, /^InvalidJobError: Job bad is not valid: its status is ""/],
    [
      'a name of an inherited property',
      { data: '["constructor",null,[],{}]' },
      /^FunctionNotRegisteredError: /,
    ],
  ])('for %s', async (_, fields, said) => {
    await redis.client.hset('rq:job:bad', { ...good, ...fields });
    const { calls } = await run('bad');
    await othersRan(calls);
    expect(calls).toHaveLength(2);
    const { status, exc_info: text } = await redis.client.hgetall('rq:job:bad');
    expect(status).toBe('failed');
    expect(text).toMatch(said);
    // oxlint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
    expect(await redis.client.zrange('rq:failed:q', '0', '-1')).toEqual(['bad']);
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
  });

  it('for missing data', async () => {
    const { data: _, ...rest } = good;
    await redis.client.hset('rq:job:bad', rest);
    const { calls } = await run('bad');
    await othersRan(calls);
    expect(await redis.client.hgetall('rq:job:bad')).toMatchObject({
      status: 'failed',
      exc_info: 'InvalidJobError: Job bad is not valid: it has no data: nothing says what to call',
    });
  });

  it.each(['a b', 'a:b', 'a.b', 'é', '*', 'a\nb', '../x', ''])('for the id %j', async id => {
    await redis.client.hset(`rq:job:${id}`, good);
    const { calls } = await run(id);
    await othersRan(calls);
    expect(calls).toHaveLength(2);
    expect(await redis.client.hgetall(`rq:job:${id}`)).toMatchObject({ status: 'failed' });
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
  });

  it('for an id that is no UTF-8', async () => {
    const id = Buffer.from([0x61, 0xff, 0xfe]);
    await redis.client.hset(Buffer.concat([Buffer.from('rq:job:'), id]), good);
    const { calls } = await run(id);
    await othersRan(calls);
    expect(calls).toHaveLength(2);
  });
});

describe('JSON that is very deep', () => {
  const deep = (levels: number): string => `["echo",null,[${'['.repeat(levels)}${']'.repeat(levels)}],{}]`;

  it.each([1000, 200_000])('(%i levels) fails the job, alone', async levels => {
    await redis.client.hset('rq:job:bad', { ...good, data: deep(levels) });
    const { calls } = await run('bad');
    await othersRan(calls);
    const { status, exc_info: text } = await redis.client.hgetall('rq:job:bad');
    expect(status).toBe('failed');
    expect(text).toMatch(/deep/);
  });

  it('is echoed where it is not too deep', async () => {
    await redis.client.hset('rq:job:bad', { ...good, data: deep(400) });
    await run('bad');
    expect(await redis.client.hget('rq:job:bad', 'status')).toBe('finished');
  });
});

describe('an id that no job can be run for is dropped, alone', () => {
  it('where there is no hash', async () => {
    const { calls, dropped } = await run('none');
    await othersRan(calls);
    expect(dropped).toEqual(['gone']);
    expect(await redis.client.exists('rq:job:none')).toBe(0);
  });

  it.each([
    ['text', () => redis.client.set('rq:job:bad', 'x')],
    ['list', () => redis.client.rpush('rq:job:bad', 'x')],
    ['zset', () => redis.client.zadd('rq:job:bad', 1, 'x')],
  ])('where its key is a %s', async (kind, make) => {
    await make();
    const { calls, dropped } = await run('bad');
    await othersRan(calls);
    expect(dropped).toEqual(['not a hash']);
    expect(await redis.client.type('rq:job:bad')).toBe(kind === 'text' ? 'string' : kind);
  });
});

describe('fields that decide nothing', () => {
  it.each([
    ['meta that is no JSON', { meta: '{' }],
    ['meta that is a list', { meta: '[]' }],
    ['timestamps that are none', { created_at: 'yesterday', enqueued_at: '17' }],
    ['an empty enqueue_at_front', { enqueue_at_front: '' }],
    ['fields that nobody knows', { webhooks: '[]', x: 'y' }],
    ['an origin that is another queue', { origin: 'elsewhere' }],
  ])('let the job run: %s', async (_, fields) => {
    await redis.client.hset('rq:job:bad', { ...good, ...fields });
    const { calls } = await run('bad');
    await othersRan(calls);
    expect(calls).toContainEqual(['x']);
    expect(await redis.client.hget('rq:job:bad', 'status')).toBe('finished');
  });
});
