/** What a producer asks of Redis, step by step. */
import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { producerDependencySteps } from './acl-dependencies.ts';
import { takeAll, type Steps } from './acl-steps.ts';

const listeners = async (look: Redis, channel: string): Promise<number> =>
  Number(((await look.call('PUBSUB', 'NUMSUB', channel)) as unknown[])[1]);

/** The whole public face of queues, jobs and registries. */
export const producerSteps: Steps = async walk => {
  const { url, look, patience } = walk;
  const soon = { timeout: patience, interval: 10 };
  await look.script('FLUSH');
  await using q = new Queue('q', { connection: url });
  const ended = async (id: string, status: string, more: object = {}): Promise<void> => {
    await look.hset(`rq:job:${id}`, {
      status,
      origin: 'q',
      data: '["f",null,[],{}]',
      timeout: '180',
      ...more,
    });
    await look.zadd(`rq:${status === 'stopped' ? 'failed' : status}:q`, 'inf', id);
  };
  const job = async (id: string) => {
    const found = await q.fetchJob(id);
    if (found === undefined) throw new Error(`no job ${id}`);
    return found;
  };
  return await takeAll(walk, [
    async () => {
      await q.enqueueMany([['f'], ['f', [1], { atFront: true, ttl: '1h' }]]);
      const own = await q.enqueue('f', [], { jobId: 'own' });
      await expect(q.enqueue('f', [], { jobId: 'own' })).rejects.toMatchObject({
        code: 'RQ_DUPLICATE_JOB',
      });
      expect(await q.count()).toBe(3);
      expect(await look.smembers('rq:queues')).toEqual(['rq:queue:q']);
      expect((await q.getJobIds())[2]).toBe('own');
      expect((await q.getJobs()).map(it => it.id)).toContain('own');
      own.meta['seen'] = true;
      await own.saveMeta();
      expect((await own.refresh()).meta).toEqual({ seen: true });
    },
    async () => {
      const unique = { unique: { on: 'args', else: 'replace' } } as const;
      const one = await q.enqueue('f', [1], unique);
      const two = await q.enqueue('f', [1], unique);
      expect(await q.getJobIds()).toEqual([two.id]);
      expect(await one.getStatus()).toBe('canceled');
      expect(await look.exists('rq:canceled:q')).toBe(1);
    },
    async () => {
      await ended('own', 'finished');
      await q.enqueue('f', [], { jobId: 'own' });
      expect(await look.zcard('rq:finished:q')).toBe(0);
    },
    async () => {
      await ended('ours', 'finished', { result: '1' });
      await ended('theirs', 'finished');
      await ended('bad', 'failed', { exc_info: 'Error: no' });
      await look.xadd('rq:results:theirs', '*', 'type', '1', 'return_value', btoa('2'));
      expect(await (await job('ours')).result).toBe(1);
      expect(await (await job('theirs')).result).toBe(2);
      await expect((await job('bad')).result).rejects.toMatchObject({ code: 'RQ_JOB_FAILED' });
      expect(await (await job('ours')).getStatus()).toBe('finished');
      expect(await (await job('ours')).isEnded()).toBe(true);
    },
    async () => {
      const waited = await q.enqueue('f', [], { jobId: 'waited' });
      const value = waited.wait({ timeout: 5 });
      value.catch(() => {});
      await expect.poll(() => listeners(look, 'rq:status:q:waited'), soon).toBe(1);
      await ended('waited', 'finished', { result: '3' });
      await look.publish(
        'rq:status:q:waited',
        '{"job_id":"waited","status":"finished","queue":"q","worker":"w","at":"","result":3}',
      );
      expect(await value).toBe(3);
      for await (const { status } of waited.statuses()) expect(status).toBe('finished');
      await expect.poll(() => listeners(look, 'rq:status:q:waited'), soon).toBe(0);
    },
    async () => {
      const heard = look.duplicate();
      try {
        await heard.psubscribe('rq:*');
        const messages: string[] = [];
        heard.on('pmessage', (_, channel: string) => messages.push(channel));
        const waiting = await q.enqueue('f', [], { jobId: 'waiting', failureTtl: -1 });
        await waiting.cancel();
        expect(await look.llen('rq:queue:q')).toBe(0);
        await waiting.requeue({ atFront: true });
        expect(await q.getJobIds()).toEqual(['waiting']);
        await ended('again', 'stopped', { exc_info: 'Error: no' });
        await (await job('again')).requeue();
        await ended('runs', 'started', { worker_name: 'w', execution_id: 'n1' });
        await (await job('runs')).stop();
        await (await job('runs')).cancel();
        await expect
          .poll(() => messages.toSorted(), soon)
          .toEqual([
            'rq:pubsub:w',
            'rq:pubsub:w',
            'rq:status:q:again',
            'rq:status:q:runs',
            'rq:status:q:waiting',
            'rq:status:q:waiting',
          ]);
      } finally {
        heard.disconnect();
      }
    },
    async () => {
      await ended('grouped', 'finished', { group_id: 'g' });
      await look.sadd('rq:group:g', 'grouped');
      await (await job('grouped')).delete();
      expect(await look.exists('rq:group:g', 'rq:job:grouped', 'rq:finished:q')).toBe(0);
    },
    async () => {
      for (const status of ['started', 'finished', 'failed', 'canceled', 'deferred', 'scheduled'] as const) {
        const key = status === 'started' ? 'rq:wip:q' : `rq:${status}:q`;
        await look.hset(`rq:job:${status}`, { status, origin: 'q' });
        await look.zadd(key, Date.now(), status === 'started' ? 'started:n1' : status);
        const registry = q[`${status}Registry`];
        expect([await registry.count(), await registry.getJobIds()]).toEqual([1, [status]]);
      }
      await q.failedRegistry.requeue('failed');
      await q.canceledRegistry.remove('canceled');
      expect(await q.canceledRegistry.count()).toBe(0);
    },
    async () => {
      await q.enqueue('f');
      await look.hset(`rq:job:${(await q.getJobIds())[0] ?? ''}`, 'enqueued_at', '2020-01-01T00:00:00Z');
      await look.set('rq:taken:q', '60');
      await look.rpush('rq:samples:q', `${Date.now() / 1000 - 60} 0 0`);
      const { departures = 0, oldestAge } = await q.stats();
      expect(departures).toBeGreaterThan(0);
      expect(oldestAge).toBeGreaterThan(1000);
    },
    async () => {
      await q.pause();
      await q.setRateLimit('10/m');
      expect([await q.isPaused(), await q.getRateLimit()]).toEqual([true, '10/m']);
      await q.resume();
      await q.setRateLimit(undefined);
      expect(await look.exists('rq:limits:q')).toBe(0);
      const limit = { key: 'k', concurrency: 1 };
      for (const id of ['p1', 'p2', 'p3']) {
        await q.enqueue('f', [], { jobId: id, limit });
        await look.lrem('rq:queue:q', 0, id);
        for (const key of ['rq:parked:k', 'rq:aside:q']) await look.zadd(key, id.slice(1), id);
      }
      await look.zadd('rq:parked', 0, 'k');
      await look.hset('rq:job:p1', { status: 'started', worker_name: 'w', execution_id: 'n1' });
      await look.zrem('rq:parked:k', 'p1');
      await look.sadd('rq:slots:k', 'p1:n1');
      expect(await q.parkedRegistry.getJobIds()).toEqual(['p1', 'p2', 'p3']);
      await (await job('p1')).cancel();
      expect(await q.getJobIds()).toEqual(['p2']);
      await q.parkedRegistry.remove('p3');
      expect(await look.exists('rq:slots:k', 'rq:parked:k', 'rq:parked')).toBe(0);
    },
    async () => {
      await q.cron('@yearly', 'f');
      expect((await q.crons()).map(({ name }) => name)).toEqual(['f']);
      expect(await q.removeCron('f')).toBe(true);
      expect(await look.dbsize()).toBe(0);
    },
    async () => {
      const root = await q.enqueue('f', [], { jobId: 'root' });
      const taker = await q.enqueue('f', [root], { jobId: 'taker' });
      expect([taker.status, await taker.result]).toEqual(['deferred', undefined]);
      expect(await root.getDependentIds()).toEqual(['taker']);
      await root.cancel();
      await expect(taker.result).rejects.toMatchObject({ code: 'RQ_DEPENDENCY_FAILED' });
      await expect(q.enqueue('f', [taker], { jobId: 'root' })).rejects.toMatchObject({
        code: 'RQ_DEPENDENCY_CYCLE',
      });
    },
    async () => {
      // twice, so that the first one's dependents are still on their way
      for (const jobId of ['one', 'other']) {
        await q.enqueue('f', [], { jobId: 'let-go' });
        await q.enqueue('f', [], { jobId, dependsOn: 'let-go' });
        await (await job('let-go')).delete();
      }
      expect((await look.smembers('rq:releasing:let-go')).toSorted()).toEqual(['one', 'other']);
      await look.del('rq:releasing', 'rq:releasing:let-go');
    },
    async () => {
      const group = await q.group([['f'], ['f']]);
      expect((await q.fetchGroup(group.name))?.jobIds).toEqual(group.jobIds);
      expect(await q.empty()).toBeGreaterThanOrEqual(2);
      await q.enqueueMany([['f'], ['f']]);
      expect(await q.empty()).toBe(2);
      await q.enqueue('f');
      await q.delete();
      expect(await look.exists('rq:queues', 'rq:queue:q')).toBe(0);
    },
    async () => {
      await look.set('rq:taken:q', 1);
      await q.enqueue('f');
      expect(await q.stats()).toMatchObject({ length: 1, departures: undefined });
      await q.pause();
      await q.setRateLimit('5/m');
      expect([await q.isPaused(), await q.getRateLimit()]).toEqual([true, '5/m']);
      await q.resume();
      expect(await look.hkeys('rq:limits:q')).toEqual(['rate']);
    },
    ...producerDependencySteps(q, look, ended),
  ]);
};
