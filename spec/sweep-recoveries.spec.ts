/** What the sweep does for workers that were lost: how often a job is run again, what it says then, and whose claims go back. */
import { afterEach, describe, expect, it } from 'vitest';
import { Keys } from '../lib/keys.ts';
import type { RunRef } from '../lib/outcome.ts';
import { WorkerStore, type Swept } from '../lib/worker-store.ts';
import { Worker } from '../lib/worker/worker.ts';
import { useLink, useQueue, useRedis, useWorkers } from './support/in-process.ts';
import { TASKS, WorkerProcess } from './support/worker-process.ts';

const redis = useRedis();
const link = useLink(redis);
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const list = (): Promise<string[]> => redis.client.lrange('rq:queue:q', 0, -1);
const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
const makeStore = (name: string, options: { maxRecoveries?: number; lease?: number } = {}): WorkerStore =>
  new WorkerStore(new Keys(), name, ['q'], options);

/** A worker takes the job that is next. */
async function take(name: string): Promise<RunRef> {
  const request = {
    handIns: [],
    want: 1,
    claims: new Set<number>(),
    strategy: 'default',
    single: true,
  } as const;
  const [run] = (await makeStore(name).advance(link.redis, request)).jobs;
  return run as RunRef;
}

/** It is not heard of again. */
async function lose(name: string): Promise<RunRef> {
  const run = await take(name);
  await redis.client.zadd('rq:wip:q', 1, `${run.jobId}:${run.executionId}`);
  return run;
}

const sweep = (maxRecoveries?: number): Promise<Swept> =>
  makeStore('janitor', maxRecoveries === undefined ? {} : { maxRecoveries }).sweep(link.redis, 0, true);

interface Kept {
  readonly at: string;
  readonly worker: string;
  readonly error: string;
  readonly run: string;
}
const errors = async (id: string): Promise<readonly Kept[]> =>
  JSON.parse((await hash(id))['errors'] ?? '[]') as Kept[];

describe('maxRecoveries', () => {
  it.each([-1, 1.5, NaN, Infinity])('is refused where it is %s', maxRecoveries => {
    expect(() => new Worker('q', { functions: { f: () => 1 }, maxRecoveries })).toThrow(
      `maxRecoveries must be a whole number of 0 or more, not ${maxRecoveries}`,
    );
  });

  it('is refused where it is no number', () => {
    const maxRecoveries = '3' as unknown as number;
    expect(() => new Worker('q', { functions: { f: () => 1 }, maxRecoveries })).toThrow(
      'maxRecoveries must be a whole number, not "3"',
    );
  });

  it.each([0, 1, 3])('of %d has a job run again so often, and the next loss fails it', async most => {
    const { id } = await q.enqueue('f');
    for (let n = 1; n <= most; n++) {
      await lose(`w${n}`);
      expect(await sweep(most)).toMatchObject({ recovered: [id], abandoned: [] });
      expect(await hash(id)).toMatchObject({ status: 'queued', recoveries: String(n) });
    }
    await lose('last');
    expect(await sweep(most)).toMatchObject({ recovered: [], abandoned: [id] });
    expect(await list()).toEqual([]);
    expect(await hash(id)).toMatchObject({ status: 'failed' });
    expect(await q.failedRegistry.getJobIds()).toEqual([id]);
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
  });

  it('is 3 where a worker is not told', async () => {
    const { id } = await q.enqueue('f', [], { jobId: 'a' });
    await redis.client.hset('rq:job:a', 'recoveries', '2');
    await lose('w1');
    expect((await sweep()).recovered).toEqual([id]);
    await lose('w1');
    expect((await sweep()).abandoned).toEqual([id]);
  });

  it('is what the worker was told that finds the loss', async () => {
    const job = await q.enqueue('f');
    await lose('w1');
    const abandoned: string[] = [];
    const worker = makeWorker({ f: () => 'ran' }, { maxRecoveries: 0 });
    worker.on('abandoned', (_, ids) => abandoned.push(...ids));
    await worker.work({ burst: true });
    expect(abandoned).toEqual([job.id]);
    await expect(job.result).rejects.toMatchObject({ remote: { name: 'AbandonedJobError' } });
  });

  it('counts anew after a requeue', async () => {
    const job = await q.enqueue('f');
    await lose('w1');
    await sweep(0);
    await job.requeue();
    expect(await hash(job.id)).not.toHaveProperty('recoveries');
    await lose('w1');
    expect((await sweep(1)).recovered).toEqual([job.id]);
  });
});

describe('An abandoned job', () => {
  it('says how often it was lost, and by which workers, in their order', async () => {
    const { id } = await q.enqueue('f');
    for (const name of ['anna', 'bert', 'carl']) {
      await lose(name);
      await sweep(2);
    }
    const text = (await hash(id))['exc_info'];
    expect(text).toMatch(/^AbandonedJobError: /);
    expect(text).toMatch(/lost 3 times/);
    expect(text).toMatch(/anna, bert, carl$/);
  });

  it('names the one worker where nothing is made good', async () => {
    const { id } = await q.enqueue('f');
    await lose('anna');
    await sweep(0);
    expect((await hash(id))['exc_info']).toMatch(/^AbandonedJobError: .*anna$/);
  });

  it('names no worker whose run failed of itself', async () => {
    const job = await q.enqueue('f', [], { retry: { max: 1 } });
    const f = (): never => {
      throw new Error('anna said AbandonedJobError');
    };
    await makeWorker({ f }, { name: 'anna' }).work({ maxJobs: 1 });
    expect(await errors(job.id)).toHaveLength(1);
    for (const name of ['bert', 'carl']) {
      await lose(name);
      await sweep(1);
    }
    expect((await hash(job.id))['exc_info']).toMatch(/lost 2 times.*: bert, carl$/);
  });

  it('is told of by job.result', async () => {
    const job = await q.enqueue('f');
    await lose('anna');
    await sweep(0);
    await expect(job.result).rejects.toMatchObject({
      code: 'RQ_JOB_FAILED',
      remote: { name: 'AbandonedJobError', message: expect.stringContaining('anna') as string },
    });
  });

  it('does not stumble over errors that somebody else wrote', async () => {
    const { id } = await q.enqueue('f');
    for (const text of ['{', '7', '{"a":1}', '[1,"x",{}]', '']) {
      await redis.client.hset(`rq:job:${id}`, 'errors', text);
      await lose('anna');
      expect((await sweep(9)).recovered).toEqual([id]);
    }
    await redis.client.hset(`rq:job:${id}`, 'errors', '{');
    await lose('bert');
    expect((await sweep(0)).abandoned).toEqual([id]);
    expect((await hash(id))['exc_info']).toMatch(/bert$/);
  });
});

describe('A run that was lost', () => {
  it('is kept among the job’s errors: its worker, its id, and when that was found', async () => {
    const { id } = await q.enqueue('f');
    const runs = [await lose('anna')];
    await sweep();
    runs.push(await lose('bert'));
    await sweep();
    const kept = await errors(id);
    expect(kept.map(({ worker, run }) => [worker, run])).toEqual([
      ['anna', runs[0]?.executionId],
      ['bert', runs[1]?.executionId],
    ]);
    for (const { at, error, worker } of kept) {
      expect(error).toMatch(new RegExp(`^AbandonedJobError: .*${worker}`));
      expect(Math.abs(Date.parse(at) - Date.now())).toBeLessThan(60_000);
    }
    expect(await hash(id)).not.toHaveProperty('exc_info');
    expect(await hash(id)).not.toHaveProperty('ended_at');
  });
});

describe('Claims', () => {
  const keys = new Keys().queue('q');
  const report = { state: 'idle', currentJob: '', finished: 0, failed: 0, seconds: 0 } as const;

  /** A registered worker that holds a claim, and whose hash lives for so many seconds more. */
  async function claiming(name: string, seconds: number, lease: number = 30): Promise<WorkerStore> {
    const store = makeStore(name, { lease });
    await store.heartbeat(link.redis, report, ['queues', 'q']);
    await redis.client.rpush(`rq:worker:${name}:claims:q`, `claim-of-${name}`);
    if (seconds > 0) await redis.client.pexpire(`rq:worker:${name}`, seconds * 1000);
    else await redis.client.del(`rq:worker:${name}`);
    return store;
  }
  const registered = async (): Promise<unknown> => [
    await redis.client.smembers('rq:workers'),
    await redis.client.smembers('rq:workers:q'),
    await redis.client.smembers(keys.claimants),
  ];

  it.each([
    ['30 s', 30],
    ['5 minutes', 300],
  ])(
    'of a worker with a lease of %s that was not heard of for that go back, and it stays registered',
    async (_, lease) => {
      await claiming('silent', 9, lease);
      await redis.client.rpush('rq:queue:q', 'waiting');
      expect((await sweep()).claims).toBe(1);
      expect(await list()).toEqual(['claim-of-silent', 'waiting']);
      expect(await registered()).toEqual([['rq:worker:silent'], ['rq:worker:silent'], ['silent']]);
      expect(await redis.client.exists('rq:worker:silent')).toBe(1);
    },
  );

  it('of a worker that was heard of within its lease stay', async () => {
    // its lease ends when 10 s are left
    await claiming('alive', 25);
    expect((await sweep()).claims).toBe(0);
    expect(await list()).toEqual([]);
    expect(await redis.client.lrange('rq:worker:alive:claims:q', 0, -1)).toEqual(['claim-of-alive']);
  });

  it('that a silent worker comes to hold later go back as well', async () => {
    await claiming('silent', 9);
    await sweep();
    await redis.client.rpush('rq:worker:silent:claims:q', 'late');
    await redis.client.del('rq:worker:silent');
    expect((await sweep()).claims).toBe(1);
    expect(await list()).toEqual(['late', 'claim-of-silent']);
  });

  it('of a worker that is heard of again are its own', async () => {
    const store = await claiming('silent', 9);
    await sweep();
    await store.heartbeat(link.redis, report, ['queues', 'q']);
    await redis.client.rpush('rq:worker:silent:claims:q', 'new');
    expect((await sweep()).claims).toBe(0);
    expect(await redis.client.lrange('rq:worker:silent:claims:q', 0, -1)).toEqual(['new']);
  });

  it('of a worker that is gone go back, and it leaves the sets of workers', async () => {
    await claiming('gone', 0);
    await claiming('alive', 40);
    expect((await sweep()).claims).toBe(1);
    expect(await list()).toEqual(['claim-of-gone']);
    expect(await registered()).toEqual([['rq:worker:alive'], ['rq:worker:alive'], ['alive']]);
  });

  it('need not be there for a worker that is gone to leave the sets', async () => {
    await claiming('gone', 0);
    await redis.client.del('rq:worker:gone:claims:q');
    expect((await sweep()).claims).toBe(0);
    expect(await registered()).toEqual([[], [], []]);
  });

  it('do not keep a Python worker from its place among the workers', async () => {
    await redis.client.sadd('rq:workers', 'rq:worker:python');
    await redis.client.sadd('rq:workers:q', 'rq:worker:python');
    await claiming('gone', 0);
    await sweep();
    expect(await registered()).toEqual([['rq:worker:python'], ['rq:worker:python'], []]);
  });
});

describe('rq-worker', () => {
  const workers: WorkerProcess[] = [];
  afterEach(() => Promise.all(workers.splice(0).map(worker => worker.end())));

  async function run(...args: readonly string[]): Promise<{ readonly code: number | null; out: string }> {
    const worker = new WorkerProcess(['q', '-f', TASKS, '-u', redis.url, '--burst', ...args]);
    workers.push(worker);
    const { code } = await worker.exit();
    return { code, out: worker.all };
  }

  it('names --max-recoveries and --grace, with their defaults', async () => {
    const { code, out } = await run('--help');
    expect(out).toMatch(/--max-recoveries <n> [^-]*\(default:\s+3\)/);
    expect(out).toMatch(/--grace <duration> [^-]*\(default:\s+5\s+s\)/);
    expect(code).toBe(0);
  });

  it.each([
    ['--max-recoveries', '-1', /max-recoveries.*'-1'.*0 or more/],
    ['--max-recoveries', '1.5', /max-recoveries.*'1\.5'.*0 or more/],
    ['--max-recoveries', 'many', /max-recoveries.*'many'.*0 or more/],
    ['--grace', '5 parsecs', /grace.*"5 parsecs"/],
    ['--grace', '-1', /grace.*-1/],
  ])('exits with 2 for %s %s', async (flag, value, said) => {
    const { code, out } = await run(flag, value);
    expect(out).toMatch(said);
    expect(code).toBe(2);
  });

  it('fails a lost job at once with --max-recoveries 0', async () => {
    const job = await q.enqueue('nothing');
    await lose('anna');
    expect(await run('--max-recoveries', '0')).toMatchObject({ code: 0 });
    await expect(job.result).rejects.toThrow(/AbandonedJobError.*anna/);
  });

  it('leaves a function behind after --grace', async () => {
    const job = await q.enqueue('stubborn', [60_000], { timeout: 1 });
    expect(await run('--grace', '50ms')).toMatchObject({ code: 0 });
    await expect(job.result).rejects.toThrow(/JobTimeoutError/);
  });
});
