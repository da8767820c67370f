/** `Queue.group`: jobs under one name, on RQ's keys. */
import { describe, expect, it } from 'vitest';
import { Queue } from '../lib/index.ts';
import { add, echo, fail, multiply, sum, useFollowing } from './support/following.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);
const other = useQueue(redis, 'other');
const { work, hash, status, dependents } = useFollowing(redis);

const members = async (name: string): Promise<string[]> =>
  (await redis.client.smembers(`rq:group:${name}`)).toSorted();
const NONE = {
  queued: 0,
  started: 0,
  finished: 0,
  failed: 0,
  deferred: 0,
  scheduled: 0,
  canceled: 0,
  stopped: 0,
  gone: 0,
};

describe('Queue.group', () => {
  it('puts its jobs on the queue, in their order, under RQ’s keys', async () => {
    const group = await q.group([
      [add, [1, 2]],
      [echo, ['x'], { timeout: 60 }],
      ['sum', [[1, 2, 3]]],
    ]);
    expect(group.name).toMatch(/^[0-9a-f]{32}$/);
    expect(await q.getJobIds()).toEqual(group.jobIds);
    expect(await redis.client.smembers('rq:groups')).toEqual([group.name]);
    expect(await members(group.name)).toEqual(group.jobIds.toSorted());
    for (const id of group.jobIds) expect(await hash(id)).toMatchObject({ group_id: group.name });
    expect((await hash(group.jobIds[1] ?? ''))['timeout']).toBe('60');
    await work();
    expect(await group.wait({ timeout: 15 })).toEqual([3, ['x'], 6]);
  });

  it('takes a name', async () => {
    const group = await q.group([[add, [1, 2]]], { name: 'nightly.2026' });
    expect(group.name).toBe('nightly.2026');
    expect(await members('nightly.2026')).toEqual(group.jobIds);
  });

  it('adds to a group of the same name, as RQ does, and waits for its own', async () => {
    const first = await q.group([[add, [1, 2]]], { name: 'g' });
    const second = await other.group(
      [
        [add, [3, 4]],
        [add, [5, 6]],
      ],
      { name: 'g' },
    );
    expect(await members('g')).toEqual([...first.jobIds, ...second.jobIds].toSorted());
    expect(await redis.client.smembers('rq:groups')).toEqual(['g']);
    await work({}, ['default', 'other']);
    expect([await first.wait(), await second.wait()]).toEqual([[3], [7, 11]]);
    expect(await (await q.fetchGroup('g'))?.wait()).toEqual([3, 7, 11]);
  });

  it('takes jobs as arguments, and dependencies, and chains onto it', async () => {
    const a = await q.enqueue(add, [1, 2]);
    const group = await q.group([
      [add, [a, 1]],
      [add, [5, 5], { dependsOn: a }],
    ]);
    expect((await group.counts()).deferred).toBe(2);
    await work();
    expect(await group.wait({ timeout: 15 })).toEqual([4, 10]);
  });

  it('of five thousand is one call', async () => {
    const group = await q.group(Array.from({ length: 5000 }, (_, i) => [add, [i, 0]] as const));
    const all = await q.enqueue(sum, [group]);
    await work({}, 'default', { concurrency: 500 });
    expect(await all.result).toBe((4999 * 5000) / 2);
    expect((await group.wait({ timeout: 10 })).slice(-2)).toEqual([4998, 4999]);
    expect(await group.counts()).toEqual({ ...NONE, finished: 5000 });
  });
});

describe('Queue.group refuses', () => {
  const group = (calls: unknown, options?: unknown): Promise<unknown> =>
    (q.group as (...given: readonly unknown[]) => Promise<unknown>).call(q, calls, options);
  const WRONG: [string, unknown, unknown, string][] = [
    ['no array', 'add', undefined, 'group needs an array of calls, not "add"'],
    ['no calls', [], undefined, 'group needs at least one call'],
    [
      'what is no call',
      [[add, [1, 2]], add],
      undefined,
      'calls[1] must be [fn, args?, options?], not function add',
    ],
    ['no JSON', [[add, [1, NaN]]], undefined, 'args[1] is NaN'],
    ['an option not known', [[add, [1, 2]]], { names: 'g' }, 'did you mean "name"?'],
    [
      'a name that is none',
      [[add, [1, 2]]],
      { name: 'a b' },
      'A group name must be 1 to 128 of A-Z a-z 0-9 _ . - and not "a b"',
    ],
    ['an empty name', [[add, [1, 2]]], { name: '' }, 'and not ""'],
    ['a name that is no text', [[add, [1, 2]]], { name: 5 }, 'and not 5'],
  ];
  it.each(WRONG)('%s, and stores nothing', async (_, calls, options, message) => {
    await expect(group(calls, options)).rejects.toThrow(message);
    await expect(group(calls, options)).rejects.toThrow(TypeError);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('ids that are taken, and stores none of the rest', async () => {
    await q.enqueueMany([
      [echo, [1], { jobId: 'a' }],
      [echo, [2], { jobId: 'b' }],
    ]);
    await expect(
      q.group(
        [
          [add, [1, 2]],
          [add, [1, 2], { jobId: 'a' }],
          [add, [1, 2], { jobId: 'b' }],
        ],
        { name: 'g' },
      ),
    ).rejects.toMatchObject({ code: 'RQ_DUPLICATE_JOB', jobId: 'a' });
    await expect(
      q.group([
        [add, [1, 2], { jobId: 'c' }],
        [add, [1, 2], { jobId: 'c' }],
      ]),
    ).rejects.toMatchObject({ code: 'RQ_DUPLICATE_JOB', jobId: 'c' });
    expect(await q.getJobIds()).toEqual(['a', 'b']);
    expect(await redis.client.keys('rq:group*')).toEqual([]);
  });

  it('a key of that name which holds no group', async () => {
    await redis.client.set('rq:group:g', 'x');
    await expect(q.group([[add, [1, 2]]], { name: 'g' })).rejects.toMatchObject({ code: 'RQ_REDIS_REFUSED' });
    expect(await q.count()).toBe(0);
  });
});

describe('Group', () => {
  it('gives its jobs as they are now, without those that are gone', async () => {
    const group = await q.group([[add, [1, 2]], [fail], [add, [3, 4], { resultTtl: 0 }], [add, [5, 6]]]);
    await (await group.jobs())[3]?.cancel();
    await work();
    const jobs = await group.jobs();
    expect(jobs.map(({ id, status: is }) => [id, is])).toEqual([
      [group.jobIds[0], 'finished'],
      [group.jobIds[1], 'failed'],
      [group.jobIds[3], 'canceled'],
    ]);
    expect(await group.counts()).toEqual({ ...NONE, finished: 1, failed: 1, canceled: 1, gone: 1 });
    // as RQ keeps it, a group holds no id of a job whose result was not kept
    expect(await members(group.name)).toEqual(jobs.map(({ id }) => id).toSorted());
  });

  it('counts each status', async () => {
    const group = await q.group([
      [add, [1, 2], { jobId: 'a' }],
      [add, [1, 2], { dependsOn: 'a' }],
      [add, [1, 2], { jobId: 's' }],
    ]);
    await redis.client.hset('rq:job:s', 'status', 'stopped');
    expect(await group.counts()).toEqual({ ...NONE, queued: 1, deferred: 1, stopped: 1 });
  });

  it('waits for all of its results, in the order of its calls', async () => {
    const order: string[] = [];
    const group = await q.group([['late'], ['soon']]);
    const results = group.wait({ timeout: 10 });
    let soon = (): void => {};
    const passed = new Promise<void>(resolve => (soon = resolve));
    await work({
      late: async () => {
        await passed;
        order.push('late');
        return 1;
      },
      soon: () => {
        order.push('soon');
        soon();
        return 2;
      },
    });
    expect(order).toEqual(['soon', 'late']);
    expect(await results).toEqual([1, 2]);
  });

  it('names the job that failed first, while others still run', async () => {
    const group = await q.group([['held'], [fail, ['at once']]]);
    const [held, failed] = group.jobIds;
    const waited = group.wait().catch((error: unknown) => error);
    let open = (): void => {};
    const passed = new Promise<void>(resolve => (open = resolve));
    const working = work({ held: () => passed });
    expect(await waited).toMatchObject({
      code: 'RQ_JOB_FAILED',
      jobId: failed,
      remote: { name: 'TypeError', message: 'at once' },
    });
    expect(await status(held ?? '')).toBe('started');
    open();
    await working;
    await expect(group.wait()).rejects.toMatchObject({ jobId: failed });
  });

  it.each([
    ['canceled', 'RQ_JOB_CANCELED'],
    ['gone', 'RQ_NO_SUCH_JOB'],
    ['deferred behind one that failed', 'RQ_DEPENDENCY_FAILED'],
  ])('says which one is %s', async (how, code) => {
    const bad = await q.enqueue(fail, []);
    const group = await q.group([
      [add, [1, 2]],
      [add, [1, 2], how.startsWith('deferred') ? { dependsOn: bad } : { jobId: 'it' }],
    ]);
    const it_ = await q.fetchJob(group.jobIds[1] ?? '');
    if (how === 'canceled') await it_?.cancel();
    if (how === 'gone') await it_?.delete();
    await work();
    await expect(group.wait({ timeout: 15 })).rejects.toMatchObject({ code, jobId: group.jobIds[1] });
  });

  it('of many waits without a warning', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): unknown => warnings.push(warning);
    process.on('warning', note);
    const group = await q.group(Array.from({ length: 50 }, (_, i) => [add, [i, 0]] as const));
    const results = group.wait({ timeout: 10 });
    await work();
    expect(await results).toHaveLength(50);
    process.off('warning', note);
    expect(warnings).toEqual([]);
  });

  it('gives up after a time', async () => {
    const group = await q.group([[add, [1, 2]], ['nobody']], { name: 'g' });
    await expect(group.wait({ timeout: '50ms' })).rejects.toMatchObject({ code: 'RQ_WAIT_TIMEOUT' });
    expect(await q.count()).toBe(2);
    await expect(group.wait({ timeout: 'soon' })).rejects.toThrow(RangeError);
    await expect(group.wait({ timout: 5 } as object)).rejects.toThrow('did you mean "timeout"?');
  });
});

describe('A group as an argument', () => {
  it('stands for the list of its results, in the order of its calls', async () => {
    const group = await q.group([[add, [1, 2]], [multiply, [3, 4]], ['empty']]);
    const all = await q.enqueue('all', [group, { of: [group] }]);
    expect(all.dependencyIds).toEqual(group.jobIds);
    expect(all.description).toContain(`all([job ${group.jobIds[0]}, job ${group.jobIds[1]}`);
    await work({ all: echo, empty: () => [] });
    expect(await all.result).toEqual([[3, 12, []], { of: [[3, 12, []]] }]);
  });

  it('is released by the last of its jobs, on whatever queue', async () => {
    const group = await q.group([
      [add, [1, 2]],
      [add, [3, 4]],
    ]);
    const all = await other.enqueue(sum, [group]);
    for (const id of group.jobIds) expect(await dependents(id)).toEqual([all.id]);
    await work({}, 'default', { concurrency: 1 });
    expect(await other.getJobIds()).toEqual([all.id]);
    await work({}, 'other');
    expect(await all.result).toBe(10);
  });

  it('has the job that takes it name the one that failed', async () => {
    const group = await q.group([
      [add, [1, 2]],
      [fail, ['x']],
    ]);
    const all = await q.enqueue(sum, [group]);
    await work();
    await expect(all.wait({ timeout: 15 })).rejects.toMatchObject({
      code: 'RQ_DEPENDENCY_FAILED',
      dependencyId: group.jobIds[1],
      remote: { message: 'x' },
    });
  });

  it('with allowFailure has null in the place of what failed', async () => {
    const group = await q.group([[add, [1, 2]], [fail], [add, [3, 4]]]);
    const all = await q.enqueue('all', [group], { dependsOn: { allowFailure: true } });
    await work({ all: echo });
    expect(await all.result).toEqual([[3, null, 7]]);
  });

  it('of another Redis is refused', async () => {
    await using elsewhere = new Queue('default', { connection: { port: redis.port, db: 5 } });
    const group = await elsewhere.group([[add, [1, 2]]]);
    await expect(q.enqueue(sum, [group])).rejects.toThrow('args[0] is a job of another Redis');
  });
});

describe('Queue.fetchGroup', () => {
  it('gives a group of whatever queue, in the order in which its jobs were made', async () => {
    const made = await other.group(
      Array.from({ length: 20 }, (_, i) => [add, [i, 0]] as const),
      { name: 'g' },
    );
    const found = await q.fetchGroup('g');
    expect(found?.jobIds).toEqual(made.jobIds);
    await work({}, 'other');
    expect(await found?.wait()).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('is undefined where no job of it is left, or it never was', async () => {
    const group = await q.group([[add, [1, 2]]]);
    await (await group.jobs())[0]?.delete();
    expect(await q.fetchGroup(group.name)).toBeUndefined();
    expect(await q.fetchGroup('never')).toBeUndefined();
    await expect(q.fetchGroup('a b')).rejects.toThrow('A group name must be');
  });
});
