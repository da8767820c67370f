/** `Queue.chain`: each step gets the result of the one before. */
import { describe, expect, it } from 'vitest';
import { Queue, type Job } from '../lib/index.ts';
import { add, echo, fail, multiply, useFollowing } from './support/following.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);
const { work, hash, status, data } = useFollowing(redis);

/** The ids from a chain's last job back to its first, in the order of the steps. */
async function idsOf(last: Job): Promise<string[]> {
  const ids = [last.id];
  for (let job: Job | undefined = last; job !== undefined && job.dependencyIds.length > 0;) {
    const before: string = job.dependencyIds[0] ?? '';
    ids.unshift(before);
    job = await q.fetchJob(before);
  }
  return ids;
}

describe('Queue.chain', () => {
  it('hands each result to the next step as its first argument', async () => {
    const last = await q.chain([
      [add, [4, 6]],
      [multiply, [10]],
    ]);
    expect(last.status).toBe('deferred');
    const ids = await idsOf(last);
    expect(ids).toHaveLength(2);
    expect(await q.getJobIds()).toEqual(ids.slice(0, 1));
    await work();
    expect(await last.result).toBe(100);
    expect(await data(last.id)).toBe('["multiply",null,[10,10],{}]');
  });

  it('of eight steps runs them in their order', async () => {
    const last = await q.chain([
      [add, [1, 0]],
      [add, [2]],
      [multiply, [2]],
      [add, [1]],
      [multiply, [3]],
      [add, [-1]],
      [multiply, [0.5]],
      [echo, ['end']],
    ]);
    const ids = await idsOf(last);
    expect(ids).toHaveLength(8);
    expect(new Set(ids).size).toBe(8);
    await work();
    expect(await last.result).toEqual([10, 'end']);
  });

  it('of one step is a job', async () => {
    const only = await q.chain([[add, [1, 2]]]);
    expect([only.status, only.dependencyIds]).toEqual(['queued', []]);
    await work();
    expect(await only.result).toBe(3);
  });

  // a thousand times to Redis and back, one after the other
  it('of a thousand steps comes to its end', { timeout: 120_000 }, async () => {
    const steps = Array.from({ length: 999 }, () => ['add', [1]] as const);
    const last = await q.chain([['add', [0, 1]], ...steps]);
    await work();
    expect(await last.result).toBe(1000);
    expect(await q.finishedRegistry.count()).toBe(1000);
  });

  it('takes names, and steps without arguments', async () => {
    const last = await q.chain([['zero'], ['echo'], ['echo', ['x']]]);
    await work({ zero: () => 0 });
    expect(await last.result).toEqual([[0], 'x']);
  });

  it('takes jobs among the arguments of any step', async () => {
    const a = await q.enqueue(add, [1, 2]);
    const last = await q.chain([
      [add, [a, 1]],
      [multiply, [a]],
    ]);
    expect(last.dependencyIds).toContain(a.id);
    await work();
    expect(await last.result).toBe(12);
  });

  it('takes options for each step', async () => {
    const before = await q.enqueue(echo, []);
    const last = await q.chain([
      [add, [4, 6], { jobId: 'first', timeout: 60, meta: { step: 1 }, dependsOn: before }],
      ['echo', [], { jobId: 'second', kwargs: { k: 1 }, ttl: '1h', retry: { max: 2 }, atFront: true }],
    ]);
    expect(await hash('first')).toMatchObject({ timeout: '60', meta: '{"step":1}', status: 'deferred' });
    expect(await hash('second')).toMatchObject({ ttl: '3600', retries_left: '2', enqueue_at_front: '1' });
    expect(await redis.client.ttl('rq:job:second')).toBeGreaterThan(3590);
    await work();
    expect(await last.result).toEqual([10, { k: 1 }]);
  });

  it('stops where a step fails, and the last job says which', async () => {
    const last = await q.chain([
      [add, [1, 2]],
      ['fail', [], { jobId: 'bad' }],
      [add, [1]],
      [add, [1]],
    ]);
    await work();
    await expect(last.wait({ timeout: 15 })).rejects.toMatchObject({
      code: 'RQ_DEPENDENCY_FAILED',
      jobId: last.id,
      dependencyId: 'bad',
      remote: { name: 'TypeError', message: '3' },
    });
    await q.failedRegistry.requeue('bad');
    await work({ fail: (x: number) => x });
    expect(await last.result).toBe(5);
  });

  it('goes on past a step that may fail', async () => {
    const last = await q.chain([
      [fail, []],
      ['echo', ['after'], { dependsOn: { allowFailure: true } }],
    ]);
    await work();
    expect(await last.result).toEqual([null, 'after']);
  });

  it('is canceled as a whole from its first job', async () => {
    const last = await q.chain([
      [add, [1, 2]],
      [add, [1]],
      [add, [1]],
    ]);
    const ids = await idsOf(last);
    await (await q.fetchJob(ids[0] ?? ''))?.cancel({ cancelDependents: true });
    expect(await Promise.all(ids.map(status))).toEqual(['canceled', 'canceled', 'canceled']);
  });
});

describe('Queue.chain refuses', () => {
  const chain = (steps: unknown): Promise<unknown> =>
    (q.chain as (given: unknown) => Promise<unknown>).call(q, steps);
  const WRONG: [string, unknown, string][] = [
    ['no array', 5, 'chain needs an array of calls, not 5'],
    ['nothing', undefined, 'chain needs an array of calls, not undefined'],
    ['an empty array', [], 'chain needs at least one call'],
    [
      'a step that is no call',
      [[add, [1, 2]], add],
      'steps[1] must be [fn, args?, options?], not function add',
    ],
    ['a step without a function', [[add, [1, 2]], []], 'undefined'],
    [
      'arguments that are no array',
      [
        [add, [1, 2]],
        [multiply, 10],
      ],
      'args must be an array, not 10',
    ],
    [
      'arguments that are no JSON',
      [
        [add, [1, 2]],
        [multiply, [new Date(0)]],
      ],
      'args[1] is a Date',
    ],
    [
      'an option not known',
      [
        [add, [1, 2]],
        [multiply, [1], { timout: 1 }],
      ],
      '"timout"',
    ],
    [
      'the same jobId twice',
      [
        [add, [1, 2], { jobId: 'a' }],
        [add, [1], { jobId: 'a' }],
      ],
      "can't wait for itself",
    ],
  ];
  it.each(WRONG)('%s, and stores nothing', async (_, steps, message) => {
    await expect(chain(steps)).rejects.toThrow(message);
    await expect(chain(steps)).rejects.toThrow(TypeError);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('a queue that runs jobs at once', async () => {
    await using now = new Queue('default', { connection: redis.url, isAsync: false });
    await expect(now.chain([[add, [1, 2]]])).rejects.toThrow(
      new TypeError('A queue with isAsync: false runs single jobs, no chains or groups'),
    );
  });

  it.each([0, 1, 2])('an id that is taken, in step %i, and stores none of the steps', async place => {
    await q.enqueue(echo, ['taken'], { jobId: 'taken' });
    const named = (i: number) => (i === place ? { jobId: 'taken' } : {});
    await expect(
      q.chain([
        [add, [1, 2], named(0)],
        [add, [1], named(1)],
        [add, [1], named(2)],
      ]),
    ).rejects.toMatchObject({ code: 'RQ_DUPLICATE_JOB', jobId: 'taken' });
    expect(await redis.client.keys('rq:job*')).toEqual(['rq:job:taken']);
    expect(await q.getJobIds()).toEqual(['taken']);
  });

  it('a job that is gone among the arguments, and stores none of the steps', async () => {
    const gone = await q.enqueue(add, [1, 2], { resultTtl: 0 });
    await work();
    await expect(
      q.chain([
        [add, [1, 2]],
        [add, [gone]],
        [add, [1]],
      ]),
    ).rejects.toMatchObject({ code: 'RQ_DEPENDENCY_FAILED', dependencyId: gone.id, status: 'gone' });
    expect(await redis.client.keys('rq:job*')).toEqual([]);
    expect(await q.getJobIds()).toEqual([]);
  });

  it('nothing where the id is that of a job that has ended', async () => {
    await q.enqueue(echo, ['old'], { jobId: 'again' });
    await work();
    const last = await q.chain([
      [add, [4, 6], { jobId: 'again' }],
      [multiply, [10]],
    ]);
    await work();
    expect(await last.result).toBe(100);
  });

  it('nothing where that one ended on another queue', async () => {
    await using other = new Queue('other', { connection: redis.url });
    await other.enqueue(add, [1, 1], { jobId: 'again' });
    await work({}, 'other');
    const last = await q.chain([
      [add, [4, 6], { jobId: 'again' }],
      [multiply, [10]],
    ]);
    await work();
    expect(await last.result).toBe(100);
    expect(await other.finishedRegistry.count()).toBe(0);
  });
});
