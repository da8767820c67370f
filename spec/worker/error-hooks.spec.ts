import { describe, expect, it, vi } from 'vitest';
import { getCurrentJob, type ErrorHook, type JobFailedEvent } from '../../lib/index.ts';
import type { WorkerOptions } from '../../lib/worker/settings.ts';
import { ErrorHooks } from '../../lib/worker/error-hooks.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const thrown = new RangeError('too far');
const functions = {
  fail: () => Promise.reject(thrown),
  failOddly: () => Promise.reject('a text'),
  ok: () => 'fine',
};

/** Runs all that waits; gives what went wrong with the worker itself, and what it warned of. */
async function work(options: Partial<WorkerOptions>): Promise<{ errors: string[]; warnings: string[] }> {
  const [errors, warnings]: [string[], string[]] = [[], []];
  const worker = makeWorker(functions, options);
  worker.on('error', error => errors.push(error.message)).on('warning', text => warnings.push(text));
  await worker.work({ burst: true });
  return { errors, warnings };
}

describe('Worker: onError', () => {
  it('is called with what was thrown, the same value, and with the job', async () => {
    const job = await q.enqueue('fail', [1], { description: 'fail(1)' });
    await q.enqueue('ok');
    const calls: [unknown, JobFailedEvent][] = [];
    await work({ onError: (error, about) => void calls.push([error, about]) });
    expect(calls).toHaveLength(1);
    const [error, about] = calls[0] as [unknown, JobFailedEvent];
    expect(error).toBe(thrown);
    expect(about).toMatchObject({
      jobId: job.id,
      queue: 'q',
      functionName: 'fail',
      description: 'fail(1)',
      executionId: await redis.client.hget(`rq:job:${job.id}`, 'execution_id'),
      seconds: expect.any(Number),
      text: expect.stringMatching(/^RangeError: too far\n/),
    });
  });

  it('is called for each run that failed, those that are retried among them', async () => {
    await q.enqueue('fail', [], { retry: { max: 2 } });
    const onError = vi.fn<ErrorHook>();
    await work({ onError });
    expect(onError.mock.calls.map(([error]) => error)).toEqual([thrown, thrown, thrown]);
  });

  it('is called for what is no Error, and for a function that nobody registered', async () => {
    await q.enqueueMany([['failOddly'], ['unknown']]);
    const onError = vi.fn<ErrorHook>();
    await work({ onError });
    const errors = onError.mock.calls.map(([error]) => error);
    expect(errors).toEqual(['a text', expect.objectContaining({ code: 'RQ_FUNCTION_NOT_REGISTERED' })]);
  });

  it('does not run as if it were the job', async () => {
    await q.enqueue('fail');
    const seen: unknown[] = [];
    await work({ onError: () => seen.push(getCurrentJob()) });
    expect(seen).toEqual([undefined]);
  });

  it('calls several hooks in their order, also after one that throws, and after a listener that does', async () => {
    const job = await q.enqueue('fail');
    const order: string[] = [];
    const worker = makeWorker(functions, {
      onError: [
        () => {
          order.push('first');
          throw new Error('broken hook');
        },
        () => order.push('second'),
      ],
    });
    const errors: Error[] = [];
    worker
      .on('jobFailed', () => {
        throw new Error('broken listener');
      })
      .on('error', error => errors.push(error));
    await worker.work({ burst: true });
    expect(order).toEqual(['first', 'second']);
    const messages = errors.map(({ message }) => message);
    expect(messages).toEqual([`A hook of onError failed with job ${job.id}: broken hook`, 'broken listener']);
    expect(errors[0]?.stack).toContain('error-hooks.spec.ts');
    expect(await job.getStatus()).toBe('failed');
  });

  it('logs a promise that is rejected, and goes on', async () => {
    const failing = await q.enqueue('fail');
    const after = await q.enqueue('ok');
    const { errors } = await work({ onError: () => Promise.reject(new Error('no network')) });
    expect(errors).toEqual([`A hook of onError failed with job ${failing.id}: no network`]);
    expect(await after.result).toBe('fine');
  });

  it('is waited for when the worker stops, and no longer than two seconds', async () => {
    await q.enqueue('fail');
    let sent = false;
    await work({
      onError: () =>
        new Promise<void>(resolve => {
          setTimeout(() => resolve(void (sent = true)), 300);
        }),
    });
    expect(sent).toBe(true);

    await q.enqueue('fail');
    let began = 0;
    await work({
      onError: () => {
        began = performance.now();
        return new Promise(() => {});
      },
    });
    expect(performance.now() - began).toBeGreaterThan(1_900);
    expect(performance.now() - began).toBeLessThan(6_000);
  });

  it.each([
    ['a text', 'sentry', /onError must be a function.*"sentry"/],
    ['a list with something else in it', [() => {}, 5], /onError must be a function.*5/],
  ])('refuses %s', (_, onError, said) => {
    expect(() => makeWorker(functions, { onError: onError as unknown as ErrorHook })).toThrow(said);
  });
});

describe('ErrorHooks', () => {
  it('says of a hook that takes more than 5 s that it is slow', async () => {
    vi.useFakeTimers();
    try {
      const warnings: string[] = [];
      const hooks = new ErrorHooks(
        [() => new Promise(() => {}), () => Promise.resolve()],
        () => {},
        text => warnings.push(text),
      );
      hooks.tell({ jobId: 'j1', error: thrown } as JobFailedEvent);
      await vi.advanceTimersByTimeAsync(4_900);
      expect(warnings).toEqual([]);
      await vi.advanceTimersByTimeAsync(200);
      expect(warnings).toEqual(['A hook of onError has taken more than 5 s with job j1']);
    } finally {
      vi.useRealTimers();
    }
  });
});
