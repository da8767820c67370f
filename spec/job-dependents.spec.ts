/** Jobs that wait for others: what a handle says before a worker has let them go, and what is kept of who waits. */
import { describe, expect, it } from 'vitest';
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
