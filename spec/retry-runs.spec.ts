/** Errors, `Retry` and the options about them, with workers: what becomes of a job that failed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { getCurrentJob } from '../lib/current-job.ts';
import type { EnqueueOptions } from '../lib/enqueue-options.ts';
import type { Job } from '../lib/job.ts';
import { task } from '../lib/task.ts';
import { NonRetryableError, Retry } from '../lib/retry.ts';
import { useQueue, useRedis, useWorkers } from './support/in-process.ts';

class Declined extends Error {}
class CardDeclined extends Declined {}
class PaymentRefused extends NonRetryableError {}

const withCode = (code: string): Error => Object.assign(new Error('with a code'), { code });

describe('A job that failed', () => {
  const redis = useRedis();
  const q = useQueue(redis);
  const makeWorker = useWorkers(redis);
  const hash = (job: Job): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${job.id}`);

  /** Enqueues `f` and runs all there is; answers how often it was called. */
  async function runs(
    f: (n: number) => unknown,
    options: EnqueueOptions = {},
  ): Promise<{ readonly job: Job; readonly calls: () => number; readonly work: () => Promise<void> }> {
    let calls = 0;
    const job = await q.enqueue('f', [], options);
    const work = (): Promise<void> =>
      makeWorker({ f: () => f(++calls) }, {}, 'default').work({ burst: true });
    await work();
    return { job, calls: () => calls, work };
  }
  const throwing = (error: () => unknown) => (): never => {
    throw error();
  };

  it('is retried for the errors that retryFor names, and no others', async () => {
    const options = { retry: { max: 2 }, retryFor: ['Declined', 'ECONNRESET'] };
    const hit = await runs(
      throwing(() => new CardDeclined('x')),
      options,
    );
    const code = await runs(
      throwing(() => withCode('ECONNRESET')),
      options,
    );
    const miss = await runs(
      throwing(() => new RangeError('x')),
      options,
    );
    expect([hit.calls(), code.calls(), miss.calls()]).toEqual([3, 3, 1]);
    expect(await hash(miss.job)).toMatchObject({ status: 'failed', retries_left: '2' });
    expect(await hash(hit.job)).toMatchObject({ status: 'failed', retries_left: '0' });
    expect((await q.failedRegistry.getJobIds()).toSorted()).toEqual(
      [hit.job.id, code.job.id, miss.job.id].toSorted(),
    );
  });

  it('is looked at anew after each run', async () => {
    const options = { retry: { max: 5 }, retryFor: ['RangeError'] };
    const f = (n: number): never => {
      throw n < 3 ? new RangeError('x') : new TypeError('another');
    };
    const { job, calls } = await runs(f, options);
    expect(calls()).toBe(3);
    expect(await hash(job)).toMatchObject({ status: 'failed', retries_left: '3' });
    await expect(job.result).rejects.toMatchObject({ remote: { name: 'TypeError' } });
  });

  it('is not retried for the errors that noRetryFor names, although retryFor does', async () => {
    const options = { retry: { max: 1 }, retryFor: ['Declined'], noRetryFor: ['CardDeclined'] };
    const card = await runs(
      throwing(() => new CardDeclined('x')),
      options,
    );
    const other = await runs(
      throwing(() => new Declined('x')),
      options,
    );
    expect([card.calls(), other.calls()]).toEqual([1, 2]);
  });

  it.each([
    ['a NonRetryableError', () => new NonRetryableError('no use')],
    ['a class that extends it', () => new PaymentRefused('no use')],
  ])('fails at once with %s, its retries left as they were', async (_, error) => {
    const { job, calls } = await runs(throwing(error), { retry: { max: 2, interval: 60 } });
    expect(calls()).toBe(1);
    const fields = await hash(job);
    expect(fields).toMatchObject({ status: 'failed', retries_left: '2', retry_intervals: '[60,60]' });
    expect(fields['exc_info']).toMatch(/^\w+: no use\n {4}at .*retry-runs\.spec/);
    expect(await q.scheduledRegistry.count()).toBe(0);
  });

  it('keeps what task() says of it', async () => {
    const calls: string[] = [];
    const pay = task(
      (): never => {
        calls.push(getCurrentJob()?.id ?? '');
        throw new CardDeclined('x');
      },
      { name: 'pay', retry: { max: 3 }, noRetryFor: ['Declined'] },
    );
    const once = task((): never => pay(), { name: 'once', redeliver: false });
    const jobs = [await q.enqueue(pay), await q.enqueue(once)] as const;
    expect(await hash(jobs[0])).toMatchObject({ no_retry_for: '["Declined"]', retries_left: '3' });
    expect(await hash(jobs[1])).toMatchObject({ redeliver: '0' });
    await makeWorker({ pay, once }, {}, 'default').work({ burst: true });
    expect(calls).toEqual(jobs.map(({ id }) => id));
  });

  describe('with a Retry', () => {
    it('runs again at once, without a plan, and tells of it', async () => {
      const worker = makeWorker(
        { f: () => (tries++ === 0 ? throwing(() => new Retry())() : 'well') },
        {},
        'default',
      );
      let tries = 0;
      const told: unknown[] = [];
      worker.on('jobRetried', ({ error }, when) => told.push(when, error instanceof Retry));
      const job = await q.enqueue('f');
      await worker.work({ burst: true });
      expect(await job.result).toBe('well');
      expect(told).toEqual(['queued', true]);
      expect(await hash(job)).toMatchObject({ status: 'finished', number_of_retries: '1' });
    });

    it('waits for its delay in the scheduled registry, and is queued by the janitor', async () => {
      let ranAt = 0;
      const { job, calls } = await runs(() => {
        ranAt = Date.now() / 1000;
        throw new Retry({ delay: 1 });
      });
      const score = Number(await redis.client.zscore('rq:scheduled:default', job.id));
      expect(await hash(job)).toMatchObject({ status: 'scheduled', number_of_retries: '1' });
      expect(Number.isInteger(score)).toBe(true);
      // however long ago that was
      expect(score).toBeGreaterThanOrEqual(Math.floor(ranAt) + 1);
      expect(score).toBeLessThanOrEqual(Math.ceil(Date.now() / 1000) + 1);
      expect(await job.result).toBeUndefined();
      void makeWorker({ f: () => 'then' }, {}, 'default').work();
      expect(await job.wait({ timeout: '15s' })).toBe('then');
      expect(await q.scheduledRegistry.count()).toBe(0);
      expect(calls()).toBe(1);
    });

    it('is due that many seconds later', async () => {
      const { job } = await runs(throwing(() => new Retry({ delay: '1h' })));
      const score = Number(await redis.client.zscore('rq:scheduled:default', job.id));
      expect(Math.abs(score - Date.now() / 1000 - 3600)).toBeLessThan(5);
    });

    it('fails once it has asked max times, with the text of the last one and its cause', async () => {
      const cause = (): Error => new Error('429 Too Many Requests');
      const { job, calls } = await runs(throwing(() => new Retry({ max: 2, cause: cause() })));
      expect(calls()).toBe(3);
      const fields = await hash(job);
      expect(fields).toMatchObject({ status: 'failed', number_of_retries: '2' });
      expect(fields['exc_info']).toMatch(/^Retry: The job asked to run again at once\n {4}at /);
      expect(fields['exc_info']).toContain('[cause]: Error: 429 Too Many Requests');
      expect(await job.results()).toHaveLength(3);
      await expect(job.result).rejects.toMatchObject({ remote: { name: 'Retry' } });
    });

    it('counts against the max that is asked for last', async () => {
      const { calls } = await runs(n => throwing(() => new Retry({ max: n === 1 ? 9 : 2 }))());
      expect(calls()).toBe(3);
    });

    it('leaves the plan as it is, for the errors that come after', async () => {
      const f = (n: number): never => {
        throw n === 1 ? new Retry() : new Error(`run ${n}`);
      };
      const { job, calls } = await runs(f, { retry: { max: 2 } });
      expect(calls()).toBe(4);
      expect(await hash(job)).toMatchObject({ retries_left: '0', number_of_retries: '1' });
      const asked = await runs(
        throwing(() => new Retry({ max: 1 })),
        { retry: { max: 2 } },
      );
      expect(asked.calls()).toBe(2);
      expect(await hash(asked.job)).toMatchObject({ status: 'failed', retries_left: '2' });
    });

    it('has its count anew after a requeue', async () => {
      const { job, calls, work } = await runs(throwing(() => new Retry({ max: 1 })));
      expect(calls()).toBe(2);
      await job.requeue();
      expect(await hash(job)).not.toHaveProperty('number_of_retries');
      await work();
      expect(calls()).toBe(4);
    });

    it('fails where it is not to be run again', async () => {
      const { job, calls } = await runs(
        throwing(() => new Retry()),
        { redeliver: false },
      );
      expect(calls()).toBe(1);
      expect(await hash(job)).toMatchObject({ status: 'failed', redeliver: '0' });
      expect(await hash(job)).not.toHaveProperty('number_of_retries');
    });

    it('lives for its ttl while it waits', async () => {
      const { job } = await runs(
        throwing(() => new Retry({ delay: 60 })),
        { ttl: 600 },
      );
      expect(await redis.client.ttl(`rq:job:${job.id}`)).toBeGreaterThan(590);
    });
  });

  it('fails, and its worker goes on, where what was thrown can’t be looked at', async () => {
    const hostile = Object.defineProperty(new Error('x'), 'code', {
      get: () => {
        throw new Error('hands off');
      },
    });
    const [bad, next] = [await q.enqueue('f', [], { retry: { max: 1 } }), await q.enqueue('g')];
    const f = async (): Promise<never> => {
      await sleep(1);
      throw hostile;
    };
    const worker = makeWorker({ f, g: () => 'went on' }, {}, 'default');
    void worker.work();
    expect(await next.wait({ timeout: 15 })).toBe('went on');
    await expect(bad.wait({ timeout: 15 })).rejects.toThrow(/failed/);
  });
});
