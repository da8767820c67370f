/** What a Python program can put on a queue and nobody can run: our worker says why, and goes on with the next job. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Queue, Worker } from '../../lib/index.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { startWorker } from '../support/worker-process.ts';
import { missing, Python, VERSIONS } from './python.ts';

/** Python code that puts the job `bad` on the queue `q`. */
const PUT = 'queue("q").enqueue("add", 1, 2, job_id="bad")';
const PICKLED = 'Queue("q", connection=c).enqueue(tasks.add, 1, 2, job_id="bad")';
const set = (field: string, value: string): string =>
  `${PUT}; c.hset("rq:job:bad", "${field}", ${JSON.stringify(value)})`;

describe.each(VERSIONS)('our worker, handed by Python RQ %s', version => {
  const why = missing(version);
  let redis: RedisServer;
  let python: Python;
  let q: Queue;

  beforeAll(async () => {
    if (why !== undefined) return;
    redis = await startRedis();
    python = new Python(version, redis.port);
    q = new Queue('q', { connection: redis.url });
    await python.run('import pickle, tasks, zlib');
  });
  beforeEach(async context => {
    if (why !== undefined) return context.skip(why);
    await redis.client.flushall();
  });
  afterAll(async () => {
    await q?.close();
    await python?.close();
    await redis?.stop();
  });

  /** Runs what Python put there, with a good job after it; answers what the worker said was dropped, and what it called. */
  async function work(code: string): Promise<{ dropped: unknown[]; calls: unknown[][] }> {
    await python.run(`${code}\nqueue("q").enqueue("add", 20, 22, job_id="next")`);
    const calls: unknown[][] = [];
    const add = (...args: unknown[]): unknown => {
      calls.push(args);
      return Number(args[0]) + Number(args[1]);
    };
    const fail = (): void => {
      throw new RangeError('on purpose');
    };
    const worker = new Worker('q', { connection: redis.url, functions: { add, fail } });
    const dropped: unknown[] = [];
    worker.on('jobDropped', ({ jobId, reason }) => dropped.push([jobId, reason]));
    await worker.work({ burst: true });
    expect(await python.run('out = [job("next").get_status().value, job("next").return_value()]')).toEqual([
      'finished',
      42,
    ]);
    expect(await redis.client.llen('rq:queue:q')).toBe(0);
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
    return { dropped, calls };
  }

  const FAILS: readonly (readonly [what: string, code: string, said: RegExp])[] = [
    ['a pickled job', PICKLED, /not JSON \(a pickle: enqueue with the JSON serializer\)/],
    [
      'a pickled job that is not compressed',
      `${PICKLED}; c.hset("rq:job:bad", "data", pickle.dumps(("tasks.add", None, (1, 2), {})))`,
      /a pickle/,
    ],
    [
      'a pickled method',
      'Queue("q", connection=c).enqueue(tasks.Basket(a=1).total, job_id="bad")',
      /a pickle/,
    ],
    [
      'a method of an object',
      'queue("q").enqueue(tasks.Basket(a=1).total, job_id="bad")',
      /calls a method of an object, 'total': functions only/,
    ],
    [
      'a method of an empty object',
      'queue("q").enqueue(tasks.Basket().total, job_id="bad")',
      /functions only/,
    ],
    ['a NaN', 'queue("q").enqueue("add", float("nan"), job_id="bad")', /its data is not JSON/],
    ['an infinity', 'queue("q").enqueue("add", float("inf"), job_id="bad")', /its data is not JSON/],
    ['data that is cut off', `${PUT}; c.hset("rq:job:bad", "data", b"x\\x9c\\x01")`, /can't be decompressed/],
    ['no data', `${PUT}; c.hdel("rq:job:bad", "data")`, /it has no data/],
    ['a timeout of 5m', set('timeout', '5m'), /its field timeout is not a whole number: "5m"/],
    ['a timeout of 2.5', set('timeout', '2.5'), /its field timeout is not a whole number: "2\.5"/],
    ['a result_ttl of 1h', set('result_ttl', '1h'), /its field result_ttl is not a whole number/],
    ['a failure_ttl of None', set('failure_ttl', 'None'), /its field failure_ttl is not a whole number/],
    ['a ttl of 1e3', set('ttl', '1e3'), /its field ttl is not a whole number/],
    ['an unknown status', set('status', 'napping'), /its status is "napping", which is none/],
    ['no status', `${PUT}; c.hdel("rq:job:bad", "status")`, /its status is "", which is none/],
    [
      'a function that is not registered',
      'queue("q").enqueue(tasks.echo, 1, job_id="bad")',
      /^FunctionNotRegisteredError: .*'?tasks\.echo'?.*add/s,
    ],
  ];
  it.each(FAILS)('%s, fails it with the reason and runs the next one', async (_, code, said) => {
    const { calls } = await work(code);
    expect(calls).toEqual([[20, 22]]);
    expect(await redis.client.hmget('rq:job:bad', 'status', 'exc_info')).toEqual([
      'failed',
      expect.stringMatching(said),
    ]);
    expect(await q.failedRegistry.getJobIds()).toEqual(['bad']);
    expect(await python.run('out = queue("q").failed_job_registry.get_job_ids()')).toEqual(['bad']);
  });

  it('a pickled job, tells the reason to who enqueued it', async () => {
    await work(PICKLED);
    const seen = await python.run(`
bad = Job.fetch("bad", connection=c)
it = bad.latest_result()
out = [bad.get_status().value, bad.args, it.type.name, it.exc_string.split(':')[0], bad.return_value()]`);
    expect(seen).toEqual(['failed', [1, 2], 'FAILED', 'InvalidJobError', null]);
  });

  it.each<readonly [what: string, code: string, reason: string]>([
    ['an id whose job is gone', `${PUT}; c.delete("rq:job:bad")`, 'gone'],
    ['an id whose key is no hash', `${PUT}; c.delete("rq:job:bad"); c.set("rq:job:bad", "x")`, 'not a hash'],
    ['a job that was canceled meanwhile', set('status', 'canceled'), 'canceled'],
    ['a job that has finished', set('status', 'finished'), 'finished'],
    ['a job that runs', set('status', 'started'), 'started'],
    ['a job that was created and not queued', set('status', 'created'), 'created'],
    ['a job that waits for a rate limit', set('status', 'rate_limited'), 'rate_limited'],
    ['a job on its way to the queue', set('status', 'ready_to_enqueue'), 'ready_to_enqueue'],
  ])('%s, drops it with the reason and runs the next one', async (_, code, reason) => {
    const { calls, dropped } = await work(code);
    expect(calls).toEqual([[20, 22]]);
    expect(dropped).toEqual([['bad', reason]]);
    expect(await q.failedRegistry.count()).toBe(0);
  });

  it.each<readonly [what: string, code: string]>([
    ['an empty enqueue_at_front', set('enqueue_at_front', '')],
    [
      'numbers for its times',
      `${set('created_at', '1700000000.5')}; c.hset("rq:job:bad", "enqueued_at", 17)`,
    ],
    [
      'an empty last_heartbeat and worker_name',
      `${set('last_heartbeat', '')}; c.hset("rq:job:bad", "worker_name", "")`,
    ],
    ['meta that is a pickle', `${PUT}; c.hset("rq:job:bad", "meta", pickle.dumps({"a": 1}))`],
    ['meta that is a list', set('meta', '[1]')],
    ['dependency_ids that are no list', set('dependency_ids', 'x')],
    ['fields that nobody knows', set('priority', 'high')],
    ['an empty timeout and ttl', `${set('timeout', '')}; c.hset("rq:job:bad", "ttl", "")`],
    ['a description that is not UTF-8', `${PUT}; c.hset("rq:job:bad", "description", b"\\xff\\xfe")`],
    ['no origin', `${PUT}; c.hdel("rq:job:bad", "origin")`],
  ])('a job with %s, runs it, since that says nothing of what to run', async (_, code) => {
    const { calls } = await work(code);
    expect(calls).toEqual([
      [1, 2],
      [20, 22],
    ]);
    expect(await redis.client.hget('rq:job:bad', 'status')).toBe('finished');
    const base64 = (await redis.client.xrange('rq:results:bad', '-', '+'))[0]?.[1] ?? [];
    expect(base64).toContain(Buffer.from('3').toString('base64'));
  });

  it.each([
    ['retries_left', 'many'],
    ['retry_intervals', 'soon'],
    ['number_of_retries', 'none'],
    ['success_callback_name', 'nowhere.at.all'],
    ['failure_callback_name', 'nowhere.at.all'],
    ['webhooks', '{'],
    ['repeats_left', 'some'],
  ])('a failing job whose %s is %j, fails it and runs the next one', async (field, value) => {
    await work(
      `queue("q").enqueue("fail", job_id="bad", meta={"x": 1}); c.hset("rq:job:bad", "${field}", "${value}")`,
    );
    expect(await redis.client.hmget('rq:job:bad', 'status', 'exc_info')).toEqual([
      'failed',
      expect.stringContaining('on purpose'),
    ]);
    expect(await q.failedRegistry.getJobIds()).toEqual(['bad']);
  });

  it('poison of every kind one after the other, still listens', async () => {
    const node = startWorker(redis.url, ['q']);
    try {
      await node.listening();
      // each poison with a good job behind it, all there before the first is taken
      await python.run('suspend(c)');
      for (const [i, [, code]] of FAILS.entries()) {
        await python.run(
          `${code.replaceAll('bad', `bad-${i}`)}; queue("q").enqueue("sum", [1, 2], job_id="good-${i}")`,
        );
      }
      await python.run('resume(c)');
      const places = FAILS.map((_, i) => i);
      const statuses = (kind: string): Promise<(string | null)[]> =>
        Promise.all(places.map(i => redis.client.hget(`rq:job:${kind}-${i}`, 'status')));
      await vi.waitFor(
        async () => {
          expect(await statuses('bad')).toEqual(FAILS.map(() => 'failed'));
          expect(await statuses('good')).toEqual(FAILS.map(() => 'finished'));
        },
        { timeout: 20_000 },
      );
      expect(node.child.exitCode).toBeNull();
      expect(await redis.client.smembers('rq:workers')).toHaveLength(1);
    } finally {
      await node.end();
    }
  });
});
