import { describe, expect, it } from 'vitest';
import { nextTick } from '../lib/cron-pattern.ts';
import { tickId } from '../lib/cron.ts';
import { Queue, task, type CronOptions } from '../lib/index.ts';
import { redisSeconds } from './support/crons.ts';
import { useQueue, useRedis } from './support/in-process.ts';
import * as tasks from './support/tasks.js';

const redis = useRedis();
const q = useQueue(redis, 'q');
const YEARLY = '0 0 1 1 *';

async function definition(name: string): Promise<Record<string, unknown>> {
  return JSON.parse((await redis.client.hget('rq:crons:q', name)) ?? 'null') as Record<string, unknown>;
}
const tickOf = async (name: string): Promise<number> =>
  Number(await redis.client.zscore('rq:cron-ticks:q', name));

describe('Queue.cron', () => {
  it('keeps the call and its settings as an enqueue would, and when it comes next', async () => {
    const now = await redisSeconds(redis.client);
    const cron = await q.cron('0 9 * * 1-5', tasks.add, [1, 2], {
      timezone: 'Europe/Berlin',
      resultTtl: '1h',
    });
    const next = nextTick('0 9 * * 1-5', 'Europe/Berlin', now) ?? NaN;
    expect(cron).toEqual({
      name: 'add',
      queue: 'q',
      pattern: '0 9 * * 1-5',
      timezone: 'Europe/Berlin',
      missed: 'once',
      description: 'add(1, 2)',
      nextRunAt: new Date(next * 1000),
      lastRunAt: undefined,
      lastJobId: undefined,
    });
    expect(await definition('add')).toEqual({
      pattern: '0 9 * * 1-5',
      timezone: 'Europe/Berlin',
      missed: 'once',
      data: '["add",null,[1,2],{}]',
      description: 'add(1, 2)',
      settings: ['timeout', '180', 'result_ttl', '3600'],
      ttl: 0,
      at_front: false,
    });
    expect(await tickOf('add')).toBe(next);
    expect((await redis.client.keys('*')).toSorted()).toEqual(['rq:cron-ticks:q', 'rq:crons:q']);
  });

  it('takes a name for the function, a name for the cron, and every option of enqueue that has a sense', async () => {
    const options: CronOptions = {
      name: 'http:nightly',
      missed: 'skip',
      timeout: '1h',
      ttl: '10m',
      failureTtl: 60,
      description: 'nightly',
      meta: { a: 1 },
      kwargs: { b: 2 },
      atFront: true,
      retry: { max: 2, interval: 5 },
      redeliver: true,
      repeat: { times: 1 },
    };
    const cron = await q.cron(' @daily ', 'http.get', ['http://127.0.0.1/'], options);
    expect(cron).toMatchObject({ name: 'http:nightly', pattern: '@daily', timezone: 'UTC', missed: 'skip' });
    const { settings, ...rest } = await definition('http:nightly');
    expect(rest).toMatchObject({
      data: '["http.get",null,["http://127.0.0.1/"],{"b":2}]',
      description: 'nightly',
      ttl: 600,
      at_front: true,
    });
    expect(settings).toEqual(
      expect.arrayContaining(['timeout', '3600', 'ttl', 'meta', '{"a":1}', 'retries_left', 'repeats_left']),
    );
  });

  it('keeps callbacks, and nothing of a task that is unique', async () => {
    const unique = { on: 'args' } as const;
    const report = task((month: string) => month, { name: 'report', unique, onFailure: 'mourn' });
    await q.cron(YEARLY, report, ['2026-11'], { onSuccess: { fn: 'celebrate', timeout: 5 } });
    const callbacks = { success: { name: 'celebrate', timeout: 5 }, failure: { name: 'mourn', timeout: 60 } };
    expect(await definition('report')).toMatchObject({
      settings: ['timeout', '180', 'callbacks', JSON.stringify(callbacks)],
    });
    expect((await redis.client.keys('*')).toSorted()).toEqual(['rq:cron-ticks:q', 'rq:crons:q']);
  });

  it('uses what task noted for the function, and the name that it gave', async () => {
    const report = task((month: string) => month, { name: 'report', timeout: '1h', retry: { max: 1 } });
    const cron = await q.cron(YEARLY, report, ['2026-11'], { timeout: '2h' });
    expect(cron).toMatchObject({ name: 'report', description: 'report("2026-11")' });
    const { settings } = await definition('report');
    expect(settings).toEqual(expect.arrayContaining(['timeout', '7200', 'retries_left', '1']));
  });

  it('keeps the next tick where pattern and time zone are the same, and changes the rest', async () => {
    await q.cron(YEARLY, tasks.add, [1, 2]);
    await redis.client.zadd('rq:cron-ticks:q', 1_700_000_000, 'add');
    const again = await q.cron(YEARLY, tasks.add, [3, 4], { missed: 'skip' });
    expect(again.nextRunAt).toEqual(new Date(1_700_000_000_000));
    expect(again.missed).toBe('skip');
    expect((await definition('add'))['data']).toBe('["add",null,[3,4],{}]');
    expect(await tickOf('add')).toBe(1_700_000_000);
    expect(await redis.client.hlen('rq:crons:q')).toBe(1);
  });

  it.each<[string, string, CronOptions]>([
    ['pattern', '0 1 1 1 *', {}],
    ['time zone', YEARLY, { timezone: 'Asia/Tokyo' }],
  ])('gives a new next tick where the %s changed', async (_, pattern, options) => {
    await q.cron(YEARLY, tasks.add, [1, 2]);
    await redis.client.zadd('rq:cron-ticks:q', 1_700_000_000, 'add');
    const now = await redisSeconds(redis.client);
    const { nextRunAt } = await q.cron(pattern, tasks.add, [1, 2], options);
    const next = nextTick(pattern, options.timezone ?? 'UTC', now) ?? NaN;
    expect(nextRunAt).toEqual(new Date(next * 1000));
    expect(await tickOf('add')).toBe(next);
  });

  it('writes over what it can’t read', async () => {
    for (const text of ['nonsense', '[]', '{"pattern":', '"x"', '['.repeat(2000)]) {
      await redis.client.hset('rq:crons:q', 'add', text);
      await redis.client.zadd('rq:cron-ticks:q', 1, 'add');
      await q.cron(YEARLY, tasks.add, [1, 2]);
      expect(await definition('add')).toMatchObject({ pattern: YEARLY });
      expect(await tickOf('add')).toBeGreaterThan(await redisSeconds(redis.client));
    }
  });

  it('gives a next tick to one that lost its own', async () => {
    await q.cron(YEARLY, tasks.add, [1, 2]);
    await redis.client.del('rq:cron-ticks:q');
    await q.cron(YEARLY, tasks.add, [1, 2]);
    expect(await tickOf('add')).toBeGreaterThan(await redisSeconds(redis.client));
  });

  it('keeps what Redis can’t hold out of the text that is compared later', async () => {
    await q.cron(YEARLY, 'f', ['\ud800 \u0000 €'], { description: '\ud800 \u0000 €' });
    const { data } = await definition('f');
    expect(JSON.parse(String(data))).toEqual(['f', null, ['\ud800 \u0000 €'], {}]);
    expect((await definition('f'))['description']).toBe('\ufffd \u0000 €');
    await redis.client.zadd('rq:cron-ticks:q', 1_700_000_000, 'f');
    await q.cron(YEARLY, 'f', [], { description: '\ud800' });
    expect(await tickOf('f')).toBe(1_700_000_000);
  });

  it('has a name for each queue: another one’s is another cron', async () => {
    await using other = new Queue('other', { connection: redis.url });
    await q.cron(YEARLY, tasks.nothing);
    await other.cron('@daily', tasks.nothing);
    expect((await q.crons()).map(({ pattern }) => pattern)).toEqual([YEARLY]);
    expect((await other.crons()).map(({ pattern }) => pattern)).toEqual(['@daily']);
  });

  it('is under the queue’s prefix', async () => {
    await using other = new Queue('q', { connection: redis.url, prefix: 'other' });
    await other.cron(YEARLY, tasks.nothing);
    expect((await redis.client.keys('*')).toSorted()).toEqual(['other:cron-ticks:q', 'other:crons:q']);
  });
});

describe('Queue.cron, given what can’t be', () => {
  it.each<[what: string, pattern: unknown, fn: unknown, args: unknown, options: unknown, said: RegExp]>([
    ['a pattern that is none', '0 9 * *', 'f', [], {}, /^A cron pattern must be .*not "0 9 \* \*"/],
    ['no pattern', undefined, 'f', [], {}, /^A cron pattern must be .*not undefined/],
    ['a pattern that never comes', '0 0 30 2 *', 'f', [], {}, /"0 0 30 2 \*" never comes/],
    ['a time zone that is none', YEARLY, 'f', [], { timezone: 'Mars/Olympus' }, /not "Mars\/Olympus"/],
    ['a time zone that is no text', YEARLY, 'f', [], { timezone: 2 }, /timezone must be .*not 2/],
    ['no function', YEARLY, 5, [], {}, /A function, or the name of one, is needed, not 5/],
    ['a function without a name', YEARLY, () => 1, [], {}, /has no name of its own/],
    ['args that are no array', YEARLY, 'f', 'x', {}, /args must be an array, not "x"/],
    ['args that are not JSON', YEARLY, 'f', [new Date(0)], {}, /args\[0\] is a Date/],
    ['an unknown option', YEARLY, 'f', [], { timeZone: 'UTC' }, /"timeZone": did you mean "timezone"/],
    ['an id', YEARLY, 'f', [], { jobId: 'x' }, /Unknown option of cron "jobId"/],
    ['unique', YEARLY, 'f', [], { unique: { on: 'args' } }, /Unknown option of cron "unique"/],
    ['dependsOn', YEARLY, 'f', [], { dependsOn: 'x' }, /Unknown option of cron "dependsOn"/],
    ['a name with a space', YEARLY, 'f', [], { name: 'a b' }, /A cron's name must be .*not "a b"/],
    ['an empty name', YEARLY, 'f', [], { name: '' }, /A cron's name must be .*not ""/],
    ['another missed', YEARLY, 'f', [], { missed: 'all' }, /missed.*"all": accepted are once, skip/],
    ['a timeout that is none', YEARLY, 'f', [], { timeout: '5 parsecs' }, /timeout must be .*"5 parsecs"/],
    ['options that are none', YEARLY, 'f', [], 5, /options of cron must be an object, not 5/],
  ])('refuses %s', async (_, pattern, fn, args, options, said) => {
    const call = q.cron(pattern as string, fn as string, args as unknown[], options as CronOptions);
    const error: unknown = await call.catch((thrown: unknown) => thrown);
    expect(['TypeError', 'RangeError']).toContain((error as Error).name);
    expect((error as Error).message).toMatch(said);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('refuses a job among the arguments', async () => {
    const job = await q.enqueue('f');
    await expect(q.cron(YEARLY, 'g', [job])).rejects.toThrow(
      `The jobs of a cron can't wait for others: the arguments hold job ${job.id}`,
    );
  });

  it('says what Redis refuses', async () => {
    await redis.client.set('rq:cron-ticks:q', 'x');
    await expect(q.cron(YEARLY, 'f')).rejects.toThrow(/^Redis refused to set a cron: WRONGTYPE/);
    expect(await redis.client.exists('rq:crons:q')).toBe(0);
  });
});

describe('Queue.crons', () => {
  it('gives none where there are none', async () => {
    expect(await q.crons()).toEqual([]);
  });

  it('gives them with their next and last runs, those that come next first', async () => {
    await q.cron('@yearly', 'late');
    await q.cron('@hourly', 'soon');
    await q.cron('@daily', 'never');
    await redis.client.zadd('rq:cron-ticks:q', 2_000_000_000, 'soon', 2_100_000_000, 'late', 'inf', 'never');
    await redis.client.hset('rq:cron-last:q', 'soon', '1700000000');
    const crons = await q.crons();
    expect(crons.map(({ name, nextRunAt, lastRunAt }) => [name, nextRunAt, lastRunAt])).toEqual([
      ['soon', new Date(2_000_000_000_000), new Date(1_700_000_000_000)],
      ['late', new Date(2_100_000_000_000), undefined],
      ['never', undefined, undefined],
    ]);
    expect(crons[0]).toMatchObject({
      lastJobId: tickId('q', 'soon', 1_700_000_000),
      pattern: '@hourly',
      description: 'soon()',
    });
  });

  it('leaves out what it can’t read', async () => {
    await q.cron(YEARLY, 'f');
    await redis.client.hset('rq:crons:q', 'g', 'nonsense', 'h', '{"pattern":"@daily"}');
    expect((await q.crons()).map(({ name }) => name)).toEqual(['f']);
  });
});

describe('Queue.removeCron', () => {
  it('removes all that is kept of it, and nothing of others', async () => {
    await q.cron(YEARLY, 'f');
    await q.cron(YEARLY, 'g');
    await redis.client.hset('rq:cron-last:q', 'f', '1', 'g', '2');
    expect(await q.removeCron('f')).toBe(true);
    expect(await redis.client.hkeys('rq:crons:q')).toEqual(['g']);
    expect(await redis.client.zrange('rq:cron-ticks:q', '0', '-1')).toEqual(['g']);
    expect(await redis.client.hgetall('rq:cron-last:q')).toEqual({ g: '2' });
  });

  it('says that there was none', async () => {
    expect(await q.removeCron('f')).toBe(false);
  });

  it('removes what can’t be read', async () => {
    await redis.client.hset('rq:crons:q', 'f', 'nonsense');
    await redis.client.zadd('rq:cron-ticks:q', 1, 'f');
    expect(await q.removeCron('f')).toBe(true);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('refuses what is no name', async () => {
    await expect(q.removeCron(5 as unknown as string)).rejects.toThrow(/A cron's name must be .*not 5/);
  });
});

describe('tickId', () => {
  const at = Date.parse('2026-11-20T09:00:00Z') / 1000;

  it('holds the name and the time', () => {
    expect(tickId('q', 'report', at)).toMatch(/^cron-report-20261120T090000Z-[0-9a-f]{8}$/);
  });

  it('is an id that RQ reads, whatever the name', () => {
    for (const name of ['http.get', 'größe', 'a:b', 'x'.repeat(200)])
      expect(tickId('q', name, at)).toMatch(/^[A-Za-z0-9_-]{1,128}$/);
  });

  it('differs by queue, by name and by time', () => {
    const ids = [
      tickId('q', 'a.b', at),
      tickId('q', 'a-b', at),
      tickId('r', 'a.b', at),
      tickId('q', 'a.b', at + 1),
    ];
    expect(new Set(ids).size).toBe(4);
    expect(tickId('q', 'a.b', at)).toBe(ids[0]);
  });
});
