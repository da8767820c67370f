import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { CurrentJob, getCurrentJob, Retry, type FailedCallback, type JobEvent } from '../../lib/index.ts';
import type { FunctionSource, Logger, Worker, WorkerOptions } from '../../lib/index.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const all = { onSuccess: 'success', onFailure: 'failure', onStopped: 'stopped' } as const;
const soon = { timeout: 15_000, interval: 10 };
const status = (id: string): Promise<string | null> => redis.client.hget(`rq:job:${id}`, 'status');

/** What was called, with what; and what failed. */
class Seen {
  readonly calls: unknown[][] = [];
  readonly failed: (JobEvent & FailedCallback)[] = [];
  readonly functions: FunctionSource = {
    ok: (value: unknown) => value,
    fail: () => Promise.reject(new RangeError('no luck')),
    held: () =>
      new Promise((_, reject) => {
        const { signal } = getCurrentJob()!;
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      }),
    ...Object.fromEntries(
      ['success', 'failure', 'stopped'].map(kind => [
        kind,
        async (job: CurrentJob, ...args: unknown[]) => {
          this.calls.push([kind, job.id, await status(job.id), ...args]);
        },
      ]),
    ),
  };

  worker(more: FunctionSource = {}, options: Partial<WorkerOptions> = {}): Worker {
    return makeWorker({ ...this.functions, ...more }, options).on('callbackFailed', (job, callback) =>
      this.failed.push({ ...callback, jobId: job.jobId } as JobEvent & FailedCallback),
    );
  }
}

describe('a callback', () => {
  it('is called with the job and its result, once Redis has that', async () => {
    const job = await q.enqueue('ok', [{ a: [1] }], all);
    const nothing = await q.enqueue('ok', [], { ...all, resultTtl: 0 });
    const seen = new Seen();
    await seen.worker({ ok: (value?: unknown) => value }).work({ burst: true });
    expect(seen.calls).toEqual([
      ['success', job.id, 'finished', { a: [1] }],
      ['success', nothing.id, null, null],
    ]);
    expect(seen.failed).toEqual([]);
  });

  it('is called with the job and what was thrown', async () => {
    const job = await q.enqueue('fail', [], all);
    const seen = new Seen();
    await seen.worker().work({ burst: true });
    expect(seen.calls).toEqual([['failure', job.id, 'failed', expect.any(RangeError)]]);
    expect(seen.calls[0]?.[3]).toMatchObject({ message: 'no luck' });
  });

  it('is called with the job that was stopped', async () => {
    const job = await q.enqueue('held', [], all);
    const seen = new Seen();
    const worker = seen.worker();
    const working = worker.work({ burst: true });
    await once(worker, 'jobStarted');
    await job.stop();
    await working;
    expect(seen.calls).toEqual([['stopped', job.id, 'stopped']]);
  });

  it('is called for a job that can’t be run, or ran out of time', async () => {
    const [unknown, late] = await q.enqueueMany([
      ['nobody', [], all],
      ['held', [], { ...all, timeout: 1 }],
    ]);
    const seen = new Seen();
    await seen.worker().work({ burst: true });
    expect(seen.calls.map(([kind, id]) => [kind, id])).toEqual([
      ['failure', unknown.id],
      ['failure', late.id],
    ]);
    expect(seen.calls[0]?.[3]).toMatchObject({ code: 'RQ_FUNCTION_NOT_REGISTERED' });
    expect(seen.calls[1]?.[3]).toMatchObject({ code: 'RQ_JOB_TIMEOUT' });
  });

  it('is called once, after the last retry', async () => {
    const [plan, asked, well] = await q.enqueueMany([
      ['fail', [], { ...all, retry: { max: 2 } }],
      ['ask', [], all],
      ['second', [], { ...all, retry: { max: 2 } }],
    ]);
    const seen = new Seen();
    let [tries, asks] = [0, 0];
    const second = (): string => {
      if (++tries < 2) throw new Error('the first run');
      return 'well';
    };
    const ask = (): never => {
      asks++;
      throw new Retry({ max: 1 });
    };
    await seen.worker({ ask, second }).work({ burst: true });
    expect([tries, asks]).toEqual([2, 2]);
    expect(seen.calls.map(([kind, id]) => `${String(kind)} ${String(id)}`).toSorted()).toEqual(
      [`failure ${plan.id}`, `failure ${asked.id}`, `success ${well.id}`].toSorted(),
    );
  });

  it('is called for each run of a job that repeats', async () => {
    const job = await q.enqueue('ok', [1], { ...all, repeat: { times: 2 } });
    const seen = new Seen();
    await seen.worker().work({ burst: true });
    expect(seen.calls.map(([kind, id]) => [kind, id])).toEqual(
      Array.from({ length: 3 }, () => ['success', job.id]),
    );
  });

  it('is not called for a run whose job was canceled, deleted or given to another one', async () => {
    const jobs = await q.enqueueMany([
      ['held', [], all],
      ['held', [], all],
    ]);
    const seen = new Seen();
    const worker = seen.worker({}, { concurrency: 2 });
    let started = 0;
    worker.on('jobStarted', () => started++);
    const working = worker.work({ burst: true });
    // once Redis says so the worker may not have them yet, and would hear of the end of neither
    await expect.poll(() => started, soon).toBe(2);
    await jobs[0].cancel();
    await jobs[1].delete();
    await working;
    expect(seen.calls).toEqual([]);
  });

  it('is not called for a run that goes back to its queue', async () => {
    const job = await q.enqueue('held', [], all);
    const seen = new Seen();
    const worker = seen.worker();
    void worker.work();
    await once(worker, 'jobStarted');
    await worker.stop('cold');
    expect([seen.calls, await status(job.id)]).toEqual([[], 'queued']);
  });

  it('runs as the job: the same as getCurrentJob gives, with the meta its function left, and a signal of its own', async () => {
    const job = await q.enqueue('held', [], { ...all, meta: { a: 1 } });
    let seen: readonly unknown[] = [];
    const held = (): Promise<never> =>
      new Promise((_, reject) => {
        const current = getCurrentJob()!;
        current.meta['b'] = 2;
        current.signal.addEventListener('abort', () => reject(new Error('aborted')));
      });
    const stopped = async (given: CurrentJob): Promise<void> => {
      await sleep(1);
      const current = getCurrentJob();
      given.meta['c'] = 3;
      await given.saveMeta();
      seen = [given === current, given instanceof CurrentJob, given.status, given.signal.aborted, given.meta];
    };
    const worker = new Seen().worker({ held, stopped });
    const working = worker.work({ burst: true });
    await once(worker, 'jobStarted');
    await job.stop();
    await working;
    expect(seen).toEqual([true, true, 'stopped', false, { a: 1, b: 2, c: 3 }]);
    expect((await job.refresh()).meta).toEqual({ a: 1, b: 2, c: 3 });
    expect(getCurrentJob()).toBeUndefined();
  });
});

describe('a callback that fails', () => {
  it.each<[what: string, name: string, said: RegExp]>([
    ['throws', 'throws', /^at once$/],
    ['rejects', 'rejects', /^later$/],
    ['takes too long', 'hangs', /^Callback hangs of job .* exceeded its timeout of 1 s$/],
    ['is not registered', 'nobody', /^Function 'nobody' of job .* is not registered/],
  ])('is told of and changes nothing: it %s', async (_, name, said) => {
    const job = await q.enqueue('ok', [1], { onSuccess: { fn: name, timeout: 1 } });
    const next = await q.enqueue('ok', [2]);
    const seen = new Seen();
    let aborted: unknown;
    const more = {
      throws: () => {
        throw new Error('at once');
      },
      rejects: () => Promise.reject(new Error('later')),
      hangs: (given: CurrentJob) =>
        new Promise(() => {
          given.signal.addEventListener('abort', () => (aborted = given.signal.reason));
        }),
    };
    await seen.worker(more).work({ burst: true });
    expect(seen.failed).toMatchObject([
      {
        jobId: job.id,
        option: 'onSuccess',
        name,
        error: { message: expect.stringMatching(said) as unknown },
      },
    ]);
    expect([await job.result, await next.result]).toEqual([1, 2]);
    expect(await q.failedRegistry.count()).toBe(0);
    expect(aborted).toBe(name === 'hangs' ? seen.failed[0]?.error : undefined);
  });

  it.each(['no JSON', '[]', '{"success":5}', '{"success":{"name":5}}', '{"success":{"timeout":1}}'])(
    'is one whose field is %s',
    async text => {
      const job = await q.enqueue('ok', [1], { onSuccess: 'success' });
      await redis.client.hset(`rq:job:${job.id}`, 'callbacks', text);
      const seen = new Seen();
      await seen.worker().work({ burst: true });
      expect(await job.result).toBe(1);
      expect(seen.calls).toEqual([]);
      expect(seen.failed).toMatchObject([{ jobId: job.id, name: '', error: { code: 'RQ_INVALID_JOB' } }]);
    },
  );

  it('is logged once, with its job', async () => {
    const lines: [fields: object, message: string][] = [];
    const quiet = (): void => {};
    const logger: Logger = {
      debug: quiet,
      info: quiet,
      warn: quiet,
      error: (fields, message) => lines.push([fields, message]),
    };
    const job = await q.enqueue('ok', [1], { onSuccess: 'nobody' });
    await new Seen().worker({}, { logger }).work({ burst: true });
    expect(lines).toEqual([
      [
        expect.objectContaining({ job_id: job.id, queue: 'q', function: 'ok' }),
        expect.stringMatching(
          new RegExp(`^q: onSuccess "nobody" failed: .*not registered.*\\(${job.id}\\)$`),
        ),
      ],
    ]);
  });
});

describe('callbacks under way', () => {
  /** A callback that ends when it is told to. */
  function gate(): { readonly waits: () => Promise<void>; readonly open: () => void } {
    let open = (): void => {};
    const opened = new Promise<void>(resolve => (open = resolve));
    return { waits: () => opened, open: () => open() };
  }

  it('hold no slot', async () => {
    const { waits, open } = gate();
    const seen = new Seen();
    const jobs = await q.enqueueMany(
      Array.from({ length: 5 }, () => ['ok', [1], { onSuccess: 'waits' }] as const),
    );
    const working = seen.worker({ waits }, { concurrency: 1 }).work({ burst: true });
    await expect.poll(() => q.finishedRegistry.count(), soon).toBe(5);
    open();
    await working;
    expect(await Promise.all(jobs.map(job => job.result))).toEqual([1, 1, 1, 1, 1]);
    expect(seen.failed).toEqual([]);
  });

  it.each(['stop', 'burst'] as const)('are waited for: %s', async how => {
    const { waits, open } = gate();
    let ended = false;
    const job = await q.enqueue('ok', [1], { onSuccess: 'slow' });
    const slow = async (): Promise<void> => {
      await waits();
      await job.saveMeta();
      ended = true;
    };
    const seen = new Seen();
    const worker = seen.worker({ slow });
    const working = worker.work({ burst: how === 'burst' });
    await expect.poll(() => status(job.id), soon).toBe('finished');
    const stopped = how === 'stop' ? worker.stop() : working;
    await expect.poll(() => redis.client.hget(`rq:worker:${worker.name}`, 'state'), soon).toBe('idle');
    expect(await redis.client.hexists(`rq:worker:${worker.name}`, 'death')).toBe(0);
    open();
    await stopped;
    expect([ended, seen.failed]).toEqual([true, []]);
  });

  it.each(['warm', 'cold'] as const)('are left when the time to stop is over: %s', async kind => {
    const { waits } = gate();
    const job = await q.enqueue('ok', [1], { onSuccess: 'waits' });
    const seen = new Seen();
    const worker = seen.worker({ waits }, { shutdownTimeout: '200ms' });
    void worker.work();
    await expect.poll(() => status(job.id), soon).toBe('finished');
    await expect.poll(() => redis.client.hget(`rq:worker:${worker.name}`, 'state'), soon).toBe('idle');
    const began = performance.now();
    await worker.stop(kind);
    // it may take 60 s
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(seen.failed).toMatchObject([
      {
        jobId: job.id,
        error: { message: `Callback waits of job ${job.id} was not over when the worker stopped` },
      },
    ]);
    expect(await status(job.id)).toBe('finished');
  });
});
