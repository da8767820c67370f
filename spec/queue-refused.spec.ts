/** Chains and groups of which Redis refuses a job: what is stored then, and what the caller hears. */
import { describe, expect, it } from 'vitest';
import { Queue } from '../lib/index.ts';
import { useQueue, useRedis, workOff } from './support/in-process.ts';
import { add, echo } from './support/tasks.js';

const redis = useRedis();
const q = useQueue(redis);
const statusOf = (id: string): Promise<string | null> => redis.client.hget(`rq:job:${id}`, 'status');

describe('Queue.chain, with a step that is refused', () => {
  it('adds none of them', async () => {
    await q.enqueueIn('1h', echo, ['mine'], { jobId: 'taken' });
    const chain = q.chain([
      [add, [1, 2], { jobId: 'before' }],
      [add, [3], { jobId: 'taken' }],
      [add, [4], { jobId: 'after' }],
      [add, [5], { jobId: 'last' }],
    ]);
    await expect(chain).rejects.toMatchObject({ code: 'RQ_DUPLICATE_JOB', jobId: 'taken' });
    expect(await Promise.all(['before', 'taken', 'after', 'last'].map(statusOf))).toEqual([
      null,
      'scheduled',
      null,
      null,
    ]);
    expect(await redis.client.keys('*depend*')).toEqual([]);
    expect(await q.getJobIds()).toEqual([]);
  });

  it('replaces a job of the same id that has ended on another queue', async () => {
    await using other = new Queue('other', { connection: redis.url });
    const old = await Promise.all([
      other.enqueue(add, [100, 100], { jobId: 'one' }),
      other.enqueue(add, [200, 200], { jobId: 'two' }),
    ]);
    await workOff(redis, {}, 'other');
    expect(await Promise.all(old.map(job => job.result))).toEqual([200, 400]);
    const last = await q.chain([
      [add, [1, 2], { jobId: 'one' }],
      [add, [3], { jobId: 'two' }],
      [add, [4]],
    ]);
    await workOff(redis);
    expect(await last.result).toBe(10);
    expect(await other.finishedRegistry.count()).toBe(0);
  });

  it('tells of the first of two, and of nothing else', async () => {
    await Promise.all(['a', 'b'].map(jobId => q.enqueue(echo, [], { jobId })));
    const chain = q.chain([
      [echo, [], { jobId: 'a' }],
      [echo, [], { jobId: 'b' }],
    ]);
    await expect(chain).rejects.toMatchObject({ jobId: 'a' });
  });
});

describe('Queue.group, with jobs that are refused', () => {
  it('adds none of them, and tells of the first', async () => {
    await Promise.all(['a', 'b'].map(jobId => q.enqueueIn('1h', echo, [], { jobId })));
    const group = q.group(
      [
        [add, [1, 2], { jobId: 'before' }],
        [echo, [], { jobId: 'a' }],
        [echo, [], { jobId: 'b' }],
        [add, [3, 4], { jobId: 'after' }],
      ],
      { name: 'g' },
    );
    // an unhandled rejection of the second one would fail this file
    await expect(group).rejects.toMatchObject({ code: 'RQ_DUPLICATE_JOB', jobId: 'a' });
    expect(await q.fetchGroup('g')).toBeUndefined();
    expect(await Promise.all(['before', 'after'].map(statusOf))).toEqual([null, null]);
  });
});

describe('Queue.chain and Queue.group', () => {
  it('refuse what is no list of calls, and a list without any', async () => {
    await expect(q.chain([] as never)).rejects.toThrow('chain needs at least one call');
    await expect(q.group([])).rejects.toThrow('group needs at least one call');
    await expect(q.chain('add' as never)).rejects.toThrow('chain needs an array of calls, not "add"');
    await expect(q.group({} as never)).rejects.toThrow('group needs an array of calls, not an object');
    expect(await redis.client.keys('*')).toEqual([]);
  });
});
