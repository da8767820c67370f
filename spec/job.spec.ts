/** A handle on a job: its fields, and what it asks and writes without moving the job. */
import { deflateSync } from 'node:zlib';
import { describe, expect, it, vi } from 'vitest';
import { InvalidJobError, InvalidJobOperationError, NoSuchJobError } from '../lib/errors.ts';
import type { Job } from '../lib/job.ts';
import { Worker } from '../lib/worker/worker.ts';
import { useQueue, useRedis } from './support/in-process.ts';
import * as tasks from './support/tasks.js';

const redis = useRedis();
const q = useQueue(redis);

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);

async function written(fields: Record<string, string | Buffer>): Promise<Job> {
  await redis.client.hset('rq:job:a', { status: 'queued', data: '["f",null,[],{}]', ...fields });
  return (await q.fetchJob('a')) as Job;
}

describe('Job’s fields', () => {
  it('are those of RQ, in camelCase', async () => {
    const job = await written({
      data: '["mail.send",null,["a",{"b":[]}],{"c":1}]',
      origin: 'mail',
      status: 'failed',
      description: 'a mail',
      meta: '{"m":[1]}',
      created_at: '2026-01-02T03:04:05.678901Z',
      enqueued_at: '2026-01-02T03:04:06.000000Z',
      started_at: '2026-01-02T03:04:07.5Z',
      ended_at: '2026-01-02T03:04:08Z',
      worker_name: 'w1',
      timeout: '180',
      ttl: '60',
      result_ttl: '500',
      failure_ttl: '-1',
      retries_left: '2',
      dependency_id: 'd1',
      dependency_ids: '["d1","d2"]',
    });
    expect(job).toMatchObject({
      id: 'a',
      origin: 'mail',
      status: 'failed',
      functionName: 'mail.send',
      args: ['a', { b: [] }],
      kwargs: { c: 1 },
      description: 'a mail',
      meta: { m: [1] },
      createdAt: new Date('2026-01-02T03:04:05.678Z'),
      enqueuedAt: new Date('2026-01-02T03:04:06Z'),
      startedAt: new Date('2026-01-02T03:04:07.5Z'),
      endedAt: new Date('2026-01-02T03:04:08Z'),
      workerName: 'w1',
      timeout: 180,
      ttl: 60,
      resultTtl: 500,
      failureTtl: -1,
      retriesLeft: 2,
      dependencyIds: ['d1', 'd2'],
    });
  });

  it('are absent where Python wrote nothing, or an empty text', async () => {
    const empty = { started_at: '', ended_at: '', worker_name: '', ttl: '', result_ttl: '', meta: '' };
    for (const job of [await written({}), await written(empty)]) {
      const { startedAt, endedAt, workerName, ttl, resultTtl, retriesLeft } = job;
      const values = [startedAt, endedAt, workerName, ttl, resultTtl, retriesLeft];
      expect(values.filter(value => value !== undefined)).toEqual([]);
      expect(job.meta).toEqual({});
      expect(job.dependencyIds).toEqual([]);
    }
  });

  it('are read from Python’s compressed data', async () => {
    const job = await written({ data: deflateSync('["add",null,[1,2],{"k":"ä"}]') });
    expect([job.functionName, job.args, job.kwargs]).toEqual(['add', [1, 2], { k: 'ä' }]);
  });

  it('say what is wrong with data that can’t be read', async () => {
    const pickle = await written({ data: Buffer.from([0x80, 0x05, 0x95]) });
    expect(() => pickle.functionName).toThrow(InvalidJobError);
    expect(() => pickle.args).toThrow(/pickle/);
    const other = await written({ data: '{"f":1}' });
    expect(() => other.kwargs).toThrow(/not of the form/);
    const number = await written({ timeout: '5m' });
    expect(() => number.timeout).toThrow(/timeout is not a whole number: "5m"/);
  });

  it('are those of an ended job after a real run', async () => {
    const { id } = await q.enqueue('add', [1, 2]);
    const worker = new Worker('default', { connection: redis.url, functions: tasks, name: 'w1' });
    await worker.work({ burst: true });
    const job = (await q.fetchJob(id)) as Job;
    expect(job).toMatchObject({ status: 'finished', workerName: 'w1' });
    const times = [job.createdAt, job.enqueuedAt, job.startedAt, job.endedAt].map(
      time => time?.getTime() ?? NaN,
    );
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(Math.abs((times[3] ?? NaN) - Date.now())).toBeLessThan(5000);
  });
});

describe('Job.status and Job.getStatus', () => {
  it('tell what was seen last, and what is', async () => {
    const job = await q.enqueue('add', [1, 2]);
    await redis.client.hset(`rq:job:${job.id}`, 'status', 'started');
    expect(job.status).toBe('queued');
    expect(await job.getStatus()).toBe('started');
    expect(job.status).toBe('started');
  });

  it('reject once the job is gone', async () => {
    const job = await q.enqueue('add', [1, 2]);
    await redis.client.del(`rq:job:${job.id}`);
    await expect(job.getStatus()).rejects.toThrow(NoSuchJobError);
    await expect(job.getStatus()).rejects.toMatchObject({ code: 'RQ_NO_SUCH_JOB', jobId: job.id });
  });
});

describe('Job.isEnded', () => {
  it.each([
    ['queued', false],
    ['started', false],
    ['deferred', false],
    ['scheduled', false],
    ['finished', true],
    ['failed', true],
    ['stopped', true],
    ['canceled', true],
  ])('of a job that is %s is %s', async (status, ended) => {
    expect(await (await written({ status })).isEnded()).toBe(ended);
  });

  it('of a job that is gone is true', async () => {
    const job = await written({});
    await redis.client.del('rq:job:a');
    expect(await job.isEnded()).toBe(true);
  });
});

describe('Job.refresh', () => {
  it('reads all fields anew, and gives the handle back', async () => {
    const job = await q.enqueue('add', [1, 2], { meta: { a: 1 } });
    job.meta['mine'] = true;
    await redis.client.hset(`rq:job:${job.id}`, { status: 'started', worker_name: 'w', meta: '{"a":2}' });
    expect(await job.refresh()).toBe(job);
    expect(job).toMatchObject({ status: 'started', workerName: 'w', meta: { a: 2 } });
  });

  it('rejects once the job is gone', async () => {
    const job = await q.enqueue('add', [1, 2]);
    await job.delete();
    await expect(job.refresh()).rejects.toThrow(NoSuchJobError);
  });
});

describe('Job.saveMeta', () => {
  it('writes what was changed in place, and what was set', async () => {
    const job = await q.enqueue('f', [], { meta: { a: 1 } });
    job.meta['b'] = [2];
    await job.saveMeta();
    expect((await hash(job.id))['meta']).toBe('{"a":1,"b":[2]}');
    job.meta = { c: null };
    await job.saveMeta();
    expect((await hash(job.id))['meta']).toBe('{"c":null}');
  });

  it('changes no other field, and no lifetime', async () => {
    const job = await q.enqueue('f', [], { ttl: 1000 });
    const before = await hash(job.id);
    job.meta['a'] = 1;
    await job.saveMeta();
    expect(await hash(job.id)).toEqual({ ...before, meta: '{"a":1}' });
    expect(await redis.client.ttl(`rq:job:${job.id}`)).toBeGreaterThan(990);
  });

  it('never brings a deleted job back', async () => {
    const job = await q.enqueue('f', []);
    await job.delete();
    job.meta['a'] = 1;
    await expect(job.saveMeta()).rejects.toThrow(NoSuchJobError);
    expect(await redis.client.exists(`rq:job:${job.id}`)).toBe(0);
  });

  it('refuses what is not JSON', async () => {
    const job = await q.enqueue('f', []);
    job.meta['when'] = new Date();
    await expect(job.saveMeta()).rejects.toThrow('meta.when is a Date');
    job.meta = [] as unknown as Record<string, unknown>;
    await expect(job.saveMeta()).rejects.toThrow(/meta must be an object/);
    expect(await hash(job.id)).not.toHaveProperty('meta');
  });
});

describe('Job.stop', () => {
  it('ends a job that runs, and makes it stopped', async () => {
    const worker = new Worker('default', { connection: redis.url, functions: tasks });
    const job = await q.enqueue('waitForAbort', [20_000]);
    const started = new Promise(resolve => worker.once('jobStarted', resolve));
    const work = worker.work({ maxJobs: 1 });
    await started;
    await job.stop();
    await work;
    await expect(job.result).rejects.toMatchObject({ code: 'RQ_JOB_STOPPED', jobId: job.id });
    expect(job.status).toBe('stopped');
    expect(await redis.client.zrange('rq:failed:default', '0', '-1')).toEqual([job.id]);
    expect(await redis.client.exists('rq:wip:default', 'rq:queue:default')).toBe(0);
  });

  it('sends the command that Python’s workers know', async () => {
    await redis.client.hset('rq:job:a', { status: 'started', origin: 'default', worker_name: 'python-1' });
    const listener = redis.client.duplicate();
    const heard: string[] = [];
    listener.on('message', (_: string, text: string) => heard.push(text));
    await listener.subscribe('rq:pubsub:python-1');
    await ((await q.fetchJob('a')) as Job).stop();
    await vi.waitFor(() => expect(heard).toHaveLength(1), { timeout: 10_000, interval: 10 });
    expect(JSON.parse(heard[0] ?? '')).toEqual({ command: 'stop-job', job_id: 'a' });
    listener.disconnect();
  });

  it.each(['queued', 'finished', 'failed', 'stopped', 'canceled', 'deferred', 'scheduled'])(
    'refuses a job that is %s',
    async status => {
      const job = await written({ status, worker_name: 'w' });
      await expect(job.stop()).rejects.toThrow(InvalidJobOperationError);
      await expect(job.stop()).rejects.toThrow(`it is ${status}`);
      expect(await hash('a')).toMatchObject({ status });
    },
  );

  it('refuses where no worker hears it', async () => {
    const job = await written({ status: 'started', worker_name: 'dead' });
    await expect(job.stop()).rejects.toThrow(/worker dead does not listen/);
  });

  it('rejects once the job is gone', async () => {
    const job = await written({});
    await redis.client.del('rq:job:a');
    await expect(job.stop()).rejects.toThrow(NoSuchJobError);
  });
});
