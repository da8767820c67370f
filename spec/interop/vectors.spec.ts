/** Golden vectors: the keys that each version of Python RQ wrote (vectors/dump.py), read back and worked on here. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inflateSync } from 'node:zlib';
import type { ChainableCommander } from 'ioredis';
import { describe, expect, it, vi } from 'vitest';
import { Worker, type Job } from '../../lib/index.ts';
import { useQueue, useRedis } from '../support/in-process.ts';
import { missing, VERSIONS } from './python.ts';

type Text = string | { readonly base64: string };
type Score = number | 'inf';
type Hash = Readonly<Record<string, Text>>;
type Key = { readonly ttl: number | null } & (
  | { readonly type: 'string'; readonly value: Text }
  | { readonly type: 'list'; readonly value: readonly Text[] }
  | { readonly type: 'set'; readonly value: readonly Text[] }
  | { readonly type: 'zset'; readonly value: readonly (readonly [member: string, score: Score])[] }
  | { readonly type: 'hash'; readonly value: Hash }
  | { readonly type: 'stream'; readonly value: readonly (readonly [id: string, entry: Hash])[] }
);
type Scenario = { readonly at: number; readonly keys: Readonly<Record<string, Key>> };
type Vector = { readonly rq: string; readonly scenarios: Readonly<Record<string, Scenario>> };

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const fileOf = (version: string): string => here(`vectors/rq-${version}.json`);
const bytes = (text: Text): Buffer =>
  typeof text === 'string' ? Buffer.from(text) : Buffer.from(text.base64, 'base64');
/** A score further off than this is a date that the dump named, and not counted from its moment. */
const YEARS = 10 * 365 * 24 * 3600;

/** Every field that a version tried wrote into a job's hash: one more is to be looked at. */
const FIELDS = `allow_dependency_failures created_at data dependency_id dependency_ids description ended_at
  enqueue_at_front enqueue_at_front_on_retry enqueued_at failure_callback_name failure_callback_timeout failure_ttl
  group_id last_heartbeat meta number_of_retries origin repeat_intervals repeats_left result result_ttl retries_left
  retry_intervals started_at status stopped_callback_name stopped_callback_timeout success_callback_name
  success_callback_timeout timeout ttl worker_name`.split(/\s+/);
const KEYS =
  /^rq:(queues|workers|groups|suspended|(queue|wip|finished|failed|deferred|scheduled|canceled|workers|worker|group|job|results|executions|scheduler-lock):[\w-]+|queue:vectors:intermediate(:first_seen:\w+)?|execution:[\w-]+:\w{32}|job:[\w-]+:dependents|job::[\w-]+:dependencies)$/;

describe.each(VERSIONS)('what Python RQ %s wrote', version => {
  const redis = useRedis();
  const q = useQueue(redis, 'vectors');
  const { rq, scenarios } = (
    existsSync(fileOf(version)) ? JSON.parse(readFileSync(fileOf(version), 'utf8')) : { scenarios: {} }
  ) as Vector;

  const keysOf = (name: string): Scenario['keys'] => scenarios[name]?.keys ?? {};
  /** Puts a scenario into Redis as if it had been written so many seconds ago. */
  async function load(name: string, ago = 0): Promise<void> {
    const scenario = scenarios[name];
    if (scenario === undefined) throw new Error(`There is no vector of ${name} for RQ ${version}`);
    const { at, keys } = scenario;
    const now = Number((await redis.client.time())[0]) - ago;
    const pipeline = redis.client.pipeline();
    for (const [key, kept] of Object.entries(keys)) write(pipeline, key, kept, at, now);
    for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
  }
  async function fetched(id: string): Promise<Job> {
    const job = await q.fetchJob(id);
    if (job === undefined) throw new Error(`${id} is not there`);
    return job;
  }
  /** A field as the file has it. */
  const field = (scenario: string, id: string, name: string): string => {
    const key = keysOf(scenario)[`rq:job:${id}`];
    return key?.type === 'hash' ? bytes(key.value[name] ?? '').toString() : '';
  };
  /** Runs what there is, or so many calls; answers what was called, in its order. */
  async function work({ failing = 0, calls = 0, queues = ['vectors'] } = {}): Promise<string[]> {
    const called: string[] = [];
    const add = (x: number, y: number): number => {
      called.push(`${x}+${y}`);
      if (failing === x) throw new RangeError('told to');
      return x + y;
    };
    const other = (said: unknown): string => `${called.push(String(said))} by Node`;
    const names = { 'tasks.add': add, 'tasks.fail': other, 'tasks.sleep': other, 'tasks.again': other };
    const functions = new Map(Object.entries(names));
    const worker = new Worker(queues, { connection: redis.url, functions });
    const ended = worker.work({ burst: calls === 0 });
    const enough = (): void => expect(called.length).toBeGreaterThanOrEqual(calls);
    try {
      if (calls > 0) await vi.waitFor(enough, 20_000);
    } finally {
      if (calls > 0) await worker.stop();
    }
    await ended;
    return called;
  }
  const dumpOf = (key: string): Promise<Buffer | null> => redis.client.dumpBuffer(key);

  it('is in the repository, with the keys and fields that are known', () => {
    expect(rq).toBe(version);
    const all = Object.values(scenarios).flatMap(({ keys }) => Object.entries(keys));
    expect(all.map(([key]) => key).filter(key => !KEYS.test(key))).toEqual([]);
    const jobs = all.filter(([key, { type }]) => key.startsWith('rq:job:') && type === 'hash');
    const fields = jobs.flatMap(([, { value }]) => Object.keys(value as Hash));
    expect([...new Set(fields)].toSorted()).toEqual(FIELDS);
  });

  it('is read: a job that waits', async () => {
    await load('queued');
    const job = await fetched('queued');
    expect(job).toMatchObject({ id: 'queued', origin: 'vectors', functionName: 'tasks.add', args: [1, 2] });
    expect(job).toMatchObject({ kwargs: {}, meta: {}, status: 'queued', description: 'tasks.add(1, 2)' });
    expect(job).toMatchObject({ timeout: 180, ttl: undefined, resultTtl: undefined, failureTtl: undefined });
    expect(job).toMatchObject({ retriesLeft: undefined, dependencyIds: [], workerName: undefined });
    expect(job.createdAt).toEqual(new Date(field('queued', 'queued', 'created_at')));
    expect(job.enqueuedAt).toEqual(new Date(field('queued', 'queued', 'enqueued_at')));
    expect([job.startedAt, job.endedAt]).toEqual([undefined, undefined]);
    expect(await job.result).toBeUndefined();
    expect([await q.count(), await q.getJobIds()]).toEqual([1, ['queued']]);
  });

  it('is read: a job with every option, before one that came first', async () => {
    await load('options');
    const job = await fetched('options');
    expect(job).toMatchObject({
      functionName: 'tasks.echo',
      args: ['é', [], 1.5],
      description: 'All of them',
    });
    expect(job).toMatchObject({ kwargs: { deep: { list: [null, true] } }, meta: { for: 'you', n: 1 } });
    expect(job).toMatchObject({ timeout: 30, resultTtl: 60, failureTtl: 70, ttl: 80, retriesLeft: 3 });
    expect(await q.getJobIds()).toEqual(['options', 'behind']);
  });

  it('is read: what finished, with its result', async () => {
    await load('finished');
    const job = await fetched('finished');
    expect(job).toMatchObject({ status: 'finished', workerName: 'worker' });
    expect(job.startedAt).toEqual(new Date(field('finished', 'finished', 'started_at')));
    expect(job.endedAt).toEqual(new Date(field('finished', 'finished', 'ended_at')));
    expect(await job.wait()).toBe(3);
    const kept = await fetched('for-ever');
    expect(kept).toMatchObject({ resultTtl: -1, meta: { kept: true } });
    expect(await kept.result).toEqual([['ü'], {}]);
    expect(await q.fetchJob('not-kept')).toBeUndefined();
    expect(await q.finishedRegistry.getJobIds()).toEqual(['finished', 'for-ever']);
  });

  it('is read: what finished, gone from its registry when its time has come', async () => {
    await load('finished', 501);
    expect(await q.finishedRegistry.getJobIds()).toEqual(['for-ever']);
  });

  it('is read: what failed, with its error', async () => {
    await load('failed');
    const job = await fetched('failed');
    expect(job.status).toBe('failed');
    const remote = {
      name: 'ValueError',
      message: 'ouch ü',
      stack: expect.stringContaining('tasks.py') as string,
    };
    await expect(job.result).rejects.toMatchObject({ name: 'JobFailedError', remote });
    expect(await q.failedRegistry.getJobIds()).toEqual(['short', 'failed']);
    expect((await fetched('short')).failureTtl).toBe(60);
  });

  it('is read: what was stopped, among the failed ones', async () => {
    await load('stopped');
    const job = await fetched('started');
    expect(job).toMatchObject({ status: 'stopped', workerName: undefined });
    await expect(job.result).rejects.toMatchObject({ name: 'JobStoppedError' });
    expect(await q.failedRegistry.getJobIds()).toEqual(['started']);
  });

  it('is read: what was canceled, and can be queued again', async () => {
    await load('canceled');
    const job = await fetched('canceled');
    await expect(job.result).rejects.toMatchObject({ name: 'JobCanceledError' });
    expect(await q.canceledRegistry.getJobIds()).toEqual(['canceled']);
    await job.requeue();
    expect(await q.canceledRegistry.count()).toBe(0);
    expect(await work()).toEqual(['1+2']);
  });

  it('is read: what runs; a worker leaves it alone', async () => {
    await load('started');
    const job = await fetched('started');
    expect(job).toMatchObject({ status: 'started', workerName: 'worker', args: [30] });
    expect(job.startedAt).toEqual(new Date(field('started', 'started', 'started_at')));
    const seen = (): unknown =>
      Promise.all(['rq:job:started', 'rq:worker:worker', 'rq:wip:vectors'].map(dumpOf));
    const before = await seen();
    expect(await work()).toEqual([]);
    expect(await seen()).toEqual(before);
    expect(await q.startedRegistry.getJobIds()).toEqual(['started']);
  });

  it('is carried on: a run that was not heard of past its time failed', async () => {
    await load('started', 91);
    await work();
    await expect((await fetched('started')).result).rejects.toThrow('AbandonedJobError');
    expect([await q.startedRegistry.count(), await q.failedRegistry.getJobIds()]).toEqual([0, ['started']]);
  });

  it('is carried on: a job that waits is run, and its result kept as Python keeps it', async () => {
    await load('queued');
    expect(await work()).toEqual(['1+2']);
    expect(await (await fetched('queued')).result).toBe(3);
    const [[, entry]] = (await redis.client.xrange('rq:results:queued', '-', '+')) as [[string, string[]]];
    const streamed = Object.fromEntries(entry.flatMap((name, i) => (i % 2 ? [] : [[name, entry[i + 1]]])));
    const theirs = keysOf('finished')['rq:results:finished'];
    const [, wrote = {}] = theirs?.type === 'stream' ? (theirs.value[0] ?? []) : [];
    expect(Object.keys(streamed).toSorted()).toEqual(Object.keys(wrote));
    expect(streamed).toMatchObject({ type: wrote['type'], return_value: wrote['return_value'] });
  });

  it('is carried on: a retry at once', async () => {
    await load('retried');
    expect(await fetched('at-once')).toMatchObject({ status: 'queued', retriesLeft: 1 });
    expect(await work()).toEqual(['once']);
    expect(await (await fetched('at-once')).result).toContain('by Node');
  });

  it('is carried on: retries that are due, of a plan and of a function that asked', async () => {
    await load('retried-later', 601);
    expect(await fetched('later')).toMatchObject({ status: 'scheduled', retriesLeft: 1 });
    expect((await q.scheduledRegistry.getJobIds()).toSorted()).toEqual(['asked', 'later']);
    // the hash of the one that asked holds a result that is no JSON
    for (const id of ['asked', 'later']) expect(await (await fetched(id)).result).toBeUndefined();
    expect((await work({ calls: 2 })).toSorted()).toEqual(['600', 'once']);
    for (const id of ['asked', 'later']) expect(await (await fetched(id)).result).toContain('by Node');
  });

  it('is carried on: the scheduled job that is due, and no other', async () => {
    await load('scheduled', 601);
    expect(await fetched('at')).toMatchObject({ status: 'scheduled', args: [3, 4], enqueuedAt: undefined });
    expect(await q.scheduledRegistry.getJobIds()).toEqual(['in', 'at']);
    expect(await work({ calls: 1 })).toEqual(['1+2']);
    expect(await (await fetched('in')).result).toBe(3);
    expect(await q.scheduledRegistry.getJobIds()).toEqual(['at']);
  });

  it('is left to Python: what is due on a queue whose lock a Python scheduler has', async () => {
    await load('scheduled', 601);
    await load('switches');
    await redis.client.del('rq:suspended');
    // the same on a queue without a lock
    await redis.client.copy('rq:job:in', 'rq:job:free');
    await redis.client.hset('rq:job:free', 'origin', 'free');
    await redis.client.zadd('rq:scheduled:free', 1, 'free');
    expect(await work({ calls: 1, queues: ['vectors', 'free'] })).toEqual(['1+2']);
    expect(await (await fetched('free')).getStatus()).toBe('finished');
    expect(await q.scheduledRegistry.getJobIds()).toEqual(['in', 'at']);
  });

  it('is minded: that work is suspended', async () => {
    for (const name of ['queued', 'switches']) await load(name);
    expect([await work(), await q.count()]).toEqual([[], 1]);
  });

  it('is carried on: jobs that wait for others', async () => {
    await load('deferred');
    expect(await fetched('both')).toMatchObject({ status: 'deferred', dependencyIds: ['first', 'second'] });
    expect((await q.deferredRegistry.getJobIds()).toSorted()).toEqual(['anyway', 'both', 'second']);
    expect(await work()).toEqual(['1+2', '7+8', '3+4', '5+6']);
    expect(await (await fetched('both')).result).toBe(11);
    expect(await q.deferredRegistry.count()).toBe(0);
  });

  it('is carried on: after a failure only what allows it', async () => {
    await load('deferred');
    expect(await work({ failing: 1 })).toEqual(['1+2', '7+8']);
    expect((await q.deferredRegistry.getJobIds()).toSorted()).toEqual(['both', 'second']);
  });

  it('is carried on: a repeat that is due', async () => {
    await load('repeated', 601);
    const job = await fetched('repeated');
    expect([job.status, await job.result]).toEqual(['scheduled', undefined]);
    expect(await q.scheduledRegistry.getJobIds()).toEqual(['repeated']);
    expect(await work({ calls: 1 })).toEqual(['1+2']);
  });

  it('is left as it is: a group, a worker, and what is between Python’s list and its start', async () => {
    const names = ['group', 'worker', 'intermediate'];
    for (const name of names) await load(name);
    const all = names.flatMap(name => Object.keys(keysOf(name)));
    const keys = all.filter(key => !/^rq:(queue:vectors$|job:member)/.test(key));
    const before = await Promise.all(keys.map(dumpOf));
    expect(await work()).toEqual(['1+1', '2+2']);
    expect(await Promise.all(keys.map(dumpOf))).toEqual(before);
  });

  it('is what it still writes', async context => {
    const why = missing(version);
    if (why !== undefined) return context.skip(why);
    const python = here(`../../.venv/rq-${version}/bin/python`);
    const { stdout } = await promisify(execFile)(python, [here('vectors/dump.py'), String(redis.port)]);
    expect(formOf(JSON.parse(stdout) as Vector)).toEqual(formOf({ rq, scenarios }));
  });
});

function write(pipeline: ChainableCommander, key: string, kept: Key, at: number, now: number): void {
  pipeline.del(key);
  if (kept.type === 'string') pipeline.set(key, bytes(kept.value));
  else if (kept.type === 'list') pipeline.rpush(key, ...kept.value.map(bytes));
  else if (kept.type === 'set') pipeline.sadd(key, ...kept.value.map(bytes));
  else if (kept.type === 'hash') pipeline.hset(key, ...pairs(kept.value));
  else if (kept.type === 'stream') for (const [id, all] of kept.value) pipeline.xadd(key, id, ...pairs(all));
  else for (const [member, score] of kept.value) pipeline.zadd(key, moved(score, at, now), member);
  if (kept.ttl !== null) pipeline.pexpire(key, kept.ttl);
}

/** The score that has the same distance from `now` as this has from `at`; one that is none stays. */
const moved = (score: Score, at: number, now: number): Score =>
  score === 'inf' || score - at > YEARS ? score : Math.round(score - at) + now;
const pairs = (hash: Hash): Buffer[] => Object.entries(hash).flatMap(([k, v]) => [Buffer.from(k), bytes(v)]);

/** A vector without what differs from run to run: times, numbers of processes and ports, how zlib packed. */
function formOf({ rq, scenarios }: Vector): unknown {
  const text = (value: Text, name = ''): string => {
    const raw = bytes(value);
    if (raw[0] === 0x78 && typeof value !== 'string') return `zlib ${inflateSync(raw).toString()}`;
    if (name === 'exc_string') return `zlib ${inflateSync(Buffer.from(raw.toString(), 'base64')).toString()}`;
    if (['ip_address', 'pid', 'python_version'].includes(name)) return 'of the machine';
    return raw
      .toString()
      .replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'a time')
      .replace(/^\d{10}\.\d{1,6}$/, 'unix seconds')
      .replace(/^\d\.\d+$|^\d(\.\d+)?e-\d+$/, 'a span');
  };
  const hash = (all: Hash): unknown => Object.entries(all).map(([name, value]) => [name, text(value, name)]);
  const tens = (n: Score | null): string => String(typeof n === 'number' ? Math.round(n / 10) : n);
  const key = (kept: Key, at: number): unknown => {
    if (kept.type === 'string') return text(kept.value);
    if (kept.type === 'hash') return hash(kept.value);
    if (kept.type === 'stream') return kept.value.map(([, entry]) => hash(entry));
    if (kept.type !== 'zset') return kept.value.map(member => text(member));
    // members of one second may stand in another order than those of two
    return Object.fromEntries(kept.value.map(([member, score]) => [member, tens(moved(score, at, 0))]));
  };
  const all = Object.entries(scenarios).map(([scenario, { at, keys }]) => {
    const each = Object.entries(keys);
    return [
      scenario,
      each.map(([name, kept]) => [name, kept.type, tens(kept.ttl && kept.ttl / 1000), key(kept, at)]),
    ];
  });
  return [rq, all];
}
