/** What a producer and a worker ask of Redis, step by step: each step needs no other, and rejects where it did not work. */
import { once } from 'node:events';
import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import { Link } from '../../lib/connection.ts';
import { Queue, Rq, Worker } from '../../lib/index.ts';
import { Keys } from '../../lib/keys.ts';
import type { Ended } from '../../lib/outcome.ts';
import { Store } from '../../lib/store.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import { producerDependencySteps, workerDependencySteps } from './acl-dependencies.ts';
import { Looker, redisSeconds } from './crons.ts';

export interface Walk {
  readonly url: string;
  /** Another client, which may do everything. */
  readonly look: Redis;
  /** Milliseconds to wait for what must come soon. */
  readonly patience: number;
  /** Whether the steps that failed up to now say it all. */
  readonly enough?: () => Promise<boolean>;
}

/** Takes the steps one after the other, over connections as one user; gives the errors of those that failed. */
export type Steps = (walk: Walk) => Promise<unknown[]>;

async function all(
  { look, enough = () => Promise.resolve(false) }: Walk,
  steps: readonly (() => Promise<void>)[],
): Promise<unknown[]> {
  const errors: unknown[] = [];
  for (const step of steps) {
    await look.flushall();
    try {
      await step();
    } catch (error) {
      errors.push(error);
      if (await enough()) break;
    }
  }
  return errors;
}

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
  return await all(walk, [
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

/** A worker's life, and each of its scripts. */
export const workerSteps: Steps = async walk => {
  const { url, look, patience } = walk;
  const soon = { timeout: patience, interval: 10 };
  await look.script('FLUSH');
  const link = Link.own(url);
  const store = new WorkerStore(new Keys(), 'w', ['q']);
  const put = (id: string, more: object = {}): Promise<number> =>
    look.hset(`rq:job:${id}`, { status: 'queued', origin: 'q', data: '["f",null,[],{}]', ...more });
  const list = async (...ids: string[]): Promise<void> => {
    for (const id of ids) await put(id);
    await look.rpush('rq:queue:q', ...ids);
  };
  const none = { handIns: [], want: 9, claims: new Set<number>(), strategy: 'default' } as const;
  const take = async () => (await store.advance(link.redis, none)).jobs;
  const handIn = async (...ends: Partial<Ended>[]) => {
    const jobs = await take();
    const base: Ended = { status: 'finished', ttl: 60, text: '1', stream: '', publish: true, again: 'plan' };
    const handIns = jobs.map(({ place, jobId, executionId }, i) => ({
      place,
      jobId,
      executionId,
      ended: Object.assign({}, base, ends[i]),
      seconds: 1,
    }));
    return (await store.advance(link.redis, { ...none, handIns, want: 0 })).answers;
  };
  const past = Date.now() / 1000 - 1000;
  const errors = await all(walk, [
    () => link.ready(),
    async () => {
      const report = { state: 'idle', currentJob: '', finished: 1, failed: 1, seconds: 1.5 } as const;
      await store.heartbeat(link.redis, report, ['pid', '1']);
      await store.heartbeat(link.redis, { ...report, currentJob: 'j' }, []);
      expect(await look.hget('rq:worker:w', 'total_working_time')).toBe('3');
      await store.unregister(link.redis);
      expect(await look.exists('rq:workers', 'rq:claimants:q')).toBe(0);
    },
    async () => {
      const heard = look.duplicate();
      try {
        await heard.psubscribe('rq:*');
        const messages: string[] = [];
        heard.on('pmessage', (_, channel: string) => messages.push(channel));
        await list('a', 'b');
        await put('c', { ttl: '60' });
        await look.rpush('rq:worker:w:claims:q', 'c', 'a');
        const { jobs } = await store.advance(link.redis, { ...none, want: 1, claims: new Set([0]) });
        expect(jobs.map(({ jobId }) => jobId)).toEqual(['c']);
        expect(await look.lrange('rq:queue:q', 0, -1)).toEqual(['a', 'a', 'b']);
        await expect.poll(() => messages, soon).toEqual(['rq:status:q:c']);
        expect(await store.renew(link.redis, jobs)).toEqual({ lost: [], stops: [] });
        expect((await store.findRuns(link.redis)).map(({ jobId }) => jobId)).toEqual(['c']);
        expect(await store.giveBack(link.redis, jobs)).toBe(1);
      } finally {
        heard.disconnect();
      }
    },
    async () => {
      await list('kept', 'dropped', 'theirs', 'retried', 'released');
      await put('dropped', { group_id: 'g', unique: 'call' });
      await look.set('rq:unique:q:call', 'dropped');
      await look.sadd('rq:group:g', 'dropped');
      await put('retried', { retries_left: '1', ttl: '60' });
      await put('dependent', { status: 'deferred' });
      await look.sadd('rq:job:released:dependents', 'dependent');
      await look.zadd('rq:deferred:q', 1, 'dependent');
      const failed = { status: 'failed', text: 'Error: no' } as const;
      const answers = await handIn({ ttl: -1 }, { ttl: 0 }, { stream: 'MQ==' }, failed, {});
      expect(answers).toEqual(['accepted', 'accepted', 'accepted', 'queued', 'accepted']);
      expect(await look.exists('rq:job:dropped', 'rq:group:g', 'rq:unique:q:call')).toBe(0);
      expect(await look.ttl('rq:job:theirs')).toBeGreaterThan(0);
      expect(await look.xlen('rq:results:theirs')).toBe(1);
      expect(await look.lrange('rq:queue:q', 0, -1)).toEqual(['retried', 'dependent']);
    },
    async () => {
      const many = Array.from({ length: 250 }, (_, n) => `of-${n}`);
      await list('many', 'more');
      for (const id of ['many', 'more']) await look.sadd(`rq:job:${id}:dependents`, ...many);
      // some of an earlier run are still on their way
      await look.sadd('rq:releasing:more', 'of-another');
      expect(await handIn({}, {})).toEqual(['accepted', 'accepted']);
      while ((await store.queueDue(link.redis)).more);
      expect(await look.exists('rq:releasing', 'rq:releasing:many', 'rq:releasing:more')).toBe(0);
      expect(await look.exists('rq:job:many:dependents', 'rq:job:more:dependents')).toBe(0);
    },
    async () => {
      const heard = look.duplicate();
      const jobs = new Store(link, new Keys());
      try {
        await heard.subscribe('rq:status:q:a');
        const messages: string[] = [];
        heard.on('message', (_, text: string) => messages.push(text));
        await list('a');
        const executionId = (await take())[0]?.executionId ?? '';
        const run = { queue: 'q', worker: 'w', executionId };
        await jobs.saveProgress('a', '{"value":1}', run);
        await jobs.saveMeta('a', '{"seen":1}', run);
        expect(await look.hget('rq:job:a', 'meta')).toBe('{"seen":1}');
        expect(await look.hget('rq:job:a', 'progress')).toContain('"value":1');
        const told = expect.arrayContaining([expect.stringContaining('"progress":{"value":1,')]) as unknown;
        await expect.poll(() => messages, soon).toEqual(told);
      } finally {
        heard.disconnect();
      }
    },
    async () => {
      await look.hset('rq:limits:q', 'rate', '3/60000');
      await list('plain', 'first', 'second', 'third');
      const limit = { limit_key: 'k', limit_concurrency: '1', enqueued_at: '2026-01-02T03:04:05.000006Z' };
      for (const id of ['first', 'second', 'third']) await put(id, limit);
      expect(await handIn({}, { shares: 'k' })).toEqual(['accepted', 'accepted']);
      expect(await look.zcard('rq:starts:q')).toBe(2);
      expect(await look.pttl('rq:starts:q')).toBeGreaterThan(0);
      expect(await look.lrange('rq:queue:q', 0, -1)).toEqual(['second']);
      const [run] = await take();
      expect(run?.jobId).toBe('second');
      expect(await store.giveBack(link.redis, run === undefined ? [] : [run])).toBe(1);
      expect(await look.lrange('rq:queue:q', 0, -1)).toEqual(['second', 'third']);
      await look.zadd('rq:parked', 0, 'k');
      await look.zadd('rq:parked:k', 1, 'gone');
      await look.sadd('rq:slots:k', 'gone:n1');
      await store.sweep(link.redis, 0, false);
      expect(await look.exists('rq:slots:k', 'rq:parked', 'rq:parked:k')).toBe(0);
    },
    async () => {
      await list('a');
      expect(await take()).toHaveLength(1);
      expect(await look.get('rq:taken:q')).toBe('1');
      await look.rpush('rq:samples:q', ...Array.from({ length: 20 }, () => '1 0 0'));
      expect(await store.sweep(link.redis, 0, false)).toMatchObject({ held: true });
      expect(await look.lindex('rq:samples:q', 0)).toMatch(/ 0 1$/);
      expect(await look.llen('rq:samples:q')).toBe(16);
    },
    async () => {
      // as the worker's metrics ask
      await look.rpush('rq:queue:q', 'waits');
      expect(await new Store(link, new Keys()).stats(new Keys().queue('q'))).toMatchObject({ length: 1 });
    },
    async () => {
      await look.rpush('rq:worker:w:claims:q', 'a');
      expect(await store.releaseClaims(link.redis)).toBe(1);
    },
    async () => {
      await put('due', { status: 'scheduled' });
      await look.zadd('rq:scheduled:q', past, 'due');
      await store.queueDue(link.redis);
      expect(await look.lrange('rq:queue:q', 0, -1)).toEqual(['due']);
    },
    async () => {
      const looker = new Looker(link.redis);
      await using q = new Queue('q', { connection: link.redis });
      for (const [name, atFront] of [
        ['back', false],
        ['front', true],
      ] as const) {
        await q.cron('@yearly', 'f', [], { name, atFront, ttl: 60 });
        await look.zadd('rq:cron-ticks:q', (await redisSeconds(look)) - 1, name);
      }
      await looker.lookAll();
      expect(looker.failed).toEqual([]);
      expect(await look.llen('rq:queue:q')).toBe(2);
    },
    async () => {
      const runs = { status: 'started', execution_id: 'n1', worker_name: 'dead' };
      await put('ours', runs);
      await put('lost', { ...runs, recoveries: '3', failure_ttl: '-1' });
      await put('given-to-python', runs);
      await put('stuck');
      await look.zadd('rq:executions:given-to-python', 1, 'p1');
      await look.rpush('rq:queue:q:intermediate', 'stuck');
      const members = ['ours:n1', 'lost:n1', 'given-to-python:n1', 'stuck:p1'];
      await look.zadd('rq:wip:q', ...members.flatMap(member => [past, member]));
      await look.zadd('rq:wip:q', Date.now(), 'given-to-python:p1');
      await look.zadd('rq:canceled:q', 1, 'expired');
      await look.sadd('rq:claimants:q', 'dead', 'signed-off');
      await look.rpush('rq:worker:dead:claims:q', 'claimed');
      await look.hset('rq:worker:signed-off', 'death', 'long ago');
      await look.rpush('rq:samples:q', ...Array.from({ length: 16 }, () => '1 0 0'));
      const swept = await store.sweep(link.redis, 0, false);
      expect(await look.llen('rq:samples:q')).toBe(16);
      expect({ ...swept, abandoned: swept.abandoned.toSorted() }).toEqual({
        held: true,
        more: false,
        recovered: ['ours'],
        abandoned: ['lost', 'stuck'],
        claims: 1,
      });
      expect(await look.zrange('rq:wip:q', '0', '-1')).toEqual(['given-to-python:p1']);
      expect(await look.exists('rq:claimants:q', 'rq:canceled:q', 'rq:queue:q:intermediate')).toBe(0);
    },
    async () => {
      const worker = new Worker('q', { connection: url, functions: { f: () => 1 } });
      const refused: Error[] = [];
      worker.on('error', error => refused.push(error)).on('warning', text => refused.push(new Error(text)));
      const working = worker.work();
      working.catch(() => {});
      try {
        const waits = async (): Promise<boolean> => / flags=b /.test(String(await look.client('LIST')));
        await Promise.race([working, once(worker, 'listening')]);
        await expect.poll(waits, soon).toBe(true);
        await list('a');
        await expect.poll(() => look.hget('rq:job:a', 'status'), soon).toBe('finished');
        // a result of Python's, which the worker reads
        await look.hset('rq:job:python', { status: 'finished', origin: 'q' });
        await look.xadd('rq:results:python', '*', 'type', '1', 'return_value', btoa('2'));
        await put('taker', { data: String.raw`["f",null,["\u006aob:python"],{}]`, takes_results: '1' });
        await look.rpush('rq:queue:q', 'taker');
        await expect.poll(() => look.hget('rq:job:taker', 'status'), soon).toBe('finished');
        await expect.poll(waits, soon).toBe(true);
      } finally {
        const began = performance.now();
        await worker.stop();
        // its read is ended, not left behind when the time to sign off is over
        expect(performance.now() - began).toBeLessThan(1_900);
      }
      await working;
      expect(refused).toEqual([]);
    },
    ...workerDependencySteps(look, {
      list,
      put,
      end: () => handIn({}),
      queueDue: async () => (await store.queueDue(link.redis)).more,
    }),
  ]);
  link.close();
  return errors;
};

/** What an operator asks besides: `rq info --memory`, `rq clean` and `rq doctor`. */
export const operatorSteps: Steps = async walk => {
  const { url, look } = walk;
  await look.script('FLUSH');
  await using rq = new Rq({ connection: url });
  const orphan = { status: 'queued', origin: 'q', created_at: '2020-01-01T00:00:00Z', dependency_id: 'a' };
  const errors = await all(walk, [
    async () => {
      await look.rpush('rq:queue:q', ...Array.from({ length: 3 }, (_, i) => `j${i}`));
      await look.zadd('rq:failed:q', ...Array.from({ length: 3 }, (_, i) => [i, `f${i}`]).flat());
      await look.sadd('rq:queues', 'rq:queue:q');
      const { sampled, bytes } = await rq.memory({ samples: 2 });
      expect(sampled).toBe(4);
      expect(bytes).toBeGreaterThan(0);
    },
    async () => {
      await look.sadd('rq:queues', 'rq:queue:q');
      await look.sadd('rq:claimants:q', 'w');
      await look.hset('rq:job:orphan', orphan);
      await look.sadd('rq:job:orphan:dependents', 'b');
      await look.hset('rq:job:ended', { ...orphan, status: 'failed', group_id: 'g' });
      await look.zadd('rq:failed:q', 1, 'ended', 1, 'gone');
      await look.rpush('rq:queue:q', 'gone');
      await look.zadd('rq:wip:q', 1, 'gone:n1');
      const report = await rq.clean({ olderThan: 60, grace: '1ms' });
      expect(report).toMatchObject({ ended: [{ count: 1 }], orphans: [{ id: 'orphan' }] });
      expect(report.strayIds).toHaveLength(3);
    },
    async () => {
      await look.sadd('rq:queues', 'rq:queue:q');
      await look.hset('rq:job:odd', { status: 'odd', data: '[]' });
      const found = await rq.doctor({ role: 'operator', promise: 'always' });
      expect(found.map(({ about }) => about)).toContain('jobs');
      expect(found.map(({ what }) => what).join()).not.toMatch(/not looked at|CONFIG GET is refused/);
    },
    async () => {
      await look.sadd('rq:queues', 'rq:queue:q');
      expect((await rq.overview()).queues).toHaveLength(1);
    },
    async () => {
      await rq.queue('q').cron('@daily', 'f');
      expect(await rq.crons()).toHaveLength(1);
    },
  ]);
  return errors;
};
