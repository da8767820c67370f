import { beforeEach, describe, expect, it } from 'vitest';
import { getCurrentJob } from '../../lib/index.ts';
import { Keys } from '../../lib/keys.ts';
import { ACL_ARGS, urlOf } from '../support/acl.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';
import { ask, samplesOf, scrape, served } from '../support/metrics.ts';
import { startRedis } from '../support/redis.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);
const metrics = { port: 0 };

/** What ends the job `hold`, once it runs. */
const gate: { open?: (() => void) | undefined } = {};
const functions = {
  ok: () => 'fine',
  fail: () => Promise.reject(new RangeError('too far')),
  hold: () =>
    new Promise<void>((resolve, reject) => {
      gate.open = resolve;
      const signal = getCurrentJob()?.signal;
      signal?.addEventListener('abort', () => reject(signal.reason as Error));
    }),
};

beforeEach(() => {
  gate.open = undefined;
});

describe('/metrics: jobs', () => {
  it('are counted by queue, function and outcome', async () => {
    const { url } = await served(makeWorker(functions, { metrics }));
    const jobs = await q.enqueueMany([['ok'], ['ok'], ['fail']]);
    await expect.poll(() => jobs[2].getStatus()).toBe('failed');
    const stopped = await q.enqueue('hold');
    await expect.poll(() => gate.open).toBeDefined();
    await stopped.stop();
    await expect.poll(() => stopped.getStatus()).toBe('stopped');
    await expect
      .poll(async () => samplesOf(await scrape(url), 'rq_jobs_total'))
      .toEqual({
        '{queue="q",function="ok",outcome="finished"}': 2,
        '{queue="q",function="fail",outcome="failed"}': 1,
        '{queue="q",function="hold",outcome="stopped"}': 1,
      });
  });

  it('have one label for all functions that the worker has not registered', async () => {
    const { url } = await served(makeWorker(functions, { metrics }));
    await q.enqueueMany(Array.from({ length: 20 }, (_, n) => [`made-up-${n}`] as const));
    await expect
      .poll(async () => samplesOf(await scrape(url), 'rq_jobs_total'))
      .toEqual({
        '{queue="q",function="not registered",outcome="failed"}': 20,
      });
  });

  it('have histograms of the time they waited, and ran', async () => {
    await q.enqueue('hold');
    const since = new Date(Date.now() - 40_000).toISOString();
    const [id = ''] = await q.getJobIds();
    await redis.client.hset(`rq:job:${id}`, 'enqueued_at', since);
    const { url } = await served(makeWorker(functions, { metrics }));
    await expect.poll(() => gate.open).toBeDefined();
    const began = performance.now();
    let samples = await scrape(url);
    const waited = samples.get('rq_job_wait_seconds_sum{queue="q"}');
    expect(waited).toBeGreaterThan(39.9);
    expect(waited).toBeLessThan(60);
    expect(samples.get('rq_job_wait_seconds_bucket{le="30",queue="q"}')).toBe(0);
    expect(samples.get('rq_job_wait_seconds_bucket{le="60",queue="q"}')).toBe(1);
    expect(samples.get('rq_worker_running_jobs')).toBe(1);

    while (performance.now() - began < 60) await new Promise(resolve => setImmediate(resolve));
    gate.open?.();
    const labels = '{queue="q",function="hold"}';
    await expect
      .poll(async () => (samples = await scrape(url)).get(`rq_job_duration_seconds_count${labels}`))
      .toBe(1);
    expect(samples.get(`rq_job_duration_seconds_sum${labels}`)).toBeGreaterThan(0.05);
    expect(samples.get('rq_job_duration_seconds_bucket{le="0.05",queue="q",function="hold"}')).toBe(0);
    expect(samples.get('rq_worker_running_jobs')).toBe(0);
  });

  it('that are retried are counted apart, each run with its time', async () => {
    const { url } = await served(makeWorker(functions, { metrics }));
    await q.enqueue('fail', [], { retry: { max: 2 } });
    await expect
      .poll(async () => samplesOf(await scrape(url), 'rq_jobs_total'))
      .toEqual({
        '{queue="q",function="fail",outcome="failed"}': 1,
      });
    const samples = await scrape(url);
    expect(samples.get('rq_job_retries_total{queue="q",function="fail"}')).toBe(2);
    expect(samples.get('rq_job_duration_seconds_count{queue="q",function="fail"}')).toBe(3);
  });

  it('of workers that died are counted when they are recovered, and when they are given up', async () => {
    for (const [id, recoveries] of [
      ['lost', '0'],
      ['given-up', '3'],
    ] as const) {
      await redis.client.hset(`rq:job:${id}`, {
        status: 'started',
        origin: 'q',
        data: '["ok",null,[],{}]',
        execution_id: 'n1',
        worker_name: 'dead',
        recoveries,
      });
      await redis.client.zadd('rq:wip:q', 1, `${id}:n1`);
    }
    const { url } = await served(makeWorker(functions, { metrics }));
    await expect
      .poll(async () => samplesOf(await scrape(url), 'rq_job_recoveries_total'))
      .toEqual({ '{queue="q"}': 1 });
    expect(samplesOf(await scrape(url), 'rq_jobs_abandoned_total')).toEqual({ '{queue="q"}': 1 });
  });
});

describe('/metrics: queues', () => {
  it('say what waits, how long the oldest has, and what is in the registries', async () => {
    const worker = makeWorker(functions, { metrics }, ['q', 'other']);
    // before the worker waits at the queue: a read that is under way would take one job off the list for a moment
    await q.pause();
    const { url } = await served(worker);
    const [first, dependency] = await q.enqueueMany([['ok'], ['ok']]);
    await q.enqueue('ok', [], { dependsOn: dependency });
    await q.enqueueIn('1h', 'ok');
    const since = new Date(Date.now() - 40_000).toISOString();
    await redis.client.hset(`rq:job:${first.id}`, 'enqueued_at', since);
    await redis.client.zadd('rq:failed:q', 'inf', 'a', 'inf', 'b');
    const samples = await scrape(url);
    expect(samplesOf(samples, 'rq_queue_length')).toEqual({ '{queue="q"}': 2, '{queue="other"}': 0 });
    const age = samples.get('rq_queue_oldest_age_seconds{queue="q"}');
    expect(age).toBeGreaterThan(39.9);
    expect(age).toBeLessThan(60);
    expect(samples.get('rq_queue_oldest_age_seconds{queue="other"}')).toBe(0);
    const registries = samplesOf(samples, 'rq_registry_jobs');
    expect(registries).toMatchObject({
      '{queue="q",registry="started"}': 0,
      '{queue="q",registry="scheduled"}': 1,
      '{queue="q",registry="deferred"}': 1,
      '{queue="q",registry="failed"}': 2,
      '{queue="other",registry="failed"}': 0,
    });
    expect(samples.get('rq_redis_up')).toBe(1);
    expect(samples.get('rq_worker_concurrency')).toBe(1);
  });

  it('say how many came and went a second, over the last minute', async () => {
    const keys = new Keys().queue('q');
    await q.pause();
    await q.enqueueMany(Array.from({ length: 60 }, () => ['ok'] as const));
    await redis.client.set(keys.taken, 30);
    await redis.client.rpush(keys.samples, `${Date.now() / 1000 - 30} 0 0`);
    const { url } = await served(makeWorker(functions, { metrics }));
    const samples = await scrape(url);
    expect(samples.get('rq_queue_arrivals_per_second{queue="q"}')).toBeCloseTo(3, 0);
    expect(samples.get('rq_queue_departures_per_second{queue="q"}')).toBeCloseTo(1, 0);
  });

  it('are left out, and a warning says why, where the user may not ask', async () => {
    const strict = await startRedis({ args: ACL_ARGS });
    try {
      await strict.client.call('ACL', 'SETUSER', 'rq-worker', '-get', '-lindex');
      const worker = makeWorker(functions, { connection: urlOf('rq-worker', strict.url), metrics });
      const warnings: string[] = [];
      worker.on('warning', text => warnings.push(text));
      const { url } = await served(worker);
      for (let i = 0; i < 2; i++) {
        const samples = await scrape(url);
        expect(samples.get('rq_redis_up')).toBe(0);
        expect(samplesOf(samples, 'rq_queue_length')).toEqual({});
      }
      expect(warnings).toEqual([
        expect.stringMatching(/^Metrics say nothing of queue q: Redis refused to read stats/),
      ]);

      await strict.client.call('ACL', 'SETUSER', 'rq-worker', '+get', '+lindex');
      expect(samplesOf(await scrape(url), 'rq_queue_length')).toEqual({ '{queue="q"}': 0 });
      await worker.stop();
    } finally {
      await strict.stop();
    }
  });

  it('are left out where one of their keys has a wrong type, and no other queue with them', async () => {
    const worker = makeWorker(functions, { metrics }, ['q', 'odd']);
    const warnings: string[] = [];
    worker.on('warning', text => warnings.push(text));
    const { url } = await served(worker);
    await redis.client.set('rq:failed:odd', 'something else');
    for (let i = 0; i < 2; i++) {
      const samples = await scrape(url);
      expect(samples.get('rq_redis_up')).toBe(1);
      expect(samplesOf(samples, 'rq_queue_length')).toEqual({ '{queue="q"}': 0 });
    }
    expect(warnings).toEqual([expect.stringMatching(/^Metrics say nothing of queue odd: .*WRONGTYPE/)]);
  });
});

describe('/metrics', () => {
  it('has the round trips of the worker’s calls, and the lag of its event loop', async () => {
    const { url } = await served(makeWorker(functions, { metrics }));
    const job = await q.enqueue('ok');
    await job.wait();
    const samples = await scrape(url);
    for (const call of ['advance', 'heartbeat', 'sweep']) {
      const count = samples.get(`rq_redis_call_duration_seconds_count{call="${call}"}`);
      const sum = samples.get(`rq_redis_call_duration_seconds_sum{call="${call}"}`);
      expect(count).toBeGreaterThan(0);
      expect(sum).toBeGreaterThan(0);
    }
    expect(samplesOf(samples, 'rq_redis_call_errors_total')).toEqual({});
    expect(samples.has('nodejs_eventloop_lag_seconds')).toBe(true);
    expect(samples.has('nodejs_eventloop_lag_p99_seconds')).toBe(true);
  });

  it('is Prometheus’ text: each metric with its help and type, named by the conventions', async () => {
    const { url } = await served(makeWorker(functions, { metrics }));
    await (await q.enqueue('ok')).wait();
    const response = await fetch(`${url}/metrics?any=query`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await response.text();
    const types = [...text.matchAll(/^# TYPE (\S+) (\w+)$/gm)];
    const own = types.filter(([, name = '']) => name.startsWith('rq_'));
    expect(own).toHaveLength(16);
    for (const [, name = '', type = ''] of own) {
      expect(text).toContain(`# HELP ${name} `);
      expect(name.endsWith('_total')).toBe(type === 'counter');
      expect(type !== 'histogram' || name.endsWith('_seconds')).toBe(true);
    }
    expect(text.match(/^\w+\{?.*$/gm)?.length).toBeGreaterThan(own.length);
  });

  it('counts each worker of a process by itself', async () => {
    const [one, two] = [makeWorker(functions, { metrics }), makeWorker(functions, { metrics }, 'other')];
    const [{ url }, { url: otherUrl }] = [await served(one), await served(two)];
    await (await q.enqueue('ok')).wait();
    await expect.poll(async () => samplesOf(await scrape(url), 'rq_jobs_total')).not.toEqual({});
    expect(samplesOf(await scrape(otherUrl), 'rq_jobs_total')).toEqual({});
    expect(samplesOf(await scrape(otherUrl), 'rq_queue_length')).toEqual({ '{queue="other"}': 0 });
  });

  it('goes on counting beside a listener that throws', async () => {
    const worker = makeWorker(functions, { metrics });
    worker
      .on('jobFinished', () => {
        throw new Error('broken listener');
      })
      .on('error', () => {});
    const { url } = await served(worker);
    await (await q.enqueue('ok')).wait();
    await expect
      .poll(async () => samplesOf(await scrape(url), 'rq_jobs_total'))
      .toEqual({ '{queue="q",function="ok",outcome="finished"}': 1 });
  });
});

describe('the port of the metrics', () => {
  it('has nothing else: 404, and 405 for what is no GET', async () => {
    const { url } = await served(makeWorker(functions, { metrics }));
    expect(await ask(url, '/')).toEqual([404, '/metrics, /healthz and /readyz\n']);
    expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(405);
    const head = await fetch(`${url}/healthz`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('is of 127.0.0.1, and closed when the worker has stopped', async () => {
    const worker = makeWorker(functions, { metrics });
    const { url, working } = await served(worker);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    await expect.poll(() => ask(url, '/readyz')).toEqual([200, 'ok\n']);
    await worker.stop();
    await working;
    await expect(ask(url, '/healthz')).rejects.toThrow('fetch failed');
  });

  it('is of another address where one is named', async () => {
    const { url } = await served(makeWorker(functions, { metrics: { port: 0, host: '::1' } }));
    expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/);
    expect(await ask(url, '/healthz')).toEqual([200, 'ok\n']);
  });
});
