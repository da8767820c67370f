/** `dependsOn`: its forms, what is refused, and what becomes of a job whose dependency has ended already. */
import { describe, expect, it } from 'vitest';
import type { DependsOn, EnqueueOptions } from '../lib/index.ts';
import { add, echo, fail, useFollowing } from './support/following.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);
const { work, hash, status, dependents, finish, lookAround } = useFollowing(redis);

/** Two jobs `a` and `b`, which wait on the queue. */
const two = () =>
  q.enqueueMany([
    [add, [1, 2], { jobId: 'a' }],
    [add, [3, 4], { jobId: 'b' }],
  ]);
/** A job `a` that has ended so. */
async function ended(how: 'finished' | 'failed' | 'stopped' | 'canceled' | 'expired') {
  const job = await q.enqueue(how === 'failed' ? fail : echo, [], { jobId: 'a' });
  if (how === 'canceled') await job.cancel();
  else await work();
  if (how === 'stopped') await redis.client.hset('rq:job:a', 'status', 'stopped');
  if (how === 'expired') await redis.client.del('rq:job:a');
  return job;
}

describe('The option dependsOn', () => {
  const FORMS: [string, () => Promise<DependsOn>, string[]][] = [
    ['a job', async () => (await two())[0], ['a']],
    ['an id', async () => (await two()) && 'a', ['a']],
    ['a list of jobs and ids', async () => [(await two())[0], 'b'], ['a', 'b']],
    ['a list that names one twice', async () => [(await two())[0], 'a', 'b', 'a'], ['a', 'b']],
    ['{ jobs: a job }', async () => ({ jobs: (await two())[1] }), ['b']],
    ['{ jobs: an id }', async () => (await two()) && { jobs: 'b' }, ['b']],
    ['{ jobs: a list }', async () => ({ jobs: ['b', (await two())[0]] }), ['b', 'a']],
    [
      'a group',
      async () =>
        q.group([
          [add, [1, 2], { jobId: 'a' }],
          [add, [3, 4], { jobId: 'b' }],
        ]),
      ['a', 'b'],
    ],
  ];
  it.each(FORMS)('may be %s', async (_, given, ids) => {
    const dependsOn = await given();
    const job = await q.enqueue(add, [5, 6], { dependsOn });
    expect(job.status).toBe('deferred');
    expect(job.dependencyIds).toEqual(ids);
    expect(await hash(job.id)).toMatchObject({
      status: 'deferred',
      dependency_id: ids[0],
      dependency_ids: JSON.stringify(ids),
    });
    expect((await redis.client.smembers(`rq:job::${job.id}:dependencies`)).toSorted()).toEqual(
      ids.toSorted(),
    );
    for (const id of ids) expect(await dependents(id)).toEqual([job.id]);
    await work();
    expect(await job.result).toBe(11);
  });

  it('adds to the jobs among the arguments', async () => {
    const [a, b] = await two();
    const job = await q.enqueue(add, [a, 1], { dependsOn: b });
    expect(job.dependencyIds).toEqual(['a', 'b']);
    const more = await q.enqueue(add, [a, 1], { dependsOn: { allowFailure: true } });
    expect(more.dependencyIds).toEqual(['a']);
    await work();
    expect([await job.result, await more.result]).toEqual([4, 4]);
  });

  it('has the job wait for the last of them', async () => {
    const [a, b] = await two();
    const job = await q.enqueue(add, [5, 6], { dependsOn: ['a', 'b'] });
    await work({}, 'default', { concurrency: 1 });
    const [of, bf, at] = await Promise.all([a.refresh(), b.refresh(), job.refresh()]);
    expect(Number(at.startedAt)).toBeGreaterThanOrEqual(Number(bf.endedAt));
    expect(Number(at.startedAt)).toBeGreaterThanOrEqual(Number(of.endedAt));
  });

  it.each([true, false])('with atFront: %s puts it there once nothing is left to wait for', async atFront => {
    await two();
    const job = await q.enqueue(add, [5, 6], { dependsOn: { jobs: 'a', atFront } });
    await finish('3');
    expect(await q.getJobIds()).toEqual(atFront ? [job.id, 'b'] : ['b', job.id]);
  });

  it('takes atFront of the call as well', async () => {
    await two();
    const job = await q.enqueue(add, [5, 6], { dependsOn: 'a', atFront: true });
    expect(await hash(job.id)).toMatchObject({ enqueue_at_front: '1' });
    expect(await q.getJobIds()).toEqual(['a', 'b']);
  });
});

describe('The option dependsOn refuses', () => {
  const FORM = 'must be a job, a group, an id, a list of them, or { jobs, allowFailure, atFront }';
  const ID = 'A job id must be 1 to 128 of A-Z a-z 0-9 _ - and not';
  class Foreign {
    readonly id = 'a';
  }
  const WRONG: [string, unknown, string][] = [
    ['a number', 5, `dependsOn ${FORM}, not 5`],
    ['null', null, `dependsOn ${FORM}, not null`],
    ['a flag', true, `dependsOn ${FORM}, not true`],
    ['a function', add, `dependsOn ${FORM}, not function add`],
    ['a foreign object', new Foreign(), `dependsOn ${FORM}, not an object (Foreign)`],
    ['a promise', Promise.resolve('a'), `dependsOn ${FORM}, not an object (Promise)`],
    ['a set', new Set(['a']), `dependsOn ${FORM}, not an object (Set)`],
    ['an empty list', [], 'dependsOn must name at least one job'],
    ['an empty list in jobs', { jobs: [] }, 'dependsOn must name at least one job'],
    ['a foreign object in a list', ['a', { id: 'a' }], `dependsOn[1] ${FORM}, not an object (Object)`],
    ['a list in a list', ['a', ['b']], `dependsOn[1] ${FORM}, not an array`],
    ['a hole in a list', ['a', undefined], `dependsOn[1] ${FORM}, not undefined`],
    ['no job in jobs', { jobs: 7 }, `dependsOn ${FORM}, not 7`],
    ['null in jobs', { jobs: null }, `dependsOn ${FORM}, not null`],
    ['an id that is none', 'a.b', `${ID} "a.b"`],
    ['an empty id', '', `${ID} ""`],
    ['an id that is none in a list', ['a', 'b c'], `${ID} "b c"`],
    [
      'an option not known',
      { jobs: 'a', allowFailures: true },
      'Unknown option of dependsOn "allowFailures": did you mean "allowFailure"?',
    ],
    [
      'Python’s name',
      { jobs: 'a', enqueue_at_front: true },
      'Unknown option of dependsOn "enqueue_at_front"',
    ],
    [
      'allowFailure that is no flag',
      { jobs: 'a', allowFailure: 1 },
      'dependsOn.allowFailure must be true or false, not 1',
    ],
    [
      'atFront that is no flag',
      { jobs: 'a', atFront: 'yes' },
      'dependsOn.atFront must be true or false, not "yes"',
    ],
    ['no jobs at all', {}, 'dependsOn needs jobs, where there are none among the arguments'],
    [
      'no jobs, with a flag',
      { allowFailure: true },
      'dependsOn needs jobs, where there are none among the arguments',
    ],
  ];
  it.each(WRONG)('%s', async (_, dependsOn, message) => {
    const options = { dependsOn } as EnqueueOptions;
    const error: unknown = await q.enqueue(add, [1, 2], options).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as TypeError).message).toContain(message);
    expect(await redis.client.dbsize()).toBe(0);
  });
});

describe('A cycle', () => {
  it('is refused where a job waits for itself', async () => {
    await expect(q.enqueue(add, [1, 2], { jobId: 'a', dependsOn: 'a' })).rejects.toThrow(
      new TypeError('Job "a" can\'t wait for itself'),
    );
    const old = await ended('finished');
    await expect(q.enqueue(echo, [old], { jobId: 'a' })).rejects.toThrow("can't wait for itself");
    expect(await status('a')).toBe('finished');
  });

  it.each([0, 1, 5])('is refused through %i others, and leaves all as it was', async others => {
    await ended('failed');
    let last = 'a';
    for (let i = 0; i <= others; i++)
      last = (await q.enqueue(add, [1, 2], { dependsOn: last, jobId: `w${i}` })).id;
    const before = await hash('a');
    await expect(q.enqueue(add, [1, 2], { jobId: 'a', dependsOn: ['x', last] })).rejects.toMatchObject({
      name: 'DependencyCycleError',
      code: 'RQ_DEPENDENCY_CYCLE',
      jobId: 'a',
      dependencyId: last,
      message: `Job a can't wait for job ${last}, which waits for it already`,
    });
    expect(await hash('a')).toEqual(before);
    expect(await q.failedRegistry.getJobIds()).toEqual(['a']);
    expect(await dependents(last)).toEqual([]);
    // what waits is queued as before, once that job comes back and finishes
    await q.failedRegistry.requeue('a');
    await work({ fail: () => 1 });
    expect(await status(last)).toBe('finished');
  });

  it('is none where both wait for a third', async () => {
    await ended('failed');
    const b = await q.enqueue(add, [1, 2], { dependsOn: 'a' });
    const c = await q.enqueue(add, [1, 2], { dependsOn: ['a', b], jobId: 'c' });
    expect(c.status).toBe('deferred');
  });
});

describe('A job whose dependency has ended', () => {
  it('is queued at once where that has finished', async () => {
    const a = await ended('finished');
    const job = await q.enqueue(add, [1, 2], { dependsOn: a });
    expect(job.status).toBe('queued');
    expect(job.dependencyIds).toEqual(['a']);
    expect(await redis.client.keys('*depend*')).toEqual([]);
    await work();
    expect(await job.result).toBe(3);
  });

  it.each(['failed', 'stopped', 'canceled'] as const)('says at once that that is %s', async how => {
    const a = await ended(how);
    for (const job of [
      await q.enqueue(add, [1, 2], { dependsOn: a }),
      await q.enqueue(echo, [a]),
      await q.enqueue(echo, [], { dependsOn: await q.enqueue(echo, [a]) }),
    ]) {
      expect(job.status).toBe('deferred');
      const told = { code: 'RQ_DEPENDENCY_FAILED', jobId: job.id, dependencyId: 'a', status: how };
      await expect(job.result).rejects.toMatchObject(told);
      await expect(job.wait({ timeout: 10 })).rejects.toMatchObject(told);
    }
    expect(await q.getJobIds()).toEqual([]);
  });

  it('repeats what that threw', async () => {
    const a = await ended('failed');
    const job = await q.enqueue(echo, [a], { jobId: 'b' });
    await expect(job.result).rejects.toMatchObject({
      message: 'Job b needs job a, which failed (TypeError: no)',
      remote: { name: 'TypeError', message: 'no' },
    });
  });

  it.each(['expired', 'unknown'])('counts one that is %s as met, but for its result', async how => {
    const a = how === 'expired' ? await ended('expired') : 'never-was';
    const job = await q.enqueue(add, [1, 2], { dependsOn: a });
    expect(job.status).toBe('queued');
    if (typeof a === 'string') return;
    await expect(q.enqueue(echo, [a], { jobId: 'b' })).rejects.toMatchObject({
      code: 'RQ_DEPENDENCY_FAILED',
      jobId: 'b',
      dependencyId: 'a',
      status: 'gone',
      message: 'Job b needs job a, which is gone',
    });
    expect(await redis.client.exists('rq:job:b')).toBe(0);
    expect(await q.getJobIds()).toEqual([job.id]);
  });

  it('waits where that is scheduled for a retry', async () => {
    const a = await q.enqueue(fail, [], { jobId: 'a', retry: { max: 1, interval: 3600 } });
    await work();
    expect(await status('a')).toBe('scheduled');
    const job = await q.enqueue(echo, [a]);
    expect(job.status).toBe('deferred');
    expect(await job.result).toBeUndefined();
    await redis.client.zadd('rq:scheduled:default', 1, 'a');
    await lookAround();
    await work({ fail: () => 'well' });
    expect(await job.result).toEqual(['well']);
  });
});

describe('allowFailure', () => {
  it('lets a job go on after a failure, and gives null for the result', async () => {
    const before = await q.enqueue(fail, [], { jobId: 'a' });
    const job = await q.enqueue(echo, [before, { before }], { dependsOn: { allowFailure: true } });
    expect(await hash(job.id)).toMatchObject({ allow_dependency_failures: '1' });
    const strict = await q.enqueue(echo, [before]);
    await work();
    expect(await job.result).toEqual([null, { before: null }]);
    expect(await strict.getStatus()).toBe('deferred');
    const after = await q.enqueue(echo, [before], { dependsOn: { allowFailure: true } });
    expect(after.status).toBe('queued');
    await work();
    expect(await after.result).toEqual([null]);
  });

  it('gives null also where an earlier run left a result in the hash, as RQ’s requeue does', async () => {
    const before = await ended('failed');
    await redis.client.hset('rq:job:a', 'result', '"old"');
    const job = await q.enqueue(echo, [before], { dependsOn: { allowFailure: true } });
    await work();
    expect(await job.result).toEqual([null]);
  });

  it.each(['stopped', 'canceled'] as const)('does not let it go on after one that was %s', async how => {
    const a = await ended(how);
    const job = await q.enqueue(echo, [a], { dependsOn: { allowFailure: true } });
    await expect(job.result).rejects.toMatchObject({ code: 'RQ_DEPENDENCY_FAILED', status: how });
  });

  it('waits for all of them, whatever becomes of each', async () => {
    const [bad, good] = await q.enqueueMany([[fail], [add, [1, 2]]]);
    const job = await q.enqueue(echo, [bad, good], { dependsOn: { allowFailure: true } });
    await work({}, 'default', { concurrency: 1 });
    expect(await job.result).toEqual([null, 3]);
  });
});
