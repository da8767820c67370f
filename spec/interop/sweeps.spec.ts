/**
 * Python's sweeps on queues of ours, while no janitor of ours is about: whatever is alive stays as it is. Runs are made
 * with `WorkerStore` alone, so that nothing but Python does anything to them.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Link } from '../../lib/connection.ts';
import { Queue } from '../../lib/index.ts';
import { Keys } from '../../lib/keys.ts';
import type { Ended, RunRef } from '../../lib/outcome.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { missing, Python, rq, VERSIONS } from './python.ts';

const WORKER = 'Worker([queue("q")], name="sweeper", connection=c, serializer=JSONSerializer)';
/** Everything of Python's that changes what is there without being asked to. */
const SWEEPS: readonly (readonly [name: string, code: string])[] = [
  ['StartedJobRegistry.cleanup', 'queue("q").started_job_registry.cleanup()'],
  ['FailedJobRegistry.cleanup', 'queue("q").failed_job_registry.cleanup()'],
  ['FinishedJobRegistry.cleanup', 'queue("q").finished_job_registry.cleanup()'],
  ['the count of every registry', 'for it in REGISTRIES: it("q", connection=c).count'],
  ['the ids of every registry', 'for it in REGISTRIES: it("q", connection=c).get_job_ids()'],
  ['clean_registries', 'clean_registries(queue("q"))'],
  ['clean_registries of a queue that reads pickles', 'clean_registries(Queue("q", connection=c))'],
  ['clean_worker_registry', 'clean_worker_registry(queue("q"))'],
  ['IntermediateQueue.cleanup', `queue("q").intermediate_queue.cleanup(${WORKER}, queue("q"))`],
  ['Worker.clean_registries', `${WORKER}.clean_registries()`],
  ['Worker.run_maintenance_tasks', `${WORKER}.run_maintenance_tasks()`],
  ['Group.clean_registries', 'Group.clean_registries(connection=c)'],
  ['Worker.all', 'Worker.all(connection=c); Worker.all(queue=queue("q"))'],
];
const DONE: Ended = { status: 'finished', ttl: 500, text: '"done"', stream: '', publish: false, again: '' };
const report = { state: 'busy', currentJob: 'fresh', finished: 0, failed: 0, seconds: 0 } as const;

describe.each(VERSIONS)('Python RQ %s sweeps', version => {
  const why = missing(version);
  let redis: RedisServer;
  let python: Python;
  let link: Link;
  let q: Queue;

  beforeAll(async () => {
    if (why !== undefined) return;
    redis = await startRedis();
    python = new Python(version, redis.port);
    link = Link.own(redis.url);
    await link.ready();
    q = new Queue('q', { connection: redis.url });
    await python.run(`
import time
from rq.worker_registration import clean_worker_registry
REGISTRIES = [StartedJobRegistry, FinishedJobRegistry, FailedJobRegistry, DeferredJobRegistry, ScheduledJobRegistry,
    CanceledJobRegistry]`);
  });
  beforeEach(async context => {
    if (why !== undefined) return context.skip(why);
    await redis.client.flushall();
  });
  afterAll(async () => {
    await q?.close();
    link?.close();
    await python?.close();
    await redis?.stop();
  });

  /** Enqueues a job and takes it; its lease ends in so many seconds. */
  async function start(jobId: string, lease: number): Promise<{ store: WorkerStore; run: RunRef }> {
    await q.enqueue('f', [], { jobId, atFront: true });
    const store = new WorkerStore(new Keys(), 'node', ['q'], { lease });
    const request = { handIns: [], want: 1, claims: new Set<number>(), strategy: 'default' } as const;
    const [run] = (await store.advance(link.redis, request)).jobs;
    expect(run?.jobId).toBe(jobId);
    return { store, run: run as RunRef };
  }

  /** Hands in that a run finished; answers whether that was taken. */
  async function finish(
    { store, run }: { store: WorkerStore; run: RunRef },
    ended: Ended = DONE,
  ): Promise<unknown> {
    const handIns = [{ ...run, ended, seconds: 1 }];
    const request = { handIns, want: 0, claims: new Set<number>(), strategy: 'default' } as const;
    return (await store.advance(link.redis, request)).answers[0];
  }

  /** A queue with everything on it, none of it past its time, and a worker whose hash is there. */
  async function scene(): Promise<Awaited<ReturnType<typeof start>>[]> {
    for (const [id, ended] of [
      ['finished', DONE],
      ['finished-for-ever', { ...DONE, ttl: -1 }],
      ['failed', { ...DONE, status: 'failed', text: 'Error: x', ttl: 100 }],
      ['failed-for-ever', { ...DONE, status: 'failed', text: 'Error: x', ttl: -1 }],
      ['stopped', { ...DONE, status: 'stopped', text: 'Error: x', ttl: 100 }],
    ] as const) {
      expect(await finish(await start(id, 30), ended)).toBe('accepted');
    }
    await (await q.enqueue('f', [], { jobId: 'canceled' })).cancel();
    // the second one's janitor is 45 s late: its lease is over, and the margin for that not yet
    const runs = [await start('fresh', 30), await start('late', -45)];
    await runs[0]?.store.heartbeat(link.redis, report, ['queues', 'q', 'pid', '1']);
    await q.enqueue('f', [], { jobId: 'claimed' });
    await redis.client.blmove('rq:queue:q', 'rq:worker:node:claims:q', 'LEFT', 'RIGHT', 1);
    await q.enqueue('f', [], { jobId: 'waiting', ttl: 600 });
    await python.run(`
queue('q').enqueue('f', job_id='deferred', depends_on='fresh')
queue('q').enqueue_in(timedelta(hours=1), 'f', job_id='scheduled')
Group.create(connection=c, name='g')._add_jobs([job('late')], c.pipeline())`);
    return runs;
  }

  /** Every key, with its value and whether it expires. */
  async function everything(): Promise<Record<string, unknown>> {
    const all: Record<string, unknown> = {};
    for (const key of (await redis.client.keys('*')).toSorted()) {
      const value = {
        hash: () => redis.client.hgetall(key),
        list: () => redis.client.lrange(key, 0, -1),
        set: async () => (await redis.client.smembers(key)).toSorted(),
        zset: () => redis.client.zrange(key, '0', '-1', 'WITHSCORES'),
        stream: () => redis.client.xrange(key, '-', '+'),
        string: () => redis.client.get(key),
      }[(await redis.client.type(key)) as 'hash'];
      all[key] = [(await redis.client.ttl(key)) >= 0, await value()];
    }
    return all;
  }

  it.each(SWEEPS)('with %s, and nothing at all changes', async (_, code) => {
    const runs = await scene();
    const before = await everything();
    // a second look is what a sweep needs where it only makes a note at first
    await python.run(`${code}\n${code}`);
    expect(await everything()).toEqual(before);
    for (const run of runs) expect(await finish(run)).toBe('accepted');
  });

  it.each(['info', 'info --raw', 'info -W -R'])('with rq %s, and nothing at all changes', async words => {
    await scene();
    const before = await everything();
    expect(await rq(version, redis.port, words.split(' '))).toMatchObject({ code: 0 });
    expect(await everything()).toEqual(before);
  });

  it('with a clock that is 30 s ahead, and takes no run of ours for dead', async () => {
    const fresh = await start('fresh', 30);
    await python.run('queue("q").started_job_registry.cleanup(timestamp=time.time() + 30 + 30)');
    expect(await finish(fresh)).toBe('accepted');
  });

  it('and leaves a run that is renewed, however old it is', async () => {
    const old = await start('old', 30);
    await redis.client.zadd('rq:wip:q', 1, `old:${old.run.executionId}`);
    expect(await old.store.renew(link.redis, [old.run])).toEqual({ lost: [], stops: [] });
    await python.run(`${WORKER}.run_maintenance_tasks()`);
    expect(await finish(old)).toBe('accepted');
  });

  it('a job of ours that runs, and leaves it although a Python worker that died once had taken it', async () => {
    const fresh = await start('fresh', 30);
    await redis.client.rpush('rq:queue:q:intermediate', 'fresh');
    const long = Date.now() / 1000 - 3600;
    await redis.client.set('rq:queue:q:intermediate:first_seen:fresh', String(long));
    await python.run(`${WORKER}.run_maintenance_tasks()`);
    expect(await redis.client.hget('rq:job:fresh', 'status')).toBe('started');
    expect(await finish(fresh)).toBe('accepted');
  });

  it('a worker of ours that is gone out of its sets, and leaves its claims to our janitor', async () => {
    await q.enqueue('f', [], { jobId: 'claimed' });
    const store = new WorkerStore(new Keys(), 'node', ['q']);
    await store.heartbeat(link.redis, { ...report, currentJob: '' }, ['queues', 'q']);
    await redis.client.blmove('rq:queue:q', 'rq:worker:node:claims:q', 'LEFT', 'RIGHT', 1);
    await redis.client.del('rq:worker:node');
    await python.run(`${WORKER}.run_maintenance_tasks()`);
    expect(await rq(version, redis.port, ['info'])).toMatchObject({ code: 0 });
    expect(await redis.client.exists('rq:workers', 'rq:workers:q')).toBe(0);
    expect(await redis.client.lrange('rq:worker:node:claims:q', 0, -1)).toEqual(['claimed']);
    const janitor = new WorkerStore(new Keys(), 'other', ['q']);
    expect(await janitor.sweep(link.redis, 0, false)).toMatchObject({ held: true, claims: 1 });
    expect(await q.getJobIds()).toEqual(['claimed']);
  });

  it('a run of ours that is past its score by its own rule, and our late outcome changes nothing', async () => {
    const dead = await start('dead', 30);
    await redis.client.zadd('rq:wip:q', Date.now() / 1000 - 1, `dead:${dead.run.executionId}`);
    await python.run('queue("q").started_job_registry.cleanup()');
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
    expect(await q.failedRegistry.getJobIds()).toEqual(['dead']);
    const job = await q.fetchJob('dead');
    await expect(job?.result).rejects.toThrow('AbandonedJobError');
    expect(await finish(dead)).toBe('refused');
    expect(await q.finishedRegistry.count()).toBe(0);
    expect(await python.run('out = job("dead").get_status().value')).toBe('failed');
  });

  it('what has expired out of the registries, and nothing else', async () => {
    await scene();
    for (const registry of ['finished', 'failed']) await redis.client.zadd(`rq:${registry}:q`, 1, registry);
    await python.run('clean_registries(queue("q"))');
    expect(await q.finishedRegistry.getJobIds()).toEqual(['finished-for-ever']);
    expect((await q.failedRegistry.getJobIds()).toSorted()).toEqual(['failed-for-ever', 'stopped']);
  });
});
