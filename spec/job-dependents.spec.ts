/** Jobs that wait for others: what a handle says before a worker has let them go, and what is kept of who waits. */
import { describe, expect, it } from 'vitest';
import type { Job } from '../lib/index.ts';
import { useQueue, useRedis, workOff } from './support/in-process.ts';
import { add, echo } from './support/tasks.js';

const redis = useRedis();
const q = useQueue(redis);

describe('Job.wait of a dependent, once its dependency was canceled with enqueueDependents', () => {
  it('goes on waiting, and gives the result', async () => {
    const first = await q.enqueue(add, [1, 2]);
    const second = await q.enqueue(echo, ['on'], { dependsOn: first });
    const third = await q.enqueue(echo, [second]);
    await first.cancel({ enqueueDependents: true });
    expect(await redis.client.hgetall('rq:releasing')).toEqual({ [first.id]: 'gone:0:' });
    expect(await second.result).toBeUndefined();
    expect(await third.result).toBeUndefined();
    const waiting = Promise.all([second.wait({ timeout: '10s' }), third.wait({ timeout: '10s' })]);
    await workOff(redis);
    expect(await waiting).toEqual([['on'], [['on']]]);
  });

  it('rejects where it takes the result that will never be', async () => {
    const first = await q.enqueue(add, [1, 2]);
    const second = await q.enqueue(echo, [first]);
    await first.cancel({ enqueueDependents: true });
    expect(await second.result).toBeUndefined();
    await workOff(redis);
    await expect(second.result).rejects.toMatchObject({
      code: 'RQ_JOB_FAILED',
      remote: { name: 'DependencyFailedError' },
    });
    expect((await second.refresh()).status).toBe('failed');
  });

  it('rejects where nobody let it go', async () => {
    const first = await q.enqueue(add, [1, 2]);
    const second = await q.enqueue(echo, ['on'], { dependsOn: first });
    await first.cancel();
    await expect(second.result).rejects.toMatchObject({
      code: 'RQ_DEPENDENCY_FAILED',
      dependencyId: first.id,
      status: 'canceled',
    });
  });
});

describe('What keeps very many jobs from running, one behind the other', () => {
  /** Jobs of which each waits for the one before. */
  const line = (count: number): Promise<Job[]> =>
    q.enqueueMany(
      Array.from({ length: count }, (_, n) => {
        const dependsOn = n === 0 ? {} : { dependsOn: `j-${n - 1}` };
        return ['f', [], { jobId: `j-${n}`, ...dependsOn }] as const;
      }),
    );
  async function calls(command: string): Promise<number> {
    const stats = await redis.client.info('commandstats');
    return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  }

  it('is named to each that asks', { timeout: 30_000 }, async () => {
    const [first, ...others] = await line(2_500);
    const last = others.at(-1);
    expect(await last?.result).toBeUndefined();
    await first?.cancel();
    const named = { code: 'RQ_DEPENDENCY_FAILED', dependencyId: 'j-0', status: 'canceled' };
    await expect(last?.result).rejects.toMatchObject(named);
    const said = await Promise.allSettled(others.toReversed().map(job => job.wait({ timeout: '20s' })));
    for (const one of said) expect(one).toMatchObject({ status: 'rejected', reason: named });
  });

  it('is looked for once, however many ask at a time', async () => {
    const jobs = await line(1_500);
    const before = await calls('hget');
    for (const result of await Promise.all(jobs.toReversed().map(job => job.result)))
      expect(result).toBeUndefined();
    expect((await calls('hget')) - before).toBeLessThan(20 * jobs.length);
  });

  it('is looked for by all waiters at the same moments', async () => {
    const jobs = await line(500);
    const before = await calls('evalsha');
    const waiting = await Promise.allSettled(jobs.map(job => job.wait({ timeout: 2 })));
    expect(waiting.every(({ status }) => status === 'rejected')).toBe(true);
    // five looks, a few calls each
    expect((await calls('evalsha')) - before).toBeLessThan(250);
  });
});

describe('The set of those that wait for a job', () => {
  const lifetime = (id: string): Promise<number> => redis.client.ttl(`rq:job:${id}:dependents`);

  it('lives as long as a canceled job, and on where that is requeued', async () => {
    const first = await q.enqueue(add, [1, 2], { failureTtl: 100 });
    const second = await q.enqueue(echo, ['on'], { dependsOn: first });
    expect(await lifetime(first.id)).toBe(-1);
    await first.cancel();
    expect(await lifetime(first.id)).toBeGreaterThan(95);
    const third = await q.enqueue(echo, ['late'], { dependsOn: first });
    expect(await lifetime(first.id)).toBeLessThanOrEqual(101);
    expect(await lifetime(first.id)).toBeGreaterThan(95);
    await first.requeue();
    expect(await lifetime(first.id)).toBe(-1);
    await workOff(redis);
    expect([await second.result, await third.result]).toEqual([['on'], ['late']]);
    expect(await redis.client.keys('*depend*')).toEqual([]);
  });

  it('goes with a job that expired while it waited', async () => {
    const first = await q.enqueue(add, [1, 2]);
    const second = await q.enqueue(echo, ['on'], { dependsOn: first });
    // what Redis does when its ttl is over
    await redis.client.del(`rq:job:${first.id}`);
    await workOff(redis);
    expect(await second.wait({ timeout: '10s' })).toEqual(['on']);
    expect(await redis.client.keys('*depend*')).toEqual([]);
  });
});

describe('Job.wait', () => {
  it('ends with the reason of a signal, and leaves the job as it is', async () => {
    const job = await q.enqueueIn('1h', add, [1, 2]);
    const reason = new Error('enough');
    const controller = new AbortController();
    const waiting = job.wait({ signal: controller.signal });
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(job.wait({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(await job.getStatus()).toBe('scheduled');
  });

  it('refuses what is no signal', async () => {
    const job = await q.enqueueIn('1h', add, [1, 2]);
    await expect(job.wait({ signal: 5 as never })).rejects.toThrow('signal must be an AbortSignal, not 5');
  });
});
