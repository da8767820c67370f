import { describe, expect, it } from 'vitest';
import { callbackPlan } from '../lib/callback.ts';
import { functionName } from '../lib/functions.ts';
import { Queue, task, type EnqueueOptions } from '../lib/index.ts';
import { useQueue, useRedis } from './support/in-process.ts';
import { add } from './support/tasks.js';

const redis = useRedis();
const q = useQueue(redis, 'q');

const tell = (): void => {};
const UNNAMED = Object.defineProperty(() => 1, 'name', { value: '' });

describe('callbackPlan', () => {
  it.each<[options: unknown, kind: ErrorConstructor, said: RegExp]>([
    [{ onSuccess: 5 }, TypeError, /^onSuccess must be a function, its name, or \{ fn, timeout \}, not 5$/],
    [{ onFailure: null }, TypeError, /^onFailure must be .* not null$/],
    [{ onStopped: [tell] }, TypeError, /^onStopped must be .* not an array$/],
    [{ onSuccess: '' }, TypeError, /no name of its own/],
    [{ onSuccess: 'two words' }, TypeError, /not "two words"$/],
    [{ onSuccess: UNNAMED }, TypeError, /no name of its own/],
    [{ onSuccess: { timeout: 5 } }, TypeError, /not undefined$/],
    [{ onSuccess: { fn: 5 } }, TypeError, /not 5$/],
    [
      { onSuccess: { fn: 'f', timeOut: 5 } },
      TypeError,
      /option of onSuccess "timeOut": did you mean "timeout"/,
    ],
    [
      { onFailure: { fn: 'f', timeout: 0 } },
      RangeError,
      /^onFailure\.timeout must be at least 1 second, not 0$/,
    ],
    [{ onFailure: { fn: 'f', timeout: -1 } }, RangeError, /^onFailure\.timeout .* not -1$/],
    [{ onFailure: { fn: 'f', timeout: 'soon' } }, RangeError, /"soon"/],
  ])('refuses %o', async (options, kind, said) => {
    const given = options as EnqueueOptions;
    expect(() => callbackPlan(given, functionName)).toThrow(kind);
    expect(() => callbackPlan(given, functionName)).toThrow(said);
    await expect(q.enqueue('f', [], given)).rejects.toThrow(said);
    expect(() => task(add.bind(null), given)).toThrow(said);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('is nothing without a callback', () => {
    expect(callbackPlan({}, functionName)).toBeUndefined();
  });
});

describe('Queue.enqueue with callbacks', () => {
  const field = async (id: string): Promise<unknown> =>
    JSON.parse((await redis.client.hget(`rq:job:${id}`, 'callbacks')) ?? 'null');

  it('stores names and timeouts in a field of its own, and none of RQ’s', async () => {
    const named = task(() => {}, { name: 'tell.all' });
    const job = await q.enqueue('f', [], {
      onSuccess: tell,
      onFailure: { fn: named, timeout: '1.5s' },
      onStopped: 'by.name',
    });
    expect(await field(job.id)).toEqual({
      success: { name: 'tell', timeout: 60 },
      failure: { name: 'tell.all', timeout: 2 },
      stopped: { name: 'by.name', timeout: 60 },
    });
    const fields = await redis.client.hkeys(`rq:job:${job.id}`);
    expect(fields.filter(name => name.includes('_callback_'))).toEqual([]);
  });

  it('takes a task’s own where the call has none', async () => {
    const told = q.task((n: number): number => n, { name: 'told', onSuccess: tell, onFailure: 'task' });
    expect(await field((await told.delay(1)).id)).toEqual({
      success: { name: 'tell', timeout: 60 },
      failure: { name: 'task', timeout: 60 },
    });
    const job = await q.enqueue(told, [1], { onFailure: 'call', onStopped: 'call' });
    expect(await field(job.id)).toEqual({
      success: { name: 'tell', timeout: 60 },
      failure: { name: 'call', timeout: 60 },
      stopped: { name: 'call', timeout: 60 },
    });
  });

  it('calls them where the caller runs the job, without a worker that knows them', async () => {
    await using now = new Queue('q', { connection: redis.url, isAsync: false });
    const seen: unknown[] = [];
    const note = (job: { id: string }, what: unknown): number => seen.push(job.id, what);
    const job = await now.enqueue(add, [1, 2], { onSuccess: note, onFailure: 'unknown' });
    expect(seen).toEqual([job.id, 3]);
    const warnings: string[] = [];
    const listen = (warning: Error): number => warnings.push(warning.message);
    process.on('warning', listen);
    const fail = (): never => {
      throw new Error('no');
    };
    const other = await now.enqueue(fail, [], { onFailure: 'unknown' });
    expect(other.status).toBe('failed');
    await expect.poll(() => warnings).toEqual([expect.stringMatching(/unknown.*is not registered/)]);
    process.off('warning', listen);
  });
});
