import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { deflateSync, inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Queue } from '../../lib/queue.ts';
import type { WorkerOptions } from '../../lib/worker/settings.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);

describe('Worker: results', () => {
  it('go into the hash of a job of ours, and nowhere else', async () => {
    const job = await q.enqueue('sum', [[42, 43]]);
    await makeWorker({ sum: (numbers: number[]) => numbers.reduce((a, b) => a + b, 0) }).work({
      burst: true,
    });
    expect(await hash(job.id)).toMatchObject({ status: 'finished', result: '85' });
    expect(await redis.client.exists(`rq:results:${job.id}`)).toBe(0);
    expect(await redis.client.zrange('rq:finished:q', '0', '-1')).toEqual([job.id]);
    expect(await redis.client.exists('rq:queue:q', 'rq:wip:q')).toBe(0);
    expect(await job.result).toBe(85);
  });

  async function pythons(id: string, call: readonly unknown[]): Promise<Record<string, string>> {
    const data = deflateSync(JSON.stringify(call));
    await redis.client.hset(`rq:job:${id}`, { status: 'queued', origin: 'q', description: 'x', data });
    await redis.client.rpush('rq:queue:q', id);
    const worker = makeWorker({
      add: (a: number, { b }: { b: number }) => a + b,
      fail: () => Promise.reject(new RangeError('too far')),
    });
    await worker.work({ burst: true });
    const entries = await redis.client.xrange(`rq:results:${id}`, '-', '+');
    expect(entries).toHaveLength(1);
    const flat = entries[0]?.[1] ?? [];
    const entry = Object.fromEntries(flat.flatMap((name, i) => (i % 2 ? [] : [[name, flat[i + 1] ?? '']])));
    expect(entry).toMatchObject({
      worker_name: worker.name,
      execution_id: (await hash(id))['execution_id'] ?? 'none',
    });
    return entry;
  }

  it('go also into the stream where Python wrote the job', async () => {
    const entry = await pythons('py', ['add', null, [40], { b: 2 }]);
    expect(entry['type']).toBe('1');
    expect(Buffer.from(entry['return_value'] ?? '', 'base64').toString()).toBe('42');
    expect(await hash('py')).toMatchObject({ status: 'finished', result: '42' });
  });

  it('of a failure go into that stream as well', async () => {
    const entry = await pythons('py', ['fail', null, [], {}]);
    expect(entry['type']).toBe('2');
    const text = inflateSync(Buffer.from(entry['exc_string'] ?? '', 'base64')).toString();
    expect(text).toMatch(/^RangeError: too far\n/);
    expect((await hash('py'))['exc_info']).toBe(text);
  });

  it('are kept for 500 s, or as long as the worker or the job says', async () => {
    const [first, second] = await q.enqueueMany([['f'], ['f', [], { resultTtl: 7 }]]);
    await makeWorker({ f: () => 1 }).work({ burst: true });
    expect(Math.abs((await redis.client.ttl(`rq:job:${first.id}`)) - 500)).toBeLessThan(6);
    expect(Math.abs((await redis.client.ttl(`rq:job:${second.id}`)) - 7)).toBeLessThan(6);
    const third = await q.enqueue('f');
    await makeWorker({ f: () => 1 }, { resultTtl: '1m' }).work({ burst: true });
    expect(Math.abs((await redis.client.ttl(`rq:job:${third.id}`)) - 60)).toBeLessThan(6);
  });

  it('with resultTtl 0 leave nothing, and with -1 stay', async () => {
    const [gone, kept] = await q.enqueueMany([
      ['f', [], { resultTtl: 0 }],
      ['f', [], { resultTtl: -1 }],
    ]);
    await makeWorker({ f: () => 1 }).work({ burst: true });
    expect(await redis.client.exists(`rq:job:${gone.id}`)).toBe(0);
    expect(await redis.client.ttl(`rq:job:${kept.id}`)).toBe(-1);
    expect(await redis.client.zrange('rq:finished:q', '0', '-1', 'WITHSCORES')).toEqual([kept.id, 'inf']);
  });
});

describe('Worker: failures', () => {
  it('are stored as text, for 30 days', async () => {
    const job = await q.enqueue('fail');
    await makeWorker({ fail: () => Promise.reject(new TypeError('no such thing')) }).work({ burst: true });
    const fields = await hash(job.id);
    expect(fields).toMatchObject({ status: 'failed' });
    expect(fields['exc_info']).toMatch(/^TypeError: no such thing\n {4}at /);
    expect(await redis.client.zrange('rq:failed:q', '0', '-1')).toEqual([job.id]);
    expect(Math.abs((await redis.client.ttl(`rq:job:${job.id}`)) - 30 * 24 * 3600)).toBeLessThan(5);
  });

  it('are kept as long as the job says', async () => {
    const job = await q.enqueue('fail', [], { failureTtl: '1m' });
    await makeWorker({ fail: () => Promise.reject(new Error('x')) }).work({ burst: true });
    expect(Math.abs((await redis.client.ttl(`rq:job:${job.id}`)) - 60)).toBeLessThan(6);
  });

  it('of a function that is not registered list those that are', async () => {
    const job = await q.enqueue('missing');
    await makeWorker({ b: () => 1, a: () => 2 }).work({ burst: true });
    expect((await hash(job.id))['exc_info']).toBe(
      `FunctionNotRegisteredError: Function 'missing' of job ${job.id} is not registered with this worker (registered are: a, b)`,
    );
  });

  it('do not keep the next job from running', async () => {
    const [, second] = await q.enqueueMany([['fail'], ['ok']]);
    await makeWorker({ fail: () => Promise.reject(new Error('x')), ok: () => 1 }).work({ burst: true });
    expect(await second.result).toBe(1);
  });
});

describe('Worker: limits', () => {
  it('aborts the signal of a job that exceeds its timeout, and fails it', async () => {
    const { getCurrentJob } = await import('../../lib/current-job.ts');
    const job = await q.enqueue('slow', [], { timeout: 1 });
    let reason: unknown;
    const slow = async (): Promise<string> => {
      const signal = getCurrentJob()?.signal;
      await sleep(20_000, undefined, signal ? { signal } : {}).catch(() => (reason = signal?.reason));
      return 'returned all the same';
    };
    await makeWorker({ slow }).work({ burst: true });
    expect(reason).toMatchObject({ code: 'RQ_JOB_TIMEOUT', jobId: job.id });
    expect(await hash(job.id)).toMatchObject({
      status: 'failed',
      exc_info: `JobTimeoutError: Job ${job.id} exceeded its timeout of 1 s`,
    });
  });

  it('gives up the slot of a function that does not end after its timeout', async () => {
    const [job, next] = await q.enqueueMany([['stubborn', [], { timeout: 1 }], ['ok']]);
    const worker = makeWorker({ stubborn: () => sleep(60_000), ok: () => 1 }, { grace: 0.05 });
    const overdue: string[] = [];
    worker.on('jobOverdue', ({ jobId }) => overdue.push(jobId));
    await worker.work({ burst: true });
    expect(overdue).toEqual([job.id]);
    expect(await hash(job.id)).toMatchObject({ status: 'failed' });
    expect(await next.result).toBe(1);
  });
});

describe('Worker: concurrency', () => {
  it.each([1, 2, 3, 7])('runs %i jobs at a time, and never more', async concurrency => {
    let [running, most, ran] = [0, 0, 0];
    const f = async (): Promise<void> => {
      most = Math.max(most, ++running);
      ran++;
      await sleep(5);
      running--;
    };
    await q.enqueueMany(Array.from({ length: concurrency * 6 }, () => ['f'] as const));
    await makeWorker({ f }, { concurrency }).work({ burst: true });
    expect(most).toBe(concurrency);
    expect(ran).toBe(concurrency * 6);
  });

  it('fills its slots with jobs that come while others run', async () => {
    let [running, most] = [0, 0];
    let end: () => void = () => {};
    const ended = new Promise<void>(resolve => (end = resolve));
    const f = async (): Promise<void> => {
      most = Math.max(most, ++running);
      await ended;
    };
    const worker = makeWorker({ f }, { concurrency: 3 });
    void worker.work();
    await once(worker, 'listening');
    for (let i = 1; i <= 3; i++) {
      await q.enqueue('f');
      await expect.poll(() => running, { interval: 10 }).toBe(i);
    }
    await q.enqueue('f');
    await expect.poll(() => q.count(), { interval: 10 }).toBe(1);
    expect(most).toBe(3);
    end();
    await expect.poll(() => running, { interval: 10 }).toBe(4);
  });

  it('runs a thousand jobs once each', async () => {
    const seen = new Map<number, number>();
    await q.enqueueMany(Array.from({ length: 1000 }, (_, i) => ['f', [i]] as const));
    const f = (i: number): void => void seen.set(i, (seen.get(i) ?? 0) + 1);
    await makeWorker({ f }, { concurrency: 50 }).work({ burst: true });
    expect(seen.size).toBe(1000);
    expect(new Set(seen.values())).toEqual(new Set([1]));
    expect(await redis.client.zcard('rq:finished:q')).toBe(1000);
  });
});

describe('Worker: the order of its queues', () => {
  async function order(options: Partial<WorkerOptions>): Promise<string[]> {
    const low = new Queue('low', { connection: redis.url });
    const taken: string[] = [];
    await low.enqueueMany([
      ['f', ['l1']],
      ['f', ['l2']],
    ]);
    await q.enqueueMany([
      ['f', ['h1']],
      ['f', ['h2']],
    ]);
    await low.close();
    const f = (name: string): void => void taken.push(name);
    await makeWorker({ f }, options, ['q', 'low']).work({ burst: true });
    return taken;
  }

  it('is their priority by default', async () => {
    expect(await order({})).toEqual(['h1', 'h2', 'l1', 'l2']);
  });

  it('is in turn with round_robin', async () => {
    expect(await order({ dequeueStrategy: 'round_robin' })).toEqual(['h1', 'l1', 'h2', 'l2']);
  });

  it('is by chance with random, each job once', async () => {
    const taken = await order({ dequeueStrategy: 'random' });
    expect(taken.toSorted()).toEqual(['h1', 'h2', 'l1', 'l2']);
    expect(taken.indexOf('h1')).toBeLessThan(taken.indexOf('h2'));
  });
});

describe('Worker with a prefix', () => {
  it('touches no key without it', async () => {
    const other = new Queue('q', { connection: redis.url, prefix: 'other' });
    const job = await other.enqueue('f');
    const worker = makeWorker({ f: () => 'ok' }, { prefix: 'other' });
    await worker.work({ burst: true });
    expect(await job.result).toBe('ok');
    expect((await redis.client.keys('*')).filter(key => !key.startsWith('other:'))).toEqual([]);
    await other.close();
  });
});
