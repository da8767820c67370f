import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { getCurrentJob, Queue, type Job, type StatusMessage } from '../lib/index.ts';
import { PROGRESS_FLUSH_MS, PROGRESS_MS } from '../lib/defaults.ts';
import { parseProgress, Reporter, toProgress } from '../lib/progress.ts';
import { useQueue, useRedis, useWorkers } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const current = () => {
  const job = getCurrentJob();
  if (job === undefined) throw new Error('not in a job');
  return job;
};
const stored = async ({ id }: Job): Promise<unknown> =>
  JSON.parse((await redis.client.hget(`rq:job:${id}`, 'progress')) ?? 'null');

/** What is told of a job, once it is listened to. */
async function listenTo(
  job: Job,
): Promise<{ readonly messages: StatusMessage[]; readonly over: Promise<void> }> {
  const messages: StatusMessage[] = [];
  const over = (async () => {
    for await (const message of job.statuses()) messages.push(message);
  })();
  await expect.poll(() => messages.length).toBeGreaterThan(0);
  return { messages, over };
}

describe('parseProgress', () => {
  it.each([undefined, '', 'no JSON', '[]', '5', '{}', '{"value":"0.5"}', 'null'])('passes over %j', text => {
    expect(parseProgress(text)).toBeUndefined();
  });

  it('reads value, text and time', () => {
    expect(toProgress({ value: 0.5, text: 'half', at: '2026-01-02T03:04:05.000000Z' })).toEqual({
      value: 0.5,
      text: 'half',
      at: new Date(Date.UTC(2026, 0, 2, 3, 4, 5)),
    });
  });
});

describe('Reporter', () => {
  afterEach(() => vi.useRealTimers());

  it.each([-0.1, 1.1, NaN, Infinity, '0.5', undefined, null, 5n])('refuses %s', value => {
    const reporter = new Reporter(
      () => Promise.resolve(),
      () => {},
    );
    expect(() => reporter.report(value as number)).toThrow(RangeError);
    expect(() => reporter.report(value as number)).toThrow(/from 0 to 1, not /);
    expect(() => reporter.report(1, 5 as unknown as string)).toThrow(TypeError);
    expect(reporter.last).toBeUndefined();
    expect(reporter.flush()).toBeUndefined();
  });

  it('sends the first one at once, then the latest every 250 ms, and the last one in any case', async () => {
    // the time of this machine may stand still for so long that a write more, or less, comes between
    vi.useFakeTimers();
    const sent: { readonly at: number; readonly json: string }[] = [];
    const reporter = new Reporter(
      async json => sent.push({ at: performance.now(), json }),
      () => {},
    );
    reporter.report(0);
    expect(sent).toHaveLength(1);
    const ends = performance.now() + 2.5 * PROGRESS_MS;
    for (let n = 1; performance.now() < ends; n++) {
      reporter.report(Math.min(0.9, n / 1000), `step ${n}`);
      await vi.advanceTimersByTimeAsync(1);
    }
    reporter.report(1);
    await reporter.flush();
    expect(sent).toHaveLength(4);
    // all but the last one, which the end of the run does not wait for
    const gaps = sent.slice(1, -1).map(({ at }, i) => at - (sent[i]?.at ?? 0));
    expect(gaps).toEqual([PROGRESS_MS, PROGRESS_MS]);
    expect(sent.at(-1)?.json).toBe('{"value":1}');
  });

  it('has one write under way at a time', async () => {
    const sent: string[] = [];
    let arrive = (): void => {};
    const reporter = new Reporter(
      json => {
        sent.push(json);
        return new Promise<void>(resolve => (arrive = resolve));
      },
      () => {},
    );
    reporter.report(0);
    await sleep(PROGRESS_MS + 10);
    reporter.report(0.5);
    reporter.report(0.6);
    expect(sent).toEqual(['{"value":0}']);
    const flushed = reporter.flush();
    arrive();
    await expect.poll(() => sent).toEqual(['{"value":0}', '{"value":0.6}']);
    arrive();
    await flushed;
    reporter.report(0.7);
    expect(reporter.flush()).toBeUndefined();
  });

  it('waits a second at most for the last one, and drops it where it is to', async () => {
    vi.useFakeTimers();
    const reporter = new Reporter(
      () => new Promise(() => {}),
      () => {},
    );
    reporter.report(1);
    let over = false;
    const flushed = reporter.flush()?.then(() => (over = true));
    await vi.advanceTimersByTimeAsync(PROGRESS_FLUSH_MS - 1);
    expect(over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await flushed;
    const other = new Reporter(
      () => Promise.resolve(),
      () => {},
    );
    other.report(0.1);
    await other.flush();
    other.drop();
    expect(other.flush()).toBeUndefined();
  });

  it('cuts the text, and leaves no half of a character', () => {
    const sent: string[] = [];
    const reporter = new Reporter(
      async json => sent.push(json),
      () => {},
    );
    reporter.report(0.5, 'x'.repeat(999) + '😀'.repeat(10));
    const { text = '' } = JSON.parse(sent[0] ?? '') as { text?: string };
    expect(text).toBe(`${'x'.repeat(999)}\ufffd`);
  });
});

describe('CurrentJob.progress', () => {
  it('is kept, told while the job runs, and read afterwards', async () => {
    const job = await q.enqueue('f');
    expect(job.progress()).toBeUndefined();
    const { messages, over } = await listenTo(job);
    const f = async (): Promise<unknown> => {
      const own = current();
      own.progress(0.4, 'text with "quotes" and ünïcode');
      await expect.poll(() => stored(job)).toMatchObject({ value: 0.4 });
      own.progress(1);
      return own.progress()?.value;
    };
    const worker = makeWorker({ f });
    await worker.work({ burst: true });
    await over;
    const told = { jobId: job.id, status: 'started', queue: 'q', worker: worker.name };
    const at = expect.any(Date) as Date;
    expect(messages).toMatchObject([
      { status: 'queued' },
      { status: 'started' },
      { ...told, progress: { value: 0.4, text: 'text with "quotes" and ünïcode', at } },
      { ...told, progress: { value: 1, at } },
      { status: 'finished' },
    ]);
    expect(await job.result).toBe(1);
    expect((await job.refresh()).progress()).toEqual({ value: 1, at });
    const { at: time } = (await stored(job)) as { at: string };
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(messages[3]?.progress?.at).toEqual(new Date(time));
  });

  it('is told before the outcome, however fast the function ends', async () => {
    const job = await q.enqueue('f');
    const { messages, over } = await listenTo(job);
    const f = (): void => {
      for (let n = 0; n <= 1000; n++) current().progress(n / 1000);
    };
    await makeWorker({ f }).work({ burst: true });
    await over;
    expect(messages.map(({ status, progress }) => [status, progress?.value])).toEqual([
      ['queued', undefined],
      ['started', undefined],
      ['started', 0],
      ['started', 1],
      ['finished', undefined],
    ]);
    expect(await stored(job)).toMatchObject({ value: 1 });
  });

  it('fails a job that says nonsense', async () => {
    const job = await q.enqueue('f');
    await makeWorker({ f: () => current().progress(40) }).work({ burst: true });
    await expect(job.result).rejects.toThrow('progress must be a number from 0 to 1, not 40');
  });

  it('is gone when the job is queued or scheduled again', async () => {
    const [again, later] = await q.enqueueMany([
      ['f', [], { retry: { max: 1 } }],
      ['f', [], { retry: { max: 1, interval: 60 } }],
    ]);
    const seen: unknown[] = [];
    const f = (): never => {
      seen.push(current().progress()?.value);
      current().progress(0.5);
      throw new Error('no');
    };
    await makeWorker({ f }, { concurrency: 1 }).work({ burst: true });
    expect(seen).toEqual([undefined, undefined, undefined]);
    expect([await stored(again), await stored(later)]).toMatchObject([{ value: 0.5 }, null]);
    await again.requeue();
    expect(await stored(again)).toBeNull();
  });

  it('is dropped where the run is not the job’s any more, or goes back', async () => {
    const job = await q.enqueue('f');
    const f = async (): Promise<void> => {
      await redis.client.hset(`rq:job:${job.id}`, 'execution_id', 'another');
      current().progress(0.5);
      await sleep(1);
    };
    const worker = makeWorker({ f });
    const lost = once(worker, 'jobLost');
    void worker.work();
    await lost;
    expect(await stored(job)).toBeNull();
  });

  it('brings no deleted job back', async () => {
    const job = await q.enqueue('f');
    const f = async (): Promise<void> => {
      await job.delete();
      current().progress(0.5);
    };
    await makeWorker({ f }).work({ burst: true });
    expect(await redis.client.exists(`rq:job:${job.id}`)).toBe(0);
  });

  it('costs the job nothing where Redis does not take it, and is warned of once', async () => {
    const job = await q.enqueue('f');
    const f = async (): Promise<string> => {
      await redis.client.config('SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '1');
      for (const value of [0.1, 0.2, 0.3]) {
        current().progress(value);
        await sleep(PROGRESS_MS + 20);
      }
      return 'done';
    };
    const warnings: string[] = [];
    const worker = makeWorker({ f }).on('warning', text => warnings.push(text));
    await worker.work({ burst: true });
    await redis.client.config('SET', 'maxmemory', '0');
    expect(await job.result).toBe('done');
    expect(warnings).toEqual([
      expect.stringMatching(new RegExp(`^Progress of job ${job.id} is not stored: .*OOM`)),
    ]);
  });

  it('is kept where the caller runs the job', async () => {
    await using now = new Queue('q', { connection: redis.url, isAsync: false });
    const job = await now.enqueue(function half(): void {
      current().progress(0.5, 'half');
    });
    expect(job.progress()).toMatchObject({ value: 0.5, text: 'half' });
  });

  it('writes nothing for a job that says nothing', async () => {
    const job = await q.enqueue('f');
    await makeWorker().work({ burst: true });
    expect(await redis.client.hexists(`rq:job:${job.id}`, 'progress')).toBe(0);
  });
});

describe('CurrentJob.saveMeta', () => {
  it('is told while the job runs, and from elsewhere is not', async () => {
    const job = await q.enqueue('f', [], { meta: { a: 1 } });
    const { messages, over } = await listenTo(job);
    const f = async (): Promise<void> => {
      job.meta = { outside: true };
      await job.saveMeta();
      const own = current();
      own.meta['b'] = [2];
      await own.saveMeta();
      own.meta = { long: 'x'.repeat(70_000) };
      await own.saveMeta();
    };
    await makeWorker({ f }).work({ burst: true });
    await over;
    expect(
      messages.filter(({ meta }) => meta !== undefined).map(({ status, meta }) => [status, meta]),
    ).toEqual([['started', { a: 1, b: [2] }]]);
    expect((await job.refresh()).meta['long']).toHaveLength(70_000);
  });
});
