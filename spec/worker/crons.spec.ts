import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { takeTick, type DueCron } from '../../lib/cron-store.ts';
import { nextTick } from '../../lib/cron-pattern.ts';
import { tickId } from '../../lib/cron.ts';
import { CRON_BATCH, CRON_PATIENCE } from '../../lib/defaults.ts';
import { Queue, type CronOptions } from '../../lib/index.ts';
import { Keys } from '../../lib/keys.ts';
import { plainJob } from '../../lib/new-job.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import { Looker, redisSeconds } from '../support/crons.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);
const EVERY_SECOND = '* * * * * *';
/** Comes no second time while a spec runs. */
const YEARLY = '0 0 1 1 *';

/** Comes every hour, and not within half an hour from now. */
const hourly = (): string => `${(new Date().getUTCMinutes() + 30) % 60} * * * *`;

/** A cron whose next tick was so many seconds ago; gives that tick. */
async function due(seconds: number, pattern = YEARLY, options: CronOptions = {}): Promise<number> {
  const { name } = await q.cron(pattern, 'f', [1], options);
  const tick = (await redisSeconds(redis.client)) - seconds;
  await redis.client.zadd('rq:cron-ticks:q', tick, name);
  return tick;
}
const tickOf = async (name = 'f'): Promise<number> =>
  Number(await redis.client.zscore('rq:cron-ticks:q', name));

describe('a tick that has come', () => {
  it('is made a job as an enqueue makes it, with an id of its name and time', async () => {
    const tick = await due(1, YEARLY, { meta: { a: 1 }, resultTtl: 5 });
    const { ids } = await new Looker(redis.client).lookAll();
    expect(ids).toEqual([tickId('q', 'f', tick)]);
    expect(await redis.client.lrange('rq:queue:q', 0, -1)).toEqual(ids);
    expect(await redis.client.smembers('rq:queues')).toEqual(['rq:queue:q']);
    const enqueued = await q.enqueue('f', [1], { meta: { a: 1 }, resultTtl: 5 });
    const fields = await redis.client.hgetall(`rq:job:${ids[0]}`);
    const same = await redis.client.hgetall(`rq:job:${enqueued.id}`);
    expect(fields['enqueued_at']).toBe(fields['created_at']);
    expect(fields).toEqual({ ...same, created_at: expect.anything(), enqueued_at: expect.anything() });
    expect(Object.keys(fields).toSorted()).toEqual(Object.keys(same).toSorted());
    expect(await redis.client.ttl(`rq:job:${ids[0]}`)).toBe(-1);
  });

  it('goes to the front, and expires while it waits, where that was asked for', async () => {
    await q.enqueue('g', [], { jobId: 'first' });
    await due(1, YEARLY, { atFront: true, ttl: 60 });
    const { ids } = await new Looker(redis.client).lookAll();
    expect(await q.getJobIds()).toEqual([...ids, 'first']);
    expect(await redis.client.ttl(`rq:job:${ids[0]}`)).toBeGreaterThan(50);
  });

  it('is followed by the next one, and shown as the last one', async () => {
    const tick = await due(1, YEARLY);
    await new Looker(redis.client).lookAll();
    const [cron] = await q.crons();
    const next = nextTick(YEARLY, 'UTC', tick) ?? NaN;
    expect(cron).toMatchObject({
      lastRunAt: new Date(tick * 1000),
      nextRunAt: new Date(next * 1000),
      lastJobId: tickId('q', 'f', tick),
    });
    expect(await redis.client.hget('rq:cron-last:q', 'f')).toBe(String(tick));
  });

  it('is one job, however many workers look at the same time', async () => {
    await due(5, EVERY_SECOND);
    const lookers = Array.from({ length: 8 }, (_, i) => new Looker(redis.client, ['q'], `w${i}`));
    await Promise.all(lookers.map(looker => looker.lookAll()));
    const ids = lookers.flatMap(looker => looker.ids);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length).toBeGreaterThanOrEqual(6);
    expect((await q.getJobIds()).toSorted()).toEqual(ids.toSorted());
  });

  it('is left to come where it has not', async () => {
    const { nextRunAt } = await q.cron('@yearly', 'f');
    const looker = await new Looker(redis.client).lookAll();
    expect(looker.ids).toEqual([]);
    expect(await tickOf()).toBe((nextRunAt?.getTime() ?? 0) / 1000);
  });

  it('is queued although the job of the last one still waits', async () => {
    await due(3, EVERY_SECOND);
    const { ids } = await new Looker(redis.client).lookAll();
    expect(ids.length).toBeGreaterThanOrEqual(4);
    expect(await q.count()).toBe(ids.length);
  });

  it('is not queued where a job of its id is there: Redis came back with an older state', async () => {
    const tick = await due(1, YEARLY);
    const id = tickId('q', 'f', tick);
    await redis.client.hset(`rq:job:${id}`, { status: 'started', origin: 'q' });
    const looker = await new Looker(redis.client).lookAll();
    expect(looker.ids).toEqual([]);
    expect(await q.count()).toBe(0);
    expect(await redis.client.hgetall(`rq:job:${id}`)).toEqual({ status: 'started', origin: 'q' });
    expect(await tickOf()).toBeGreaterThan(tick);
  });

  it('is the last one where the pattern does not come again', async () => {
    const year = new Date().getUTCFullYear() + 1;
    await due(1, `0 0 0 1 1 * ${year}`);
    // as if that year had come
    const definition = (await redis.client.hget('rq:crons:q', 'f')) ?? '';
    await redis.client.hset('rq:crons:q', 'f', definition.replace(String(year), '2020'));
    const looker = await new Looker(redis.client).lookAll();
    expect(looker.ids).toHaveLength(1);
    expect(await redis.client.zscore('rq:cron-ticks:q', 'f')).toBe('inf');
    expect((await q.crons())[0]).toMatchObject({ name: 'f', nextRunAt: undefined });
  });

  it('belongs to the queues of the worker, and no others', async () => {
    await using other = new Queue('other', { connection: redis.url });
    await due(1);
    await other.cron(YEARLY, 'f', [2]);
    await redis.client.zadd('rq:cron-ticks:other', (await redisSeconds(redis.client)) - 1, 'f');
    const looker = await new Looker(redis.client, ['other']).lookAll();
    expect(looker.queued.map(([queue]) => queue)).toEqual(['other']);
    expect([await q.count(), await other.count()]).toEqual([0, 1]);
    const both = await new Looker(redis.client, ['other', 'q']).lookAll();
    expect(both.queued.map(([queue]) => queue)).toEqual(['q']);
  });

  it('is not run by a worker that saw an older definition', async () => {
    const tick = await due(1, YEARLY);
    const keys = new Keys();
    const seen = (await new WorkerStore(keys, 'w1', ['q']).queueDue(redis.client)).crons[0] as DueCron;
    const job = plainJob('old', '[]', 'old', []);
    await q.cron(YEARLY, 'f', ['changed']);
    expect(await takeTick(redis.client, keys, 'q', seen, '+inf', job)).toBe('taken');
    expect(await takeTick(redis.client, keys, 'q', { ...seen, tick: '5' }, '+inf', job)).toBe('taken');
    expect(await q.count()).toBe(0);
    expect((await new Looker(redis.client).lookAll()).ids).toEqual([tickId('q', 'f', tick)]);
    expect((await q.getJobs())[0]?.args).toEqual(['changed']);
  });

  it('comes no more once the cron is removed', async () => {
    await due(1);
    await q.removeCron('f');
    expect((await new Looker(redis.client).lookAll()).ids).toEqual([]);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('waits until Redis takes jobs again, where it is full', async () => {
    const tick = await due(1, YEARLY);
    const looker = new Looker(redis.client);
    await redis.client.config('SET', 'maxmemory', '1');
    try {
      await looker.look();
      expect(looker.failed).toEqual([['q', expect.stringContaining('OOM')]]);
      // a worker that starts sets its crons all the same
      await q.cron(YEARLY, 'f', [1]);
    } finally {
      await redis.client.config('SET', 'maxmemory', '0');
    }
    expect(await tickOf()).toBe(tick);
    expect((await looker.lookAll()).ids).toEqual([tickId('q', 'f', tick)]);
  });
});

describe('ticks that nobody was there for', () => {
  it('are each run while they are less than a minute late', async () => {
    const tick = await due(CRON_PATIENCE - 20, EVERY_SECOND);
    const { ids } = await new Looker(redis.client).lookAll();
    const all = Array.from({ length: ids.length }, (_, i) => tickId('q', 'f', tick + i));
    expect(ids).toEqual(all);
    expect(ids.length).toBeGreaterThanOrEqual(CRON_PATIENCE - 19);
  });

  it('are run once, by the id of the first, where they are later than that', async () => {
    const pattern = hourly();
    const tick = await due(3 * 3600, pattern);
    const { ids } = await new Looker(redis.client).lookAll();
    const now = await redisSeconds(redis.client);
    expect(ids).toEqual([tickId('q', 'f', tick)]);
    expect(await tickOf()).toBe(nextTick(pattern, 'UTC', now));
  });

  it('are not run at all with missed: skip', async () => {
    await due(3 * 3600, hourly(), { missed: 'skip' });
    const looker = await new Looker(redis.client).lookAll();
    expect(looker.ids).toEqual([]);
    expect(await q.count()).toBe(0);
    expect(await tickOf()).toBeGreaterThan(await redisSeconds(redis.client));
    expect((await q.crons())[0]?.lastRunAt).toBeUndefined();
  });

  it('are run with missed: skip while they are less than a minute late', async () => {
    const tick = await due(30, YEARLY, { missed: 'skip' });
    expect((await new Looker(redis.client).lookAll()).ids).toEqual([tickId('q', 'f', tick)]);
  });
});

describe('ticks around a change of the clocks', () => {
  /** The ids of the jobs of each second look from one time to another, both past. */
  async function between(pattern: string, from: string, to: string): Promise<string[]> {
    await q.cron(pattern, 'f', [1], { timezone: 'Europe/Berlin', resultTtl: -1 });
    const [first, last] = [Date.parse(from) / 1000, Date.parse(to) / 1000];
    const tick = nextTick(pattern, 'Europe/Berlin', first) ?? NaN;
    await redis.client.zadd('rq:cron-ticks:q', tick, 'f');
    const looker = new Looker(redis.client);
    for (let at = first; at <= last; at += 30) while (await looker.look(at));
    return looker.ids.map(id => id.slice('cron-f-'.length, -'-12345678'.length));
  }

  it('are one job where the time of day is left out: when the missing hour is over', async () => {
    expect(await between('30 2 * * *', '2025-03-29T23:00:00Z', '2025-03-30T06:00:00Z')).toEqual([
      '20250330T010000Z',
    ]);
    expect((await q.crons())[0]?.nextRunAt?.toISOString()).toBe('2025-03-31T00:30:00.000Z');
  });

  it('are one job where the time of day comes twice', async () => {
    expect(await between('30 2 * * *', '2025-10-25T23:00:00Z', '2025-10-26T06:00:00Z')).toEqual([
      '20251026T003000Z',
    ]);
  });

  it('are a job in each hour that there is, where they come hourly', async () => {
    const hours = await between('0 * * * *', '2025-10-25T23:30:00Z', '2025-10-26T03:00:00Z');
    expect(hours).toEqual(['20251026T000000Z', '20251026T010000Z', '20251026T020000Z', '20251026T030000Z']);
  });
});

describe('a cron that can’t be read', () => {
  const broken: readonly string[] = [
    'nonsense',
    'null',
    '[]',
    '{}',
    '{"pattern":"* * * * *","timezone":"UTC"}',
    ...[
      { pattern: 5 },
      { pattern: 'tomorrow' },
      { timezone: 'Mars/Olympus' },
      { missed: 'all' },
      { data: null },
      { description: 5 },
      { settings: ['timeout'] },
      { settings: ['timeout', 5] },
      { settings: Array.from({ length: 9000 }, () => 'x') },
      { ttl: -1 },
      { ttl: 1e15 },
      { ttl: '5' },
    ].map(part =>
      JSON.stringify({
        pattern: '* * * * *',
        timezone: 'UTC',
        missed: 'once',
        data: '["f",null,[],{}]',
        description: 'f()',
        settings: ['timeout', '180'],
        ttl: 0,
        at_front: false,
        ...part,
      }),
    ),
  ];

  it('is left alone, told of once, and harms no other', async () => {
    const tick = await due(1, YEARLY);
    for (const [i, text] of broken.entries()) {
      await redis.client.hset('rq:crons:q', `broken-${i}`, text);
      await redis.client.zadd('rq:cron-ticks:q', 5, `broken-${i}`);
    }
    await redis.client.zadd('rq:cron-ticks:q', 5, 'gone', '-inf', 'broken-0');
    const looker = await new Looker(redis.client).lookAll();
    await looker.lookAll();
    expect(looker.ids).toEqual([tickId('q', 'f', tick)]);
    expect(looker.failed).toEqual([]);
    expect(looker.warnings).toHaveLength(broken.length + 1);
    for (const text of looker.warnings)
      expect(text).toMatch(/^Cron "(broken-\d+|gone)" of queue q can't be read, and is left alone: ./);
    expect(await redis.client.hget('rq:crons:q', 'broken-0')).toBe('nonsense');
    expect(await tickOf('broken-1')).toBe(5);
  });

  it('is told of again when it was changed', async () => {
    await redis.client.hset('rq:crons:q', 'f', 'nonsense');
    await redis.client.zadd('rq:cron-ticks:q', 5, 'f');
    const looker = await new Looker(redis.client).lookAll();
    await redis.client.hset('rq:crons:q', 'f', 'other nonsense');
    await looker.lookAll();
    expect(looker.warnings).toHaveLength(2);
  });

  it('holds up nobody, however many there are', async () => {
    for (let i = 0; i < CRON_BATCH + 20; i++) {
      await redis.client.hset('rq:crons:q', `broken-${i}`, 'nonsense');
      await redis.client.zadd('rq:cron-ticks:q', 5, `broken-${i}`);
    }
    const tick = await due(1, YEARLY);
    expect((await new Looker(redis.client).lookAll()).ids).toEqual([tickId('q', 'f', tick)]);
  });
});

describe('keys of crons that have the wrong type', () => {
  it.each(['rq:crons:q', 'rq:cron-ticks:q', 'rq:cron-last:q', 'rq:queue:q', 'rq:queues'])(
    'cost nothing of another queue, and no job: %s',
    async key => {
      await using other = new Queue('other', { connection: redis.url });
      const tick = await due(1, YEARLY);
      await other.cron(YEARLY, 'f', [2]);
      await redis.client.zadd('rq:cron-ticks:other', tick, 'f');
      const aside = await redis.client.exists(key);
      if (aside === 1) await redis.client.rename(key, 'aside');
      await redis.client.set(key, 'x');
      const looker = await new Looker(redis.client, ['q', 'other']).lookAll();
      const others = looker.ids.filter(id => id === tickId('other', 'f', tick));
      expect(others).toHaveLength(key === 'rq:queues' ? 0 : 1);
      expect(await redis.client.exists(`rq:job:${tickId('q', 'f', tick)}`)).toBe(0);
      await redis.client.del(key);
      if (aside === 1) await redis.client.rename('aside', key);
      await looker.lookAll();
      expect(looker.ids).toContain(tickId('q', 'f', tick));
      expect(looker.ids).toContain(tickId('other', 'f', tick));
      expect(await q.count()).toBe(1);
    },
  );
});

describe('a worker', () => {
  it('runs what comes, while it runs', async () => {
    await q.cron(EVERY_SECOND, 'f', [7]);
    const got: unknown[] = [];
    const worker = makeWorker({ f: (n: number) => got.push(n) });
    const told: unknown[] = [];
    worker.on('cronQueued', cron => told.push(cron));
    void worker.work();
    await expect.poll(() => got.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(3);
    expect(got.slice(0, 3)).toEqual([7, 7, 7]);
    // another tick may come between what is told and what is looked up
    await worker.stop();
    const [cron] = await q.crons();
    expect(told.at(-1)).toEqual({ name: 'f', queue: 'q', jobId: cron?.lastJobId });
  });

  it('sets the crons that it is given, on its first queue where they name none, and says so', async () => {
    const crons = [
      { pattern: '@daily', fn: 'f', args: [1] },
      { pattern: '@hourly', fn: 'g', queue: 'other', timezone: 'Asia/Tokyo', name: 'own' },
    ];
    const worker = makeWorker(undefined, { crons }, ['q', 'r']);
    const set: unknown[] = [];
    worker.on('cronSet', cron => set.push([cron.queue, cron.name, cron.pattern]));
    void worker.work();
    await once(worker, 'cleaning');
    expect(set).toEqual([
      ['q', 'f', '@daily'],
      ['other', 'own', '@hourly'],
    ]);
    await using other = new Queue('other', { connection: redis.url });
    expect((await q.crons()).map(({ name, description }) => [name, description])).toEqual([['f', 'f(1)']]);
    expect((await other.crons()).map(({ timezone }) => timezone)).toEqual(['Asia/Tokyo']);
  });

  it('keeps the next run times of crons when it starts again', async () => {
    const crons = [{ pattern: '@yearly', fn: 'f' }];
    await q.cron('@yearly', 'f');
    await redis.client.zadd('rq:cron-ticks:q', 4_000_000_000, 'f');
    await makeWorker(undefined, { crons }).work({ burst: true });
    expect(await tickOf()).toBe(4_000_000_000);
  });

  it('warns of a cron that it can’t read', async () => {
    await redis.client.hset('rq:crons:q', 'f', 'nonsense');
    await redis.client.zadd('rq:cron-ticks:q', 5, 'f');
    const worker = makeWorker();
    void worker.work();
    const [text] = (await once(worker, 'warning')) as [string];
    expect(text).toMatch(/^Cron "f" of queue q can't be read/);
  });

  it.each<[string, unknown, RegExp]>([
    ['no array', 'x', /^crons must be an array, not "x"/],
    ['no object', [5], /^crons\[0\]: a cron must be \{ pattern, fn, … \}, not 5/],
    ['no pattern', [{ fn: 'f' }], /^crons\[0\]: A cron pattern must be .*not undefined/],
    ['no function', [{ pattern: '@daily' }], /^crons\[0\]: A function, or the name of one, is needed/],
    ['an unknown option', [{ pattern: '@daily', fnn: 'f' }], /"fnn": did you mean "fn"/],
    ['a bad queue', [{ pattern: '@daily', fn: 'f', queue: 'a b' }], /queue name must be .*"a b"/],
    [
      'two of one name',
      [
        { pattern: '@daily', fn: 'f' },
        { pattern: '@hourly', fn: 'f' },
      ],
      /^crons\[1\]: Two crons of queue q are named "f": give one of them a name/,
    ],
  ])('refuses %s', (_, crons, said) => {
    expect(() => makeWorker(undefined, { crons: crons as [] })).toThrow(said);
  });
});
