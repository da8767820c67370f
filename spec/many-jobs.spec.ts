/** Calls that bring many jobs at once, or name many: one step each, and no more work than there are jobs. */
import { beforeEach, describe, expect, it } from 'vitest';
import { DependencyCycleError } from '../lib/index.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);

const one = (): number => 1;
const inc = (x: number): number => x + 1;
const count = (numbers: readonly number[]): number => numbers.length;
const many = 10_000;

/** How often Redis was asked this since the test began. */
async function calls(command: string): Promise<number> {
  const stats = await redis.client.info('commandstats');
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}
beforeEach(() => redis.client.config('RESETSTAT'));

describe('Queue.group', () => {
  it('takes ten thousand calls, and stands as an argument', { timeout: 60_000 }, async () => {
    const group = await q.group(Array.from({ length: many }, () => [one] as const));
    expect(await q.count()).toBe(many);
    expect(await q.getJobIds()).toEqual(group.jobIds);
    expect(await redis.client.scard(`rq:group:${group.name}`)).toBe(many);
    const all = await q.enqueue('count', [group]);
    expect(all.status).toBe('deferred');
    expect(await redis.client.scard(`rq:job::${all.id}:dependencies`)).toBe(many);
    expect(await redis.client.exists(...group.jobIds.map(id => `rq:job:${id}:dependents`))).toBe(many);
  });

  it('puts ten thousand at the front, the last of them first, as single calls do', async () => {
    const group = await q.group(Array.from({ length: many }, () => [one, [], { atFront: true }] as const));
    expect(await q.getJobIds()).toEqual(group.jobIds.toReversed());
  });
});

describe('Queue.chain', () => {
  it('takes ten thousand steps', { timeout: 60_000 }, async () => {
    const steps = Array.from({ length: many }, (_, n) => (n === 0 ? (['one'] as const) : (['inc'] as const)));
    const last = await q.chain(steps);
    expect(last.status).toBe('deferred');
    expect(await q.count()).toBe(1);
    expect(await q.deferredRegistry.count()).toBe(many - 1);
    expect(await redis.client.scard(`rq:job::${last.id}:dependencies`)).toBe(1);
  });
});

describe('Queue.enqueue, of a job that waits for many', () => {
  it('keeps no lifetime on what an ended job of the same id left', async () => {
    // as it stands after a job of this id failed
    await redis.client.sadd('rq:job:again:dependents', 'other');
    await redis.client.expire('rq:job:again:dependents', 1000);
    await q.enqueue(one, [], { jobId: 'again' });
    await q.enqueue(one, [], { jobId: 'last', dependsOn: 'again' });
    expect(await redis.client.ttl('rq:job:again:dependents')).toBe(-1);
    expect((await redis.client.smembers('rq:job:again:dependents')).toSorted()).toEqual(['last', 'other']);
  });

  it('asks for as many keys as it waits for, whatever these wait for, with an id of its own as well', async () => {
    const long = 400;
    await q.enqueue(one, [], { jobId: 'step-0' });
    for (let n = 1; n < long; n++)
      await q.enqueue(inc, [1], { jobId: `step-${n}`, dependsOn: `step-${n - 1}` });
    const dependsOn = Array.from({ length: long }, (_, n) => `step-${n}`);
    await q.enqueue(count, [[1]], { jobId: 'last', dependsOn });
    expect(await redis.client.scard('rq:job::last:dependencies')).toBe(long);
    // nobody waited for any of these ids before: so nothing can go in a circle
    expect(await calls('smembers')).toBe(0);
    expect(await calls('sadd')).toBeLessThan(5 * long);
  });

  it('refuses a circle, through the dependents that an ended job of its id left', async () => {
    const first = await q.enqueue(one, [], { jobId: 'first' });
    await q.enqueue(one, [], { jobId: 'middle', dependsOn: 'first' });
    await q.enqueue(one, [], { jobId: 'end', dependsOn: 'middle' });
    await first.cancel();
    const again = q.enqueue(one, [], { jobId: 'first', dependsOn: 'end' });
    await expect(again).rejects.toThrow(DependencyCycleError);
    await expect(again).rejects.toMatchObject({ jobId: 'first', dependencyId: 'end' });
    expect(await q.count()).toBe(0);
    await expect(q.enqueue(one, [], { jobId: 'first', dependsOn: 'first' })).rejects.toThrow(TypeError);
  });

  it('refuses a circle, through dependents that are on their way', async () => {
    await q.enqueue(one, [], { jobId: 'first' });
    await q.enqueue(one, [], { jobId: 'end', dependsOn: 'first' });
    const other = await q.fetchJob('first');
    await other?.delete();
    expect(await redis.client.smembers('rq:releasing:first')).toEqual(['end']);
    await expect(q.enqueue(one, [], { jobId: 'first', dependsOn: 'end' })).rejects.toThrow(
      DependencyCycleError,
    );
  });
});
