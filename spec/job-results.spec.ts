import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { getCurrentJob } from '../lib/current-job.ts';
import { InvalidJobError, NoSuchJobError, RqError } from '../lib/errors.ts';
import type { Job } from '../lib/job.ts';
import { Keys } from '../lib/keys.ts';
import type { JobResult } from '../lib/results.ts';
import { Retry } from '../lib/retry.ts';
import { WorkerStore } from '../lib/worker-store.ts';
import { useLink, useQueue, useRedis, useWorkers } from './support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
const types = (results: readonly JobResult[]): string[] => results.map(({ type }) => type);
const messages = (results: readonly JobResult[]): (string | undefined)[] =>
  results.map(({ error }) => error?.message);

/** Runs all there is with a function that fails until its run of this number. */
async function work(well: number, name: string = 'w1'): Promise<void> {
  let runs = 0;
  const f = (): string => {
    runs++;
    if (runs < well) throw new RangeError(`run ${runs}`);
    return `run ${runs}`;
  };
  await makeWorker({ f }, { name }).work({ burst: true });
}

/** A job as its hash holds it. */
async function written(fields: Readonly<Record<string, string | Buffer>>): Promise<Job> {
  await redis.client.hset('rq:job:a', { data: '["f",null,[],{}]', origin: 'q', ...fields });
  return (await q.fetchJob('a')) as Job;
}

/** An entry as Python's workers write it. */
async function streamed(
  ms: number,
  type: number,
  what: { readonly value?: string; readonly error?: string; readonly run?: string } = {},
): Promise<void> {
  const { value, error, run = `py${ms}` } = what;
  const fields = ['type', String(type), 'worker_name', 'python', 'execution_id', run];
  if (value !== undefined) fields.push('return_value', Buffer.from(value).toString('base64'));
  if (error !== undefined) fields.push('exc_string', deflateSync(error).toString('base64'));
  await redis.client.xadd('rq:results:a', `${ms}-0`, ...fields);
}

const EARLIER = {
  at: '2026-01-02T03:04:05.678901Z',
  worker: 'w9',
  error: 'TypeError: no\n    at f',
  run: 'n9',
};

describe('Job.results', () => {
  it('are none before the job has run, and while it runs', async () => {
    const job = await q.enqueue('f');
    expect(await job.results()).toEqual([]);
    let meanwhile: JobResult[] | undefined;
    const f = async (): Promise<void> => {
      meanwhile = await job.results();
    };
    await makeWorker({ f }).work({ burst: true });
    expect(meanwhile).toEqual([]);
  });

  it('are one where the job ran once, with its value, worker, run and time', async () => {
    const job = await q.enqueue('f');
    await work(1);
    const { ended_at: endedAt = '' } = await hash(job.id);
    expect(await job.results()).toEqual([
      {
        type: 'successful',
        createdAt: new Date(endedAt),
        workerName: 'w1',
        executionId: (await hash(job.id))['execution_id'],
        returnValue: 'run 1',
      },
    ]);
  });

  it('have null for a function that gave nothing', async () => {
    const job = await q.enqueue('f');
    await makeWorker({ f: () => {} }).work({ burst: true });
    expect(await job.results()).toMatchObject([{ type: 'successful', returnValue: null }]);
  });

  it('are the failures, and then what came well, newest first', async () => {
    const job = await q.enqueue('f', [], { retry: { max: 5 } });
    const before = Date.now();
    await work(3);
    const results = await job.results();
    expect(types(results)).toEqual(['successful', 'failed', 'failed']);
    expect(messages(results)).toEqual([undefined, 'run 2', 'run 1']);
    expect(results[0]).not.toHaveProperty('error');
    expect(results[1]).not.toHaveProperty('returnValue');
    expect(results[1]?.error).toMatchObject({ name: 'RangeError', message: 'run 2' });
    expect(results[1]?.error?.stack).toMatch(/^RangeError: run 2\n {4}at /);
    expect(results.map(({ workerName }) => workerName)).toEqual(['w1', 'w1', 'w1']);
    const ids = new Set(results.map(({ executionId }) => executionId));
    expect([...ids]).toEqual(Array.from({ length: 3 }, () => expect.stringMatching(/^n.{31}$/) as string));
    const times = results.map(({ createdAt }) => Number(createdAt) - before);
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    for (const time of times) expect(Math.abs(time)).toBeLessThan(5000);
  });

  it('name the worker of each run', async () => {
    const job = await q.enqueue('f');
    await work(9, 'first');
    await job.requeue();
    await work(9, 'second');
    await job.requeue();
    await work(1, 'third');
    expect((await job.results()).map(({ type, workerName }) => [type, workerName])).toEqual([
      ['successful', 'third'],
      ['failed', 'second'],
      ['failed', 'first'],
    ]);
  });

  it('are there while the job waits for its next run', async () => {
    const job = await q.enqueue('f', [], { retry: { max: 1, interval: 60 } });
    await work(9);
    expect(await hash(job.id)).toMatchObject({ status: 'scheduled' });
    expect(messages(await job.results())).toEqual(['run 1']);
  });

  it('have the runs that asked for another, with the cause', async () => {
    const job = await q.enqueue('f');
    const f = (): never => {
      throw new Retry({ max: 1, cause: new Error('429') });
    };
    await makeWorker({ f }).work({ burst: true });
    const results = await job.results();
    expect(results).toHaveLength(2);
    for (const { error } of results) {
      expect(error).toMatchObject({ name: 'Retry', message: 'The job asked to run again at once' });
      expect(error?.stack).toContain('[cause]: Error: 429');
    }
  });

  it('say that a run was stopped, and stay where the job is queued again', async () => {
    const job = await q.enqueue('f');
    const f = async (): Promise<void> => {
      const { signal } = getCurrentJob() ?? {};
      const stopped = new Promise((_, reject) =>
        signal?.addEventListener('abort', () => reject(signal.reason as Error)),
      );
      await Promise.all([job.stop(), stopped]);
    };
    const worker = makeWorker({ f });
    await worker.work({ burst: true });
    expect(await hash(job.id)).toMatchObject({ status: 'stopped' });
    const stopped = { type: 'stopped', workerName: worker.name, error: { name: 'StopRequestedError' } };
    expect(await job.results()).toMatchObject([stopped]);
    await job.requeue();
    expect(await job.results()).toMatchObject([stopped]);
    await work(1);
    expect(await job.results()).toMatchObject([{ type: 'successful' }, stopped]);
  });

  it('have the runs that workers left behind', async () => {
    const job = await q.enqueue('f');
    const runs: string[] = [];
    for (const name of ['lost1', 'lost2']) {
      const store = new WorkerStore(new Keys(), name, ['q'], { maxRecoveries: 1 });
      const request = {
        handIns: [],
        want: 1,
        claims: new Set<number>(),
        strategy: 'default',
        single: true,
      } as const;
      const [run] = (await store.advance(link.redis, request)).jobs;
      runs.unshift(run?.executionId ?? '');
      await redis.client.zadd('rq:wip:q', 1, `${job.id}:${runs[0]}`);
      await store.sweep(link.redis, 0, true);
    }
    const results = await job.results();
    expect(results.map(({ executionId }) => executionId)).toEqual(runs);
    expect(results).toMatchObject([
      { type: 'failed', workerName: 'lost2', error: { name: 'AbandonedJobError' } },
      { type: 'failed', workerName: 'lost1', error: { name: 'AbandonedJobError' } },
    ]);
    for (const { createdAt } of results)
      expect(Math.abs(Number(createdAt) - Date.now())).toBeLessThan(60_000);
  });

  it('keep ten errors beside the last run', async () => {
    const job = await q.enqueue('f', [], { retry: { max: 12 } });
    await work(13);
    const results = await job.results();
    expect(results[0]).toMatchObject({ type: 'successful', returnValue: 'run 13' });
    expect(messages(results.slice(1))).toEqual(Array.from({ length: 10 }, (_, n) => `run ${12 - n}`));
  });

  it.each([
    ['within none', 'x'.repeat(10_000), 4096],
    ['within one of two bytes', `x${'é'.repeat(5000)}`, 4095],
    ['within one of three bytes', `x${'☂'.repeat(5000)}`, 4094],
    ['within one of four bytes', `xx${'😀'.repeat(5000)}`, 4094],
  ])('have 4096 bytes of an earlier error, cut %s', async (_, message, bytes) => {
    const text = `EE: ${message}`;
    const job = await written({ status: 'failed', exc_info: text, ended_at: EARLIER.at, worker_name: 'w1' });
    await job.requeue();
    const [result] = await job.results();
    const kept = result?.error?.stack ?? '';
    expect(text.startsWith(kept)).toBe(true);
    expect(Buffer.byteLength(kept)).toBe(bytes);
  });

  it('have the whole error of the last run', async () => {
    const text = `Error: ${'x'.repeat(10_000)}`;
    const job = await written({ status: 'failed', exc_info: text });
    expect((await job.results())[0]?.error?.stack).toBe(text);
  });

  it('refuse a result that is not JSON', async () => {
    const job = await written({ status: 'finished', result: '{' });
    await expect(job.results()).rejects.toThrow(InvalidJobError);
    await expect(job.results()).rejects.toThrow(/Job a is not valid: its result is not JSON/);
  });

  it('of a job that is gone are refused', async () => {
    const job = await q.enqueue('f');
    await job.delete();
    await expect(job.results()).rejects.toThrow(new NoSuchJobError(job.id));
  });

  it('of what is no job are refused by Redis', async () => {
    const job = await q.enqueue('f');
    await redis.client.del(`rq:job:${job.id}`);
    await redis.client.lpush(`rq:job:${job.id}`, 'x');
    await expect(job.results()).rejects.toThrow(RqError);
  });
});

describe('Job.results, where the hash is not as we write it', () => {
  it.each(['{', '7', 'null', '"text"', '{"a":1}', '[1,"text",null,[]]', ''])(
    'pass over a field errors that is %j',
    async errors => {
      const job = await written({ status: 'finished', result: '1', execution_id: 'n1', errors });
      expect(await job.results()).toMatchObject([{ type: 'successful', returnValue: 1, executionId: 'n1' }]);
    },
  );

  it('know nothing of worker, run and time where an earlier error does not say', async () => {
    const job = await written({ status: 'queued', errors: JSON.stringify([{ error: 'TypeError: no' }]) });
    expect(await job.results()).toEqual([
      {
        type: 'failed',
        createdAt: undefined,
        workerName: '',
        executionId: '',
        error: { name: 'TypeError', message: 'no', stack: 'TypeError: no' },
      },
    ]);
  });

  it('are those of the hash where the stream is something else', async () => {
    const job = await written({
      status: 'failed',
      ended_at: '2026-01-02T03:04:06.678901Z',
      exc_info: 'Error: x',
      errors: JSON.stringify([EARLIER]),
    });
    await redis.client.set('rq:results:a', 'no stream');
    expect(messages(await job.results())).toEqual(['x', 'no']);
  });

  it('are those of the stream where the job is queued again', async () => {
    const job = await written({ status: 'queued', result: '7' });
    await streamed(1000, 1, { value: '7' });
    expect(await job.results()).toMatchObject([
      {
        type: 'successful',
        returnValue: 7,
        createdAt: new Date(1000),
        workerName: 'python',
        executionId: 'py1000',
      },
    ]);
  });
});

describe('Job.results of runs in the stream', () => {
  const ended = (ms: number): string => new Date(ms).toISOString();

  it('have every type, newest first', async () => {
    const job = await written({ status: 'finished', ended_at: ended(6000) });
    await streamed(1000, 2, { error: 'Traceback (most recent call last):\n  File "a"\nValueError: bad' });
    await streamed(2000, 3, { error: 'stopped' });
    await streamed(3000, 4, { value: '{}' });
    await streamed(4000, 5, { value: '{}' });
    await streamed(5000, 1, { value: '{"a":"é"}' });
    const results = await job.results();
    expect(types(results)).toEqual(['successful', 'max_retries_exceeded', 'retried', 'stopped', 'failed']);
    expect(results[0]?.returnValue).toEqual({ a: 'é' });
    expect(results[4]?.error).toMatchObject({ name: 'ValueError', message: 'bad' });
    for (const result of results.slice(1)) expect(result).not.toHaveProperty('returnValue');
    expect(results[1]).not.toHaveProperty('error');
  });

  it('stand once where the hash tells of the same run', async () => {
    const job = await written({
      status: 'failed',
      ended_at: ended(2000),
      exc_info: 'Error: last',
      execution_id: 'n2',
      errors: JSON.stringify([
        { ...EARLIER, at: ended(500), run: 'n0' },
        { ...EARLIER, run: 'n1' },
      ]),
    });
    await streamed(1000, 2, { error: 'Error: first', run: 'n1' });
    await streamed(2000, 2, { error: 'Error: last', run: 'n2' });
    const results = await job.results();
    expect(results.map(({ executionId }) => executionId)).toEqual(['n2', 'n1', 'n0']);
    expect(messages(results)).toEqual(['last', 'first', 'no']);
  });

  it.each([
    ['finished', 1, ['successful']],
    ['failed', 2, ['failed']],
    ['stopped', 3, ['stopped']],
    // RQ has no entry of its own for a job that was stopped
    ['stopped', 2, ['failed', 'stopped']],
    ['failed', 5, ['max_retries_exceeded']],
  ])('stand once where Python’s job is %s and its entry has type %i', async (status, type, told) => {
    const job = await written({ status, ended_at: ended(1000), worker_name: 'python' });
    await streamed(1001, type, type === 1 ? { value: '1' } : type === 2 ? { error: 'Error: x' } : {});
    const results = await job.results();
    expect(results).toHaveLength(1);
    expect(told).toContain(results[0]?.type);
  });

  it('are mixed with ours by their times', async () => {
    const job = await written({
      status: 'finished',
      ended_at: ended(9000),
      result: '3',
      execution_id: 'n9',
      errors: JSON.stringify([
        { ...EARLIER, at: ended(1000) },
        { ...EARLIER, at: ended(3000) },
      ]),
    });
    await streamed(2000, 2, { error: 'ValueError: theirs' });
    expect(messages(await job.results())).toEqual([undefined, 'no', 'theirs', 'no']);
  });
});
