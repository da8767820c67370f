/** `softTimeout`, the grace after an abort, and `redeliver: false`: how a run is ended early, and what becomes of its job. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { Link } from '../lib/connection.ts';
import { getCurrentJob } from '../lib/current-job.ts';
import type { EnqueueOptions } from '../lib/enqueue-options.ts';
import {
  JobSoftTimeoutError,
  JobTimeoutError,
  LeaseLostError,
  ShutdownError,
  StopRequestedError,
} from '../lib/errors.ts';
import type { TaskFunction } from '../lib/functions.ts';
import { Keys } from '../lib/keys.ts';
import type { Ended, Outcome } from '../lib/outcome.ts';
import { Queue } from '../lib/queue.ts';
import { task } from '../lib/task.ts';
import { currentRun, Run, type RunOptions } from '../lib/run.ts';
import { Store } from '../lib/store.ts';
import { useQueue, useRedis, useWorkers } from './support/in-process.ts';

// what is refused, and a run on its own, send nothing
const NOWHERE = 'redis://127.0.0.1:1';
const store = new Store(Link.own(NOWHERE), new Keys());
afterAll(() => store.close());

function makeRun(fields: Readonly<Record<string, string>> = {}): Run {
  const all = Object.entries({ status: 'queued', data: '["fn",null,[],{}]', ...fields });
  const started = { place: 0, jobId: 'job-1', executionId: 'n1', fields: new Map(all) };
  return new Run(store, started, { queue: 'q', worker: 'w', at: '2026-01-02T03:04:05.678901Z' });
}

const perform = (run: Run, fn: TaskFunction, options: RunOptions = {}): Promise<Outcome> =>
  new Promise(resolve => run.perform(new Map([['fn', fn]]), options, resolve));

async function ended(outcome: Promise<Outcome>): Promise<Ended> {
  const is = await outcome;
  if (typeof is === 'string') throw new Error(`It was ${is}`);
  return is;
}

/** So many seconds go by. */
function pass(run: Run, seconds: number): void {
  run.began -= seconds * 1000;
  run.checkTime();
}

/** What a function does once its signal is aborted. */
const onAbort = (then: (reason: unknown) => unknown): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const { signal } = currentRun() as Run;
    signal.addEventListener('abort', () => {
      Promise.resolve(signal.reason).then(then).then(resolve, reject);
    });
  });
const never = (): Promise<never> => new Promise(() => {});
const SOFT = 'JobSoftTimeoutError: Job job-1 exceeded its softTimeout of 2 s';

describe('softTimeout', () => {
  const q = new Queue('q', { connection: NOWHERE });
  const short = new Queue('q', { connection: NOWHERE, defaultTimeout: 10 });
  afterAll(() => Promise.all([q.close(), short.close()]));

  it.each<[options: EnqueueOptions, said: RegExp]>([
    [{ softTimeout: 0 }, /softTimeout must be at least 1 second, not 0/],
    [{ softTimeout: '500ms' }, /softTimeout must be at least 1 second, not "500ms"/],
    [{ softTimeout: -1 }, /softTimeout must be seconds.* not -1/],
    [{ softTimeout: '-1' }, /softTimeout must be seconds.* not "-1"/],
    [{ softTimeout: '5 parsecs' }, /softTimeout must be .* not "5 parsecs"/],
    [{ softTimeout: true as unknown as number }, /softTimeout must be .* not true/],
    [{ softTimeout: 5, timeout: 5 }, /softTimeout must be less than the timeout, which is 5 s.* not 5/],
    [{ softTimeout: '2m', timeout: '1m' }, /less than the timeout, which is 60 s.* not "2m"/],
    // both are stored as 2
    [{ softTimeout: 1.5, timeout: 2 }, /less than the timeout, which is 2 s.* not 1\.5/],
  ])('is refused where it is %j', async (options, said) => {
    await expect(async () => q.enqueue('f', [], options)).rejects.toThrow(said);
    expect(() => task(() => 1, options)).toThrow(said);
  });

  it('is refused where it is not less than the default timeout', async () => {
    await expect(async () => q.enqueue('f', [], { softTimeout: '3m' })).rejects.toThrow(/which is 180 s/);
    await expect(async () => short.enqueue('f', [], { softTimeout: 10 })).rejects.toThrow(/which is 10 s/);
  });

  it('aborts the signal with JobSoftTimeoutError at its time, and not before', async () => {
    const run = makeRun({ timeout: '10', soft_timeout: '2' });
    const { signal } = run;
    void perform(run, never);
    pass(run, 1.9);
    expect(signal.aborted).toBe(false);
    pass(run, 0.1);
    expect(signal.reason).toBeInstanceOf(JobSoftTimeoutError);
    expect(signal.reason).toMatchObject({
      code: 'RQ_JOB_SOFT_TIMEOUT',
      jobId: 'job-1',
      message: SOFT.slice(21),
    });
    run.leave();
  });

  it('aborts a signal that is first asked for afterwards', () => {
    const run = makeRun({ timeout: '10', soft_timeout: '2' });
    void perform(run, never);
    pass(run, 2);
    expect(run.signal.reason).toBeInstanceOf(JobSoftTimeoutError);
    run.leave();
  });

  it.each([{}, { soft_timeout: '' }, { soft_timeout: '-1' }])('is none with %j', fields => {
    const run = makeRun({ timeout: '10', ...fields });
    void perform(run, never);
    pass(run, 9);
    expect(run.reason).toBeUndefined();
    run.leave();
  });

  it('fails a job whose field is no whole number, before its function is called', async () => {
    let calls = 0;
    const { status, text } = await ended(perform(makeRun({ soft_timeout: '5m' }), () => calls++));
    expect(status).toBe('failed');
    expect(text).toBe(
      'InvalidJobError: Job job-1 is not valid: its field soft_timeout is not a whole number: "5m"',
    );
    expect(calls).toBe(0);
  });

  describe('gives notice, and the function', () => {
    const noticed = (
      then: (reason: unknown) => unknown,
      fields: Readonly<Record<string, string>> = {},
    ): Promise<Ended> => {
      const run = makeRun({ timeout: '10', soft_timeout: '2', ...fields });
      const outcome = perform(run, () => onAbort(then));
      pass(run, 2);
      return ended(outcome);
    };

    it('may return what there is', async () => {
      expect(await noticed(() => 'a part')).toMatchObject({ status: 'finished', text: '"a part"' });
    });

    it('may throw what it likes', async () => {
      const outcome = await noticed(() => Promise.reject(new RangeError('so far')));
      expect(outcome).toMatchObject({ status: 'failed', error: expect.any(RangeError) as RangeError });
      expect(outcome.text).toMatch(/^RangeError: so far\n/);
    });

    it('may throw the reason', async () => {
      const outcome = await noticed(reason => Promise.reject(reason));
      expect(outcome).toMatchObject({ status: 'failed', text: SOFT });
    });

    it('may let the AbortError of what it called through, which is stored as the reason', async () => {
      const run = makeRun({ timeout: '10', soft_timeout: '2' });
      const outcome = perform(run, () => sleep(60_000, undefined, { signal: run.signal }));
      pass(run, 2);
      expect(await ended(outcome)).toMatchObject({ status: 'failed', text: SOFT });
    });

    it('may fail with an AbortError of another cause, which is stored as it is', async () => {
      const other = new AbortController();
      const abort = (): Promise<void> => {
        other.abort(new Error('another'));
        return sleep(1, undefined, { signal: other.signal });
      };
      expect((await noticed(abort)).text).toMatch(/^AbortError: /);
    });

    it('is retried for it by its name or code', async () => {
      const throwIt = (reason: unknown): Promise<never> => Promise.reject(reason);
      for (const name of ['JobSoftTimeoutError', 'RQ_JOB_SOFT_TIMEOUT']) {
        expect((await noticed(throwIt, { retry_for: `["${name}"]` })).again).toBe('plan');
        expect((await noticed(throwIt, { no_retry_for: `["${name}"]` })).again).toBe('never');
      }
    });
  });

  it('counts a result although the function held up the event loop meanwhile', async () => {
    const run = makeRun({ timeout: '10', soft_timeout: '2' });
    const outcome = perform(run, () => {
      run.began -= 5000;
      return 'late';
    });
    expect(await ended(outcome)).toMatchObject({ status: 'finished', text: '"late"' });
  });

  it('does not end a function that takes no notice', async () => {
    const run = makeRun({ timeout: '10', soft_timeout: '2' });
    const outcome = perform(run, never, { grace: 0 });
    pass(run, 2);
    expect(await Promise.race([outcome, sleep(30, 'goes on')])).toBe('goes on');
    run.leave();
  });

  it('is followed by the timeout and its grace', async () => {
    const run = makeRun({ timeout: '10', soft_timeout: '2' });
    const outcome = perform(run, never, { grace: 0.02 });
    pass(run, 2);
    pass(run, 7.9);
    expect(run.reason).toBeInstanceOf(JobSoftTimeoutError);
    pass(run, 0.1);
    expect(run.reason).toBeInstanceOf(JobTimeoutError);
    expect((await ended(outcome)).text).toBe('JobTimeoutError: Job job-1 exceeded its timeout of 10 s');
    expect(run.overdue).toBe(true);
  });

  it('does not save what comes after the timeout', async () => {
    const run = makeRun({ timeout: '10', soft_timeout: '2' });
    const outcome = perform(run, () => onAbort(() => (pass(run, 10), 'too late')));
    pass(run, 2);
    expect((await ended(outcome)).text).toMatch(/^JobTimeoutError/);
  });

  it('is followed by a stop: whatever the function gives, the job is stopped', async () => {
    const run = makeRun({ timeout: '10', soft_timeout: '2' });
    const outcome = perform(run, () => onAbort(() => 'a part'));
    pass(run, 2);
    run.abort(new StopRequestedError(run.jobId));
    expect(await ended(outcome)).toMatchObject({ status: 'stopped', again: '' });
  });

  it('is followed by a shutdown: what it returns counts, and else the job goes back', async () => {
    const runs = [() => 'a part', () => Promise.reject(new Error('aborted'))].map(async then => {
      const run = makeRun({ timeout: '10', soft_timeout: '2' });
      const outcome = perform(run, () => onAbort(then));
      pass(run, 2);
      run.abort(new ShutdownError(run.jobId));
      return outcome;
    });
    expect(await runs[0]).toMatchObject({ status: 'finished', text: '"a part"' });
    expect(await runs[1]).toBe('returned');
  });

  it('is followed by the loss of the run', async () => {
    const run = makeRun({ timeout: '10', soft_timeout: '2' });
    const outcome = perform(run, () => onAbort(() => 'for nobody'));
    pass(run, 2);
    run.abort(new LeaseLostError(run.jobId));
    expect(await outcome).toBe('lost');
  });

  it('comes too late where the run was asked to end before', () => {
    const run = makeRun({ timeout: '10', soft_timeout: '2' });
    void perform(run, never, { grace: 60 });
    run.abort(new StopRequestedError(run.jobId));
    pass(run, 2);
    expect(run.reason).toBeInstanceOf(StopRequestedError);
    run.leave();
  });
});

describe('A run of a job with redeliver: false', () => {
  const said = 'ShutdownError: The worker is shutting down: job job-1 is not to be run again';

  it.each([
    ['throws', (): Promise<unknown> => onAbort(reason => Promise.reject(reason)), 60],
    ['is left behind', never, 0],
  ])('has failed where its function %s at a shutdown', async (_, fn, grace) => {
    const run = makeRun({ redeliver: '0' });
    const outcome = perform(run, fn, { grace });
    run.abort(new ShutdownError(run.jobId, false));
    expect(await ended(outcome)).toMatchObject({ status: 'failed', text: said, again: 'never' });
  });

  it('has finished where its function returns in time', async () => {
    const run = makeRun({ redeliver: '0' });
    const outcome = perform(run, () => onAbort(() => 'in time'));
    run.abort(new ShutdownError(run.jobId, false));
    expect(await ended(outcome)).toMatchObject({ status: 'finished', text: '"in time"' });
  });

  it('goes back where its function was not called yet', async () => {
    let calls = 0;
    const run = makeRun({ redeliver: '0' });
    run.abort(new ShutdownError(run.jobId, false));
    expect(await perform(run, () => calls++)).toBe('returned');
    expect(calls).toBe(0);
  });
});

describe('With a worker', () => {
  const redis = useRedis();
  const q = useQueue(redis, 'q');
  const makeWorker = useWorkers(redis);
  const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);

  it('softTimeout is stored as whole seconds, by an option or by task()', async () => {
    const jobs = [
      await q.enqueue('f', [], { softTimeout: '1500ms', timeout: 3 }),
      await q.enqueue('f', [], { softTimeout: '1h', timeout: -1 }),
      await q.enqueue(task(() => 1, { name: 'f', softTimeout: '2m' })),
      await q.enqueue('f'),
    ];
    const stored = jobs.map(({ id }) => redis.client.hmget(`rq:job:${id}`, 'soft_timeout', 'timeout'));
    expect(await Promise.all(stored)).toEqual([
      ['2', '3'],
      ['3600', '-1'],
      ['120', '180'],
      [null, '180'],
    ]);
  });

  it('a function returns a part after softTimeout, and one that goes on is ended by its timeout', async () => {
    let aborted = 0;
    const part = async (): Promise<unknown> => {
      const { signal } = getCurrentJob() ?? {};
      const began = performance.now();
      await new Promise(resolve => signal?.addEventListener('abort', resolve));
      aborted = performance.now() - began;
      return { part: signal?.reason instanceof JobSoftTimeoutError };
    };
    const [yields, goesOn] = [
      await q.enqueue('part', [], { softTimeout: 1, timeout: 30 }),
      await q.enqueue('never', [], { softTimeout: 1, timeout: 2 }),
    ];
    await makeWorker({ part, never }, { concurrency: 2, grace: '20ms' }).work({ burst: true });
    expect(await yields.result).toEqual({ part: true });
    expect(aborted).toBeGreaterThan(950);
    // its timeout is 30 s
    expect(aborted).toBeLessThan(15_000);
    await expect(goesOn.result).rejects.toMatchObject({ remote: { name: 'JobTimeoutError' } });
  });

  it('a function that takes no notice of a stop is left behind after the grace', async () => {
    const job = await q.enqueue('never');
    const next = await q.enqueue('f');
    const worker = makeWorker({ never, f: () => 'next' }, { grace: '20ms' });
    const overdue = once(worker, 'jobOverdue');
    void worker.work();
    await once(worker, 'jobStarted');
    await job.stop();
    expect((await overdue)[0]).toMatchObject({ jobId: job.id });
    expect(await next.wait({ timeout: '15s' })).toBe('next');
    expect(await hash(job.id)).toMatchObject({ status: 'stopped' });
  });
});
