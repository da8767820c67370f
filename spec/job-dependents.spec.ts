/** What a handle says of a job that waited for one that was canceled, before a worker has let it go. */
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
