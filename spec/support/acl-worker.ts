/** What a worker asks of Redis, step by step. */
import { once } from 'node:events';
import { expect } from 'vitest';
import { Link } from '../../lib/connection.ts';
import { Queue, Worker } from '../../lib/index.ts';
import { Keys } from '../../lib/keys.ts';
import type { Ended } from '../../lib/outcome.ts';
import { Store } from '../../lib/store.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import { workerDependencySteps } from './acl-dependencies.ts';
import { Looker, redisSeconds } from './crons.ts';
import { takeAll, type Steps } from './acl-steps.ts';

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
  const errors = await takeAll(walk, [
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
      await store.countChannels(link.redis);
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
      expect(await new Store(link, new Keys()).queues.stats(new Keys().queue('q'))).toMatchObject({
        length: 1,
      });
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
        await look.config('RESETSTAT');
        await worker.stop();
        // its read is ended, not left behind when the time to sign off is over
        expect(await look.info('errorstats')).toContain('errorstat_UNBLOCKED:count=1');
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
