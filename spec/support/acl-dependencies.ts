/** What a producer and a worker ask of Redis for jobs that wait for others, step by step. */
import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import type { Queue } from '../../lib/index.ts';
import { RELEASE_BATCH } from '../../lib/defaults.ts';

type Step = () => Promise<void>;

/** `ended` writes a job that has ended. */
export function producerDependencySteps(
  q: Queue,
  look: Redis,
  ended: (id: string, status: string) => Promise<void>,
): Step[] {
  return [
    async () => {
      const a = await q.enqueue('f', [], { jobId: 'a' });
      await q.enqueue('g', [a], { jobId: 'b', dependsOn: ['a'] });
      expect(await look.smembers('rq:job:a:dependents')).toEqual(['b']);
      expect(await a.getDependentIds()).toEqual(['b']);
      await look.hset('rq:job:a', 'status', 'failed');
      await expect(q.enqueue('g', [], { jobId: 'a', dependsOn: ['b'] })).rejects.toMatchObject({
        code: 'RQ_DEPENDENCY_CYCLE',
      });
    },
    async () => {
      await ended('bad', 'failed');
      const waits = await q.enqueue('g', [], { dependsOn: 'bad' });
      await expect(waits.result).rejects.toMatchObject({ code: 'RQ_DEPENDENCY_FAILED' });
    },
    async () => {
      const a = await q.enqueue('f', [], { jobId: 'a' });
      await q.enqueue('g', [], { jobId: 'b', dependsOn: a });
      await a.delete();
      // who waited for an earlier job of this id is on the way still
      await q.enqueue('f', [], { jobId: 'a' });
      await q.enqueue('g', [], { jobId: 'c', dependsOn: 'a' });
      await a.cancel({ enqueueDependents: true });
      expect((await look.smembers('rq:releasing:a')).toSorted()).toEqual(['b', 'c']);
      expect((await a.getDependentIds()).toSorted()).toEqual(['b', 'c']);
      expect(await look.exists('rq:job:a:dependents')).toBe(0);
    },
    async () => {
      const { name, jobIds } = await q.group([['f'], ['g']]);
      expect((await q.fetchGroup(name))?.jobIds).toEqual(jobIds);
    },
    async () => {
      const later = await q.enqueueIn('1h', 'f');
      await q.scheduledRegistry.schedule(later.id, '2h');
      const due = await q.scheduledRegistry.getScheduledTime(later.id);
      expect(due?.getTime()).toBeGreaterThan(Date.now() + 7000_000);
    },
  ];
}

/** `list` puts jobs on the queue `q`, `put` writes a job's hash, and `end` has those that are listed finish. */
export function workerDependencySteps(
  look: Redis,
  {
    list,
    put,
    end,
    queueDue,
  }: {
    readonly list: (...ids: string[]) => Promise<void>;
    readonly put: (id: string, more: object) => Promise<number>;
    readonly end: () => Promise<unknown>;
    readonly queueDue: () => Promise<boolean>;
  },
): Step[] {
  const waiting = async (count: number): Promise<string[]> => {
    const ids = Array.from({ length: count }, (_, i) => `waits-${i}`);
    await Promise.all(ids.map(id => put(id, { status: 'deferred' })));
    await look.zadd('rq:deferred:q', ...ids.flatMap(id => [1, id]));
    return ids;
  };
  const allAreQueued = async (ids: readonly string[]): Promise<void> => {
    while (await queueDue());
    expect((await look.lrange('rq:queue:q', 0, -1)).toSorted()).toEqual(ids.toSorted());
    expect(await look.keys('rq:releasing*')).toEqual([]);
  };
  return [
    async () => {
      const ids = await waiting(RELEASE_BATCH + 1);
      await look.sadd('rq:job:root:dependents', ...ids);
      await list('root');
      await end();
      await allAreQueued(ids);
    },
    async () => {
      // those that an earlier run of the job let go are on their way still
      const ids = await waiting(RELEASE_BATCH + 2);
      await look.sadd('rq:job:root:dependents', ...ids.slice(1));
      await look.sadd('rq:releasing:root', ids[0] ?? '');
      await list('root');
      await end();
      await allAreQueued(ids);
    },
    async () => {
      const ids = await waiting(1);
      await put('failed', { status: 'failed' });
      await look.sadd('rq:job::waits-0:dependencies', 'root', 'failed');
      await look.sadd('rq:job:root:dependents', ...ids);
      await list('root');
      await end();
      expect(await look.llen('rq:queue:q')).toBe(0);
    },
  ];
}
