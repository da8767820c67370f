/** `job.stop()`: a request that its worker gets to know of, whether it hears the message or not. */
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { getCurrentJob } from '../lib/current-job.ts';
import {
  InvalidJobOperationError,
  JobStoppedError,
  NoSuchJobError,
  StopRequestedError,
} from '../lib/errors.ts';
import type { Job } from '../lib/job.ts';
import { Keys } from '../lib/keys.ts';
import type { RunRef } from '../lib/outcome.ts';
import { Queue } from '../lib/queue.ts';
import { WorkerStore } from '../lib/worker-store.ts';
import type { WorkerOptions } from '../lib/worker/settings.ts';
import type { Worker } from '../lib/worker/worker.ts';
import { useLink, useQueue, useRedis, useWorkers } from './support/in-process.ts';
import { Proxy } from './support/proxy.ts';

const redis = useRedis();
const link = useLink(redis);
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
const list = (): Promise<string[]> => redis.client.lrange('rq:queue:q', 0, -1);
const status = (job: Job): Promise<string | null> => redis.client.hget(`rq:job:${job.id}`, 'status');
const listeners = async (worker: string): Promise<number> =>
  Number((await redis.client.pubsub('NUMSUB', `rq:pubsub:${worker}`))[1]);

/** Ends with its reason once its signal is aborted. */
const held = (): Promise<never> =>
  new Promise((_, reject) => {
    const signal = getCurrentJob()?.signal;
    signal?.addEventListener('abort', () => reject(signal.reason as Error));
  });

/** A worker that runs one job, which ends when it is told to. */
async function busy(options: Partial<WorkerOptions> = {}): Promise<{ job: Job; worker: Worker }> {
  const job = await q.enqueue('held');
  const worker = makeWorker({ held }, options);
  void worker.work();
  await once(worker, 'jobStarted');
  return { job, worker };
}

/** A run of a worker that says nothing more. */
async function take(name: string = 'anna'): Promise<{ readonly store: WorkerStore; readonly run: RunRef }> {
  const store = new WorkerStore(new Keys(), name, ['q']);
  const request = { handIns: [], want: 1, claims: new Set<number>(), strategy: 'default' } as const;
  const [run] = (await store.advance(link.redis, request)).jobs;
  return { store, run: run as RunRef };
}

/** A user who may do everything but send and hear messages; the URL with its name. */
async function deaf(): Promise<string> {
  await redis.client.call('ACL', 'SETUSER', 'deaf', 'reset', 'on', '>pw', '~*', '+@all', 'resetchannels');
  return redis.url.replace('//', '//deaf:pw@');
}

describe('Job.stop', () => {
  it('ends a run whose worker listens, at once', async () => {
    const { job, worker } = await busy();
    const stopped = once(worker, 'jobStopped');
    await job.stop();
    expect((await stopped)[0]).toMatchObject({
      jobId: job.id,
      error: expect.any(StopRequestedError) as Error,
    });
    await expect(job.wait({ timeout: '10s' })).rejects.toThrow(JobStoppedError);
    expect(await q.failedRegistry.getJobIds()).toEqual([job.id]);
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
  });

  it('may be called twice', async () => {
    const { job } = await busy();
    await Promise.all([job.stop(), job.stop()]);
    await expect(job.wait({ timeout: '10s' })).rejects.toThrow(JobStoppedError);
  });

  it.each(['queued', 'finished', 'failed', 'stopped', 'canceled', 'deferred', 'scheduled'])(
    'refuses a job that is %s, and leaves no mark',
    async state => {
      const job = await q.enqueue('f');
      const key = `rq:job:${job.id}`;
      await redis.client.hset(key, { status: state, worker_name: 'w', execution_id: 'n1' });
      await expect(job.stop()).rejects.toThrow(InvalidJobOperationError);
      await expect(job.stop()).rejects.toThrow(`Job ${job.id} can't be stopped: it is ${state}`);
      expect(await hash(job.id)).not.toHaveProperty('stop_requested');
    },
  );

  it('refuses a job that is gone', async () => {
    const job = await q.enqueue('f');
    await job.delete();
    await expect(job.stop()).rejects.toThrow(NoSuchJobError);
    expect(await redis.client.exists(`rq:job:${job.id}`)).toBe(0);
  });
});

describe('A stop that its worker did not hear', () => {
  const opened: { close(): Promise<void> }[] = [];
  afterEach(() => Promise.all(opened.splice(0).map(each => each.close())));

  it('is noticed soon after the worker listens again', async () => {
    const { job, worker } = await busy();
    await expect.poll(() => listeners(worker.name), { interval: 5 }).toBe(1);
    // in one step, as it listens again within 50 ms
    const [, heard] =
      (await redis.client
        .multi()
        .client('KILL', 'TYPE', 'PUBSUB')
        .pubsub('NUMSUB', `rq:pubsub:${worker.name}`)
        .exec()) ?? [];
    expect(heard).toEqual([null, [`rq:pubsub:${worker.name}`, 0]]);
    await job.stop();
    // a renewal of its own accord comes after 10 s
    await expect.poll(() => status(job), { timeout: 8000, interval: 20 }).toBe('stopped');
  });

  it('is noticed where Redis took the worker for listening, and the link was dead', async () => {
    const proxy = await Proxy.to(redis.port);
    opened.push(proxy);
    const { job, worker } = await busy({ connection: proxy.url });
    await expect.poll(() => listeners(worker.name), { interval: 5 }).toBe(1);
    proxy.stall();
    await job.stop();
    expect(await status(job)).toBe('started');
    proxy.cut();
    await expect.poll(() => status(job), { timeout: 8000, interval: 20 }).toBe('stopped');
  });

  it('is noticed with the next renewal by a worker that never listens', async () => {
    const { job, worker } = await busy({ connection: await deaf(), lease: 3 });
    expect(await listeners(worker.name)).toBe(0);
    await job.stop();
    expect(await hash(job.id)).toHaveProperty('stop_requested');
    await expect.poll(() => status(job), { interval: 20 }).toBe('stopped');
  });

  it('ends that run and no other of the worker', async () => {
    const others = [await q.enqueue('held'), await q.enqueue('held')];
    const worker = makeWorker({ held }, { connection: await deaf(), lease: 3, concurrency: 3 });
    void worker.work();
    const job = await q.enqueue('held');
    await expect.poll(() => status(job), { interval: 5 }).toBe('started');
    await job.stop();
    await expect.poll(() => status(job), { interval: 20 }).toBe('stopped');
    expect(await Promise.all(others.map(status))).toEqual(['started', 'started']);
  });

  it('may come from a user who may send no messages', async () => {
    const { job: theirs } = await busy({ lease: 3 });
    const mute = new Queue('q', { connection: await deaf() });
    opened.push(mute);
    const job = (await mute.fetchJob(theirs.id)) as Job;
    await job.stop();
    await expect.poll(() => status(job), { interval: 20 }).toBe('stopped');
  });

  it('holds although the worker shuts down before it notices', async () => {
    const { job, worker } = await busy({ connection: await deaf() });
    await job.stop();
    await worker.stop('cold');
    expect(await list()).toEqual([]);
    // whoever sweeps next ends it
    await new WorkerStore(new Keys(), 'next', ['q']).sweep(link.redis, 0, true);
    expect(await status(job)).toBe('stopped');
    expect(await list()).toEqual([]);
  });

  it('holds although the run fails before the worker notices: it is not retried', async () => {
    let fail: (error: Error) => void = () => {};
    const f = (): Promise<never> => new Promise((_, reject) => (fail = reject));
    const job = await q.enqueue('f', [], { retry: { max: 3 } });
    const worker = makeWorker({ f }, { connection: await deaf() });
    void worker.work();
    await once(worker, 'jobStarted');
    await job.stop();
    fail(new Error('of itself'));
    await expect.poll(() => status(job), { interval: 10 }).toBeOneOf(['stopped', 'failed']);
    expect(await list()).toEqual([]);
  });

  it('leaves a result that came before', async () => {
    let end: (value: string) => void = () => {};
    const f = (): Promise<string> => new Promise(resolve => (end = resolve));
    const job = await q.enqueue('f');
    const worker = makeWorker({ f }, { connection: await deaf() });
    void worker.work();
    await once(worker, 'jobStarted');
    await job.stop();
    end('done');
    expect(await job.wait({ timeout: '10s' })).toBe('done');
  });
});

describe('A stop of a run whose worker died', () => {
  const expire = (run: RunRef): Promise<unknown> =>
    redis.client.zadd('rq:wip:q', 1, `${run.jobId}:${run.executionId}`);

  it.each([{}, { redeliver: false }, { retry: { max: 3 } }])(
    'is carried out by the sweep: the job with %j is stopped, and not run again',
    async options => {
      const job = await q.enqueue('f', [], options);
      const { run } = await take('anna');
      await job.stop();
      expect(await status(job)).toBe('started');
      await expire(run);
      let calls = 0;
      const worker = makeWorker({ f: () => calls++ });
      const told: unknown[] = [];
      worker.on('recovered', (_, ids) => told.push(ids)).on('abandoned', (_, ids) => told.push(ids));
      await worker.work({ burst: true });
      expect(calls).toBe(0);
      expect(told).toEqual([]);
      const fields = await hash(job.id);
      expect(fields).toMatchObject({ status: 'stopped' });
      expect(fields['exc_info']).toMatch(/^StopRequestedError: .*asked to stop.*anna/);
      expect(fields).not.toHaveProperty('recoveries');
      await expect(job.result).rejects.toThrow(JobStoppedError);
      expect(await list()).toEqual([]);
      expect(await q.failedRegistry.getJobIds()).toEqual([job.id]);
      expect(await redis.client.zcard('rq:wip:q')).toBe(0);
      expect(Math.abs((await redis.client.ttl(`rq:job:${job.id}`)) - 30 * 24 * 3600)).toBeLessThan(5);
      expect(await job.results()).toMatchObject([{ type: 'stopped', workerName: 'anna' }]);
    },
  );

  it('is told to who waits', async () => {
    const job = await q.enqueue('f');
    const { run } = await take();
    const waited = job.wait({ timeout: '20s' }).catch((error: unknown) => error);
    await job.stop();
    await expire(run);
    await makeWorker({ f: () => 1 }).work({ burst: true });
    expect(await waited).toBeInstanceOf(JobStoppedError);
  });

  it('leaves nothing where failures are not kept', async () => {
    const job = await q.enqueue('f', [], { failureTtl: 0 });
    const { run } = await take();
    await job.stop();
    await expire(run);
    await makeWorker({ f: () => 1 }).work({ burst: true });
    expect(await redis.client.exists(`rq:job:${job.id}`, 'rq:failed:q', 'rq:wip:q')).toBe(0);
  });
});

describe('A stop request', () => {
  it('is found by the renewal of its run, and not by that of others', async () => {
    const [job, other] = [await q.enqueue('f'), await q.enqueue('f')];
    const { store, run } = await take();
    const request = { handIns: [], want: 1, claims: new Set<number>(), strategy: 'default' } as const;
    const second = (await store.advance(link.redis, request)).jobs[0] as RunRef;
    expect([run.jobId, second.jobId]).toEqual([job.id, other.id]);
    expect(await store.renew(link.redis, [run, second])).toEqual({ lost: [], stops: [] });
    await job.stop();
    expect(await store.renew(link.redis, [run, second])).toEqual({ lost: [], stops: [run.executionId] });
    expect(Number(await redis.client.zscore('rq:wip:q', `${job.id}:${run.executionId}`))).toBeGreaterThan(
      Date.now() / 1000 + 60,
    );
  });

  it('is no matter for a later run: after a requeue the job runs as ever', async () => {
    const { job, worker } = await busy();
    await job.stop();
    await expect(job.wait({ timeout: '10s' })).rejects.toThrow(JobStoppedError);
    await worker.stop();
    await job.requeue();
    expect(await hash(job.id)).not.toHaveProperty('stop_requested');
    const { store, run } = await take();
    expect(await store.renew(link.redis, [run])).toEqual({ lost: [], stops: [] });
    expect(await store.giveBack(link.redis, [run])).toBe(1);
    await makeWorker({ held: () => 'well' }).work({ burst: true });
    expect(await job.result).toBe('well');
  });

  it('of an earlier run, which Python’s requeue leaves in place, hits neither renewal nor sweep', async () => {
    const job = await q.enqueue('f');
    await redis.client.hset(`rq:job:${job.id}`, 'stop_requested', 'n-an-earlier-run');
    const { store, run } = await take();
    expect(await store.renew(link.redis, [run])).toEqual({ lost: [], stops: [] });
    await redis.client.zadd('rq:wip:q', 1, `${job.id}:${run.executionId}`);
    expect(await store.sweep(link.redis, 0, true)).toMatchObject({ recovered: [job.id] });
  });
});

describe('Job.stop of a run of Python’s', () => {
  /** A job as Python's worker leaves it while it runs; it may have been run here before. */
  async function pythons(before: Readonly<Record<string, string>> = {}): Promise<Job> {
    const job = await q.enqueue('f');
    await redis.client.del('rq:queue:q');
    await redis.client.hset(`rq:job:${job.id}`, { ...before, status: 'started', worker_name: 'python' });
    const run = '0123456789abcdef0123456789abcdef';
    await redis.client.zadd('rq:wip:q', Date.now() / 1000 + 180, `${job.id}:${run}`);
    await redis.client.zadd(`rq:executions:${job.id}`, Date.now() / 1000 + 180, run);
    return job;
  }

  it('is a message to its worker, and no mark', async () => {
    const job = await pythons();
    const worker = redis.client.duplicate();
    try {
      await worker.subscribe('rq:pubsub:python');
      const heard = once(worker, 'message');
      await job.stop();
      expect(JSON.parse(String((await heard)[1]))).toEqual({ command: 'stop-job', job_id: job.id });
      expect(await hash(job.id)).not.toHaveProperty('stop_requested');
    } finally {
      worker.disconnect();
    }
  });

  it.each([
    ['', {}],
    [', also where the job ran here before', { execution_id: `n${'0'.repeat(31)}` }],
  ])('is refused where that worker does not listen%s', async (_, before) => {
    const job = await pythons(before);
    await expect(job.stop()).rejects.toThrow(InvalidJobOperationError);
    await expect(job.stop()).rejects.toThrow(
      `Job ${job.id} can't be stopped: its worker python does not listen`,
    );
  });
});
