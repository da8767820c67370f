import { describe, expect, it } from 'vitest';
import { retryPlan } from '../lib/retry-plan.ts';
import { useQueue, useRedis, useWorkers } from './support/in-process.ts';

describe('retryPlan', () => {
  it.each([
    ['no wait', { max: 2 }, 2, [0, 0]],
    ['one wait for all', { max: 3, interval: 10 }, 3, [10, 10, 10]],
    ['one for each', { max: 3, interval: [1, '2s', '1m'] }, 3, [1, 2, 60]],
    ['fewer than retries', { max: 4, interval: [1, 5] }, 4, [1, 5, 5, 5]],
    ['a part of a second', { max: 1, interval: 1.2 }, 1, [2]],
    ['growing waits', { max: 5, backoff: 'exponential', jitter: false }, 5, [10, 20, 40, 80, 160]],
    [
      'growing waits up to the longest',
      { max: 4, backoff: 'exponential', delay: '1m', maxDelay: '3m', jitter: false },
      4,
      [60, 120, 180, 180],
    ],
  ])('writes down %s', (_, options, retriesLeft, intervals) => {
    expect(retryPlan(options)).toEqual({ retriesLeft, intervals });
  });

  it('draws growing waits between their half and their whole', () => {
    const draws = Array.from({ length: 50 }, () => retryPlan({ max: 3, backoff: 'exponential' }).intervals);
    for (const intervals of draws) {
      intervals.forEach((wait, i) => {
        expect(wait).toBeGreaterThanOrEqual(5 * 2 ** i);
        expect(wait).toBeLessThanOrEqual(10 * 2 ** i);
      });
    }
    expect(new Set(draws.map(String)).size).toBeGreaterThan(10);
  });

  it.each([
    [3, /retry must be \{ max, interval \} or .* not 3/],
    [{}, /retry\.max must be a whole number, not undefined/],
    [{ max: 0 }, /retry\.max must be a whole number of 1 or more, not 0/],
    [{ max: 1001 }, /retry\.max must be 1000 or less, not 1001/],
    [{ max: 1, intervall: 1 }, /did you mean "interval"/],
    [{ max: 1, interval: '5 parsecs' }, /retry\.interval must be seconds .* not "5 parsecs"/],
    [{ max: 1, interval: '500ms' }, /retry\.interval must be 0 or at least 1 second, not "500ms"/],
    [{ max: 2, interval: [1, -1] }, /retry\.interval\[1\] must be seconds/],
    [{ max: 1, interval: [] }, /a list of at least one/],
    [{ max: 1, interval: [1, 2] }, /2 waits for 1 retries/],
    [{ max: 1, backoff: 'linear' }, /Unknown retry\.backoff "linear"/],
    [{ max: 1, backoff: 'exponential', interval: 1 }, /Unknown option of retry "interval"/],
    [{ max: 1, backoff: 'exponential', delay: '1m', maxDelay: '1s' }, /must not be less than retry\.delay/],
    [{ max: 1, backoff: 'exponential', jitter: 1 }, /retry\.jitter must be true or false, not 1/],
  ])('refuses %j', (options, message) => {
    expect(() => retryPlan(options)).toThrow(message);
  });
});

describe('a job with retries', () => {
  const redis = useRedis();
  const q = useQueue(redis);
  const makeWorker = useWorkers(redis);

  it('is stored in RQ’s fields', async () => {
    const job = await q.enqueue('f', [], { retry: { max: 2, interval: [1, 2] } });
    expect(await redis.client.hmget(`rq:job:${job.id}`, 'retries_left', 'retry_intervals')).toEqual([
      '2',
      '[1,2]',
    ]);
    await job.refresh();
    expect(job.retriesLeft).toBe(2);
  });

  it('runs until it succeeds, and keeps the errors of the runs before', async () => {
    let runs = 0;
    const flaky = (): string => {
      if (++runs < 3) throw new Error(`run ${runs}`);
      return 'done';
    };
    const job = await q.enqueue(flaky, [], { retry: { max: 5 } });
    const worker = makeWorker({ flaky }, {}, 'default');
    const retried: string[] = [];
    worker.on('jobRetried', ({ jobId }, when) => retried.push(`${jobId} ${when}`));
    await worker.work({ burst: true });
    expect(await job.result).toBe('done');
    expect(runs).toBe(3);
    expect(retried).toEqual([`${job.id} queued`, `${job.id} queued`]);
    const errors: unknown = JSON.parse((await redis.client.hget(`rq:job:${job.id}`, 'errors')) ?? '');
    expect(errors).toMatchObject(
      [{ error: /^Error: run 1/ }, { error: /^Error: run 2/ }].map(({ error }) => ({
        error: expect.stringMatching(error) as string,
      })),
    );
  });

  it('fails once no retry is left', async () => {
    const job = await q.enqueue('fail', [], { retry: { max: 2 } });
    let runs = 0;
    const fail = (): never => {
      throw new Error(`run ${++runs}`);
    };
    await makeWorker({ fail }, {}, 'default').work({ burst: true });
    await expect(job.result).rejects.toMatchObject({ remote: { message: 'run 3' } });
    expect(await q.failedRegistry.getJobIds()).toEqual([job.id]);
  });

  it('waits in the scheduled registry, and is queued within about a second of its time', async () => {
    let runs = 0;
    const flaky = (): number => {
      if (++runs === 1) throw new Error('once');
      return runs;
    };
    const job = await q.enqueue(flaky, [], { retry: { max: 1, interval: 3 } });
    const worker = makeWorker({ flaky }, {}, 'default');
    const scheduled = new Promise<string>(resolve => worker.once('jobRetried', (_, when) => resolve(when)));
    void worker.work();
    expect(await scheduled).toBe('scheduled');
    expect(await q.scheduledRegistry.getJobIds()).toEqual([job.id]);
    expect(await job.wait({ timeout: '15s' })).toBe(2);
    expect(await q.scheduledRegistry.count()).toBe(0);
  });
});
