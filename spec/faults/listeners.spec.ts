import type { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WorkerEvents } from '../../lib/worker/events.ts';
import type { Logger } from '../../lib/worker/log.ts';
import type { WorkerOptions } from '../../lib/worker/settings.ts';
import type { Worker } from '../../lib/worker/worker.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const soon = { timeout: 10_000, interval: 10 };
const begun: Worker[] = [];
const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);

beforeEach(() => {
  unhandled.length = 0;
  process.on('unhandledRejection', note).on('uncaughtException', note);
});
afterEach(() => {
  // so that it can be stopped, whatever the test found
  for (const worker of begun.splice(0)) worker.removeAllListeners();
  process.off('unhandledRejection', note).off('uncaughtException', note);
});

const BOOM = 'a listener of the spec’s';
const boom = (): never => {
  throw new Error(BOOM);
};
const throwAt = (worker: EventEmitter, event: keyof WorkerEvents): void => void worker.on(event, boom);

/** Number of blocking reads under way. */
async function reads(): Promise<number> {
  const lines = String(await redis.client.client('LIST')).split('\n');
  return lines.filter(line => / flags=\S*b/.test(line) && line.includes('cmd=blmove')).length;
}

interface Trial {
  readonly worker: Worker;
  readonly runs: number[];
  readonly working: Promise<void>;
  readonly rejected: unknown[];
}

function begin(listen: (worker: Worker) => void, options: Partial<WorkerOptions> = {}): Trial {
  const runs: number[] = [];
  const fail = (): never => {
    throw new RangeError('no');
  };
  const worker = makeWorker({ note: (n: number) => runs.push(n), fail }, { concurrency: 1, ...options });
  begun.push(worker);
  listen(worker);
  const rejected: unknown[] = [];
  const working = worker.work().catch((error: unknown) => void rejected.push(error));
  return { worker, runs, working, rejected };
}

const FINE = { runs: [1, 2, 3, 4], waiting: 0, started: 0, rejected: [], unhandled: [] };

/** Three jobs at once and one after them, in a slot that is the only one; then the worker stops. What came of it. */
async function outcome({ worker, runs, working, rejected }: Trial): Promise<object> {
  await q.enqueueMany([1, 2, 3].map(n => ['note', [n]] as const));
  await expect.poll(() => q.finishedRegistry.count(), soon).toBe(3);
  await expect.poll(reads, soon).toBe(1);
  const last = await q.enqueue('note', [4]);
  await expect.poll(() => last.getStatus(), soon).toBe('finished');
  const [waiting, started] = await Promise.all([q.count(), q.startedRegistry.count()]);
  await worker.stop();
  await working;
  return { runs, waiting, started, rejected, unhandled };
}

describe('a listener that throws costs no job and no slot', () => {
  it.each(['jobStarted', 'jobFinished'] as const)('of %s', async event => {
    const told: string[] = [];
    const trial = begin(worker => {
      worker.on('error', error => told.push(error.message));
      throwAt(worker, event);
    });
    expect(await outcome(trial)).toEqual(FINE);
    expect(told).toEqual(Array.from({ length: 4 }, () => BOOM));
  });

  it.each(['jobStarted', 'jobFinished'] as const)('of %s, where nobody listens to errors', async event => {
    expect(await outcome(begin(worker => throwAt(worker, event)))).toEqual(FINE);
  });

  it.each(['jobFailed', 'jobRetried'] as const)('of %s', async event => {
    const job = await q.enqueue('fail');
    // a retry plan, as Python writes it
    if (event === 'jobRetried') await redis.client.hset(`rq:job:${job.id}`, { retries_left: '1' });
    const trial = begin(worker => throwAt(worker, event));
    await expect.poll(() => job.getStatus(), soon).toBe('failed');
    expect(await outcome(trial)).toEqual(FINE);
  });

  it('of jobDropped', async () => {
    const trial = begin(worker => throwAt(worker, 'jobDropped'));
    await redis.client.rpush('rq:queue:q', 'gone');
    expect(await outcome(trial)).toEqual(FINE);
  });

  it('of error, when another listener threw', async () => {
    const told: string[] = [];
    const trial = begin(worker =>
      worker.on('jobFinished', boom).on('error', error => {
        told.push(error.message);
        boom();
      }),
    );
    expect(await outcome(trial)).toEqual(FINE);
    expect(told).toEqual(Array.from({ length: 4 }, () => BOOM));
  });

  it('of error, when Redis refused', async () => {
    // a queue that can't be used is told of as an error
    await redis.client.set('rq:queue:q', 'x');
    let errors = 0;
    const trial = begin(worker =>
      worker.on('error', () => {
        errors++;
        boom();
      }),
    );
    await expect.poll(() => errors, soon).toBeGreaterThan(0);
    await redis.client.del('rq:queue:q');
    expect(await outcome(trial)).toEqual(FINE);
  });

  it('of error, of which the process is warned', async () => {
    const warned: string[] = [];
    const hear = (warning: Error): void => void warned.push(warning.message);
    process.on('warning', hear);
    try {
      expect(await outcome(begin(worker => worker.on('jobFinished', boom).on('error', boom)))).toEqual(FINE);
      await expect.poll(() => warned.filter(text => text.includes(BOOM)), soon).toHaveLength(4);
    } finally {
      process.off('warning', hear);
    }
  });

  it('of recovered', async () => {
    const run = `1:n${'1'.repeat(31)}`;
    await redis.client.hset('rq:job:1', {
      status: 'started',
      origin: 'q',
      data: '["fail",null,[],{}]',
      execution_id: `n${'1'.repeat(31)}`,
      worker_name: 'dead',
    });
    await redis.client.zadd('rq:wip:q', Date.now() / 1000, run);
    expect(await outcome(begin(worker => throwAt(worker, 'recovered')))).toEqual(FINE);
    expect(await redis.client.hget('rq:job:1', 'status')).toBe('failed');
  });
});

describe('a logger that throws costs no job and no slot', () => {
  const loggerOf = (line: (fields: object, message: string) => void): Logger => ({
    debug: line,
    info: line,
    warn: line,
    error: line,
  });
  const at = (what: RegExp): Logger =>
    loggerOf((_, message) => {
      if (what.test(message)) boom();
    });

  it('at what it is told of jobs', async () => {
    const logger = loggerOf(fields => {
      if ('job_id' in fields) boom();
    });
    expect(await outcome(begin(() => {}, { logger }))).toEqual(FINE);
  });

  it('at errors', async () => {
    const logger = { ...loggerOf(() => {}), error: boom };
    expect(await outcome(begin(worker => worker.on('jobFinished', boom), { logger }))).toEqual(FINE);
  });

  it.each([
    ['when the worker starts', /started, version/],
    ['when it subscribes', /Subscribing/],
    ['when it listens', /Listening on/],
    ['when it begins to clean', /Cleaning/],
    ['when it is told to stop', /shut down requested/],
    ['when it has stopped', /^Stopped/],
  ])('%s', async (_, what) => {
    expect(await outcome(begin(() => {}, { logger: at(what) }))).toEqual(FINE);
  });

  it.each([
    ['when the connection is lost', /trying again/],
    ['when the connection is back', /Connected to Redis again/],
  ])('%s', async (_, what) => {
    const trial = begin(() => {}, { logger: at(what) });
    await expect.poll(reads, soon).toBe(1);
    await redis.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    expect(await outcome(trial)).toEqual(FINE);
  });

  it('at every line', async () => {
    expect(await outcome(begin(() => {}, { logger: loggerOf(boom) }))).toEqual(FINE);
  });
});
