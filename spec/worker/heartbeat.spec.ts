import { once } from 'node:events';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Link } from '../../lib/connection.ts';
import { getCurrentJob } from '../../lib/current-job.ts';
import type { FunctionSource } from '../../lib/functions.ts';
import { Keys } from '../../lib/keys.ts';
import { VERSION } from '../../lib/version.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import { Heartbeat, type HeartbeatHooks } from '../../lib/worker/heartbeat.ts';
import type { WorkerOptions } from '../../lib/worker/settings.ts';
import { Worker } from '../../lib/worker/worker.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
const soon = { timeout: 15_000, interval: 20 };

async function listening(
  functions: FunctionSource = { f: () => 1 },
  options: Partial<WorkerOptions> = {},
  queues: string | readonly string[] = 'q',
): Promise<Worker> {
  const worker = makeWorker(functions, options, queues);
  void worker.work();
  await once(worker, 'listening');
  return worker;
}

const fieldsOf = ({ name }: Worker): Promise<Record<string, string>> =>
  redis.client.hgetall(`rq:worker:${name}`);

describe('a worker’s registration', () => {
  it('has the fields that RQ reads', async () => {
    const worker = await listening({ f: () => 1 }, {}, ['q', 'low']);
    const fields = await fieldsOf(worker);
    expect(fields).toMatchObject({
      queues: 'q,low',
      pid: String(process.pid),
      hostname: hostname(),
      version: VERSION,
      python_version: `node ${process.versions.node}`,
    });
    expect(fields['birth']).toMatch(TIMESTAMP);
    expect(fields['last_heartbeat']).toMatch(TIMESTAMP);
    expect(fields['ip_address']).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(fields['state']).toMatch(/^(started|idle)$/);
    const ttl = await redis.client.ttl(`rq:worker:${worker.name}`);
    expect(ttl).toBeGreaterThan(35);
    expect(ttl).toBeLessThanOrEqual(40);
  });

  it('is in RQ’s sets of workers', async () => {
    const { name } = await listening({ f: () => 1 }, {}, ['q', 'low']);
    for (const key of ['rq:workers', 'rq:workers:q', 'rq:workers:low']) {
      expect(await redis.client.smembers(key)).toEqual([`rq:worker:${name}`]);
    }
  });

  it('says idle while the worker waits', async () => {
    const worker = await listening();
    await expect.poll(() => fieldsOf(worker), soon).toMatchObject({ state: 'idle' });
    expect(await fieldsOf(worker)).not.toHaveProperty('current_job');
  });

  it('names the job that runs, and no job afterwards', async () => {
    let end: () => void = () => {};
    const worker = await listening({ f: () => new Promise<void>(resolve => (end = resolve)) });
    const job = await q.enqueue('f');
    await expect.poll(() => fieldsOf(worker), soon).toMatchObject({ state: 'busy', current_job: job.id });
    end();
    await expect.poll(() => fieldsOf(worker), soon).toMatchObject({ state: 'idle' });
    expect(await fieldsOf(worker)).not.toHaveProperty('current_job');
  });

  it('counts what finished and what failed, and the time it took', async () => {
    await q.enqueueMany([['f'], ['f'], ['fail'], ['f']]);
    const worker = new Worker('q', {
      connection: redis.url,
      functions: { f: () => sleep(20), fail: () => Promise.reject(new Error('x')) },
    });
    await worker.work({ burst: true });
    const fields = await fieldsOf(worker);
    expect(fields).toMatchObject({ successful_job_count: '3', failed_job_count: '1' });
    expect(Number(fields['total_working_time'])).toBeGreaterThan(0.055);
    // seconds, not milliseconds
    expect(Number(fields['total_working_time'])).toBeLessThan(20);
  });

  it('comes back after its hash was deleted', async () => {
    const worker = await listening({ f: () => 1 }, { lease: 3 });
    await redis.client.del(`rq:worker:${worker.name}`, 'rq:workers', 'rq:workers:q');
    await expect.poll(() => fieldsOf(worker), soon).toMatchObject({ queues: 'q', hostname: hostname() });
    expect(await redis.client.smembers('rq:workers')).toEqual([`rq:worker:${worker.name}`]);
    expect(await redis.client.smembers('rq:workers:q')).toEqual([`rq:worker:${worker.name}`]);
  });

  it('ends with the worker: death, 60 s, and no set holds it', async () => {
    const worker = await listening();
    await worker.stop();
    const fields = await fieldsOf(worker);
    expect(fields['death']).toMatch(TIMESTAMP);
    expect(fields).not.toHaveProperty('current_job');
    const ttl = await redis.client.ttl(`rq:worker:${worker.name}`);
    expect(ttl).toBeGreaterThan(55);
    expect(ttl).toBeLessThanOrEqual(60);
    expect(await redis.client.exists('rq:workers', 'rq:workers:q')).toBe(0);
  });

  it('has an end also where the last job ran when the worker was told to stop', async () => {
    const worker = await listening({ f: () => sleep(60_000) });
    const began = once(worker, 'jobStarted');
    await q.enqueue('f');
    await began;
    await worker.stop('cold');
    expect(await fieldsOf(worker)).not.toHaveProperty('current_job');
    expect(await fieldsOf(worker)).toHaveProperty('death');
  });
});

describe('the renewal of leases', () => {
  /** A job that runs until its signal is aborted, and why it was. */
  async function running(): Promise<{ worker: Worker; id: string; reason: () => unknown }> {
    let reason: unknown;
    const f = async (): Promise<void> => {
      const signal = getCurrentJob()?.signal;
      await sleep(60_000, undefined, signal ? { signal } : {}).finally(() => (reason = signal?.reason));
    };
    const worker = await listening({ f }, { lease: 3 });
    const began = once(worker, 'jobStarted');
    const { id } = await q.enqueue('f');
    await began;
    return { worker, id, reason: () => reason };
  }

  it('puts their end off while the job runs', async () => {
    await running();
    const [member = '', score = ''] = await redis.client.zrange('rq:wip:q', '0', '-1', 'WITHSCORES');
    await expect
      .poll(async () => Number(await redis.client.zscore('rq:wip:q', member)), soon)
      .toBeGreaterThan(Number(score) + 0.5);
  });

  it.each([
    ['deleted', (id: string) => redis.client.del(`rq:job:${id}`)],
    ['taken by another run', (id: string) => redis.client.hset(`rq:job:${id}`, 'execution_id', 'another')],
    ['queued again', (id: string) => redis.client.hset(`rq:job:${id}`, 'status', 'queued')],
  ])('aborts a job that was %s with LeaseLostError, and keeps nothing of it', async (_, change) => {
    const { worker, id, reason } = await running();
    const lost = once(worker, 'jobLost');
    await change(id);
    const before = await redis.client.hgetall(`rq:job:${id}`);
    expect((await lost)[0]).toMatchObject({ jobId: id, queue: 'q' });
    expect(reason()).toMatchObject({ name: 'LeaseLostError', code: 'RQ_LEASE_LOST', jobId: id });
    expect(await redis.client.hgetall(`rq:job:${id}`)).toEqual(before);
    expect(await redis.client.exists('rq:wip:q', 'rq:finished:q', 'rq:failed:q')).toBe(0);
  });

  it('is not needed where Job.cancel tells the worker', async () => {
    const { worker, id, reason } = await running();
    const lost = once(worker, 'jobLost');
    await (await q.fetchJob(id))?.cancel();
    expect((await lost)[0]).toMatchObject({ jobId: id });
    expect(reason()).toMatchObject({ code: 'RQ_LEASE_LOST' });
    expect(await redis.client.hget(`rq:job:${id}`, 'status')).toBe('canceled');
    expect(await redis.client.zrange('rq:canceled:q', '0', '-1')).toEqual([id]);
  });
});

describe('Heartbeat', () => {
  async function withHeartbeat(
    use: (heartbeat: Heartbeat, link: Link) => Promise<void>,
    hooks: Partial<HeartbeatHooks> = {},
  ): Promise<void> {
    const link = Link.own(redis.url);
    await link.ready();
    const heartbeat = new Heartbeat(new WorkerStore(new Keys(), 'w1', ['q']), link, {
      state: () => ({ state: 'idle', currentJob: '' }),
      runs: () => [],
      lost: () => {},
      stop: () => {},
      failed: () => {},
      ...hooks,
    });
    try {
      await use(heartbeat, link);
    } finally {
      await heartbeat.stop();
      link.close();
    }
  }

  it('is fresh once the worker is registered', () =>
    withHeartbeat(async heartbeat => {
      expect(heartbeat.fresh).toBe(false);
      await heartbeat.start();
      expect(heartbeat.fresh).toBe(true);
    }));

  it('can be stopped before it started, and leaves no trace then', () =>
    withHeartbeat(async heartbeat => {
      await heartbeat.stop();
      expect(await redis.client.keys('*')).toEqual([]);
    }));

  it('can be stopped twice', () =>
    withHeartbeat(async heartbeat => {
      await heartbeat.start();
      await heartbeat.stop();
      const fields = await redis.client.hgetall('rq:worker:w1');
      await heartbeat.stop();
      expect(await redis.client.hgetall('rq:worker:w1')).toEqual(fields);
    }));

  it('says what ended since the last report with its last one', () =>
    withHeartbeat(async heartbeat => {
      await heartbeat.start();
      heartbeat.count(true, 0.5);
      heartbeat.count(false, 0.25);
      await heartbeat.stop();
      expect(await redis.client.hgetall('rq:worker:w1')).toMatchObject({
        successful_job_count: '1',
        failed_job_count: '1',
        total_working_time: '0.75',
      });
    }));

  it('stops although Redis is gone', () =>
    withHeartbeat(async (heartbeat, link) => {
      await heartbeat.start();
      link.close();
      await expect(heartbeat.stop()).resolves.toBeUndefined();
    }));
});
