/** `job.wait()`: told by Redis when the job ends, and not fooled where nobody tells. */
import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { WAIT_RECHECK_MS } from '../lib/defaults.ts';
import type { Job } from '../lib/job.ts';
import { quote } from '../lib/options.ts';
import { useQueue, useRedis, workOff } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);

const work = (): Promise<void> => workOff(redis);
/** Milliseconds after which it may have been a look of the waiter's own; a worker has to be started in them. */
const BEFORE_RECHECK = WAIT_RECHECK_MS - 100;

/** How long something takes, in milliseconds. */
async function timed<T>(promise: Promise<T>): Promise<[value: T, ms: number]> {
  const began = performance.now();
  return [await promise, performance.now() - began];
}

/** Resolves once somebody listens to the job. */
async function listened(job: Job): Promise<void> {
  const channel = `rq:status:${job.origin}:${job.id}`;
  await vi.waitFor(async () => expect(await redis.client.pubsub('NUMSUB', channel)).toEqual([channel, 1]), {
    timeout: 10_000,
    interval: 10,
  });
}

describe('Job.wait', () => {
  it('gives the value long before the next look', async () => {
    const job = await q.enqueue('sum', [[42, 43]]);
    const wait = timed(job.wait({ timeout: '10s' }));
    await listened(job);
    await work();
    const [value, ms] = await wait;
    expect(value).toBe(85);
    expect(job.status).toBe('finished');
    expect(ms).toBeLessThan(BEFORE_RECHECK);
  });

  it('gives the value at once where the job has ended before', async () => {
    const job = await q.enqueue('sum', [[42, 43]]);
    await work();
    const [value, ms] = await timed(job.wait());
    expect(value).toBe(85);
    expect(ms).toBeLessThan(BEFORE_RECHECK);
  });

  it('gives null for a function that returns nothing', async () => {
    const job = await q.enqueue('nothing');
    const wait = job.wait();
    await listened(job);
    await work();
    expect(await wait).toBeNull();
  });

  it('gives a value that is too long for a message', async () => {
    const text = 'x'.repeat(200_000);
    const job = await q.enqueue('echo', [text]);
    const wait = timed(job.wait());
    await listened(job);
    await work();
    const [value, ms] = await wait;
    expect(value).toEqual([text]);
    expect(ms).toBeLessThan(BEFORE_RECHECK);
  });

  it('rejects at once when the job fails', async () => {
    const job = await q.enqueue('fail', ['no luck']);
    const wait = timed(job.wait().catch((error: unknown) => error));
    await listened(job);
    await work();
    const [error, ms] = await wait;
    expect(error).toMatchObject({
      code: 'RQ_JOB_FAILED',
      remote: { name: 'RangeError', message: 'no luck' },
    });
    expect(ms).toBeLessThan(BEFORE_RECHECK);
  });

  it('rejects at once when the job is canceled', async () => {
    const job = await q.enqueue('f');
    const wait = timed(job.wait().catch((error: unknown) => error));
    await listened(job);
    await job.cancel();
    const [error, ms] = await wait;
    expect(error).toMatchObject({ code: 'RQ_JOB_CANCELED' });
    expect(ms).toBeLessThan(BEFORE_RECHECK);
  });

  it('rejects at once where there is no such job', async () => {
    const job = await q.enqueue('f');
    await job.delete();
    const [error, ms] = await timed(job.wait().catch((reason: unknown) => reason));
    expect(error).toMatchObject({ code: 'RQ_NO_SUCH_JOB' });
    expect(ms).toBeLessThan(BEFORE_RECHECK);
  });

  it('gives up after its timeout, and leaves the job alone', async () => {
    const job = await q.enqueue('f');
    const [error, ms] = await timed(job.wait({ timeout: '300ms' }).catch((reason: unknown) => reason));
    expect(error).toMatchObject({ name: 'WaitTimeoutError', code: 'RQ_WAIT_TIMEOUT', jobId: job.id });
    expect(String(error)).toMatch(/had not ended after 0\.3 s: it is queued/);
    expect(ms).toBeGreaterThan(290);
    expect(ms).toBeLessThan(BEFORE_RECHECK);
    expect(await job.getStatus()).toBe('queued');
  });

  it('ends its subscription', async () => {
    const job = await q.enqueue('f');
    await expect(job.wait({ timeout: '100ms' })).rejects.toMatchObject({ code: 'RQ_WAIT_TIMEOUT' });
    await vi.waitFor(async () => expect(await redis.client.pubsub('CHANNELS')).toEqual([]), {
      timeout: 10_000,
      interval: 10,
    });
  });

  it('serves many waiters of many jobs over one connection', async () => {
    const jobs = await q.enqueueMany(Array.from({ length: 40 }, (_, i) => ['sum', [[i]]] as const));
    const waits = jobs.flatMap(job => [job.wait(), job.wait()]);
    await Promise.all(jobs.map(listened));
    const pubsub = ((await redis.client.client('LIST', 'TYPE', 'PUBSUB')) as string).trim().split('\n');
    expect(pubsub).toHaveLength(1);
    await work();
    expect(await Promise.all(waits)).toEqual(jobs.flatMap((_, i) => [i, i]));
  });

  it('survives the loss of its connection', async () => {
    const job = await q.enqueue('sum', [[1, 2]]);
    const wait = timed(job.wait({ timeout: '20s' }));
    await listened(job);
    await redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    // it ends while nobody listens
    await work();
    const [value, ms] = await wait;
    expect(value).toBe(3);
    expect(ms).toBeLessThan(BEFORE_RECHECK);
  });

  it('hears the message after the loss of its connection', async () => {
    const job = await q.enqueue('sum', [[1, 2]]);
    const wait = timed(job.wait({ timeout: '20s' }));
    await listened(job);
    await redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await listened(job);
    await work();
    expect((await wait)[0]).toBe(3);
    expect((await wait)[1]).toBeLessThan(BEFORE_RECHECK);
  });

  it('is not misled by a message that is none', async () => {
    const job = await q.enqueue('sum', [[1, 2]]);
    const wait = job.wait({ timeout: '20s' });
    await listened(job);
    const channel = `rq:status:default:${job.id}`;
    for (const text of ['not json', '{}', '[]', 'null', '{"status":"finished"}'])
      await redis.client.publish(channel, text);
    expect(await Promise.race([wait, job.getStatus()])).toBe('queued');
    await work();
    expect(await wait).toBe(3);
  });

  it('notices what nobody told: an end by Python, a deletion, an expiry', async () => {
    const [finished, failed, deleted, expired] = await q.enqueueMany([['f'], ['f'], ['f'], ['f']]);
    const waits = [finished, failed, deleted, expired].map(job =>
      timed(job.wait().catch((error: unknown) => error)),
    );
    await Promise.all([finished, failed, deleted, expired].map(listened));
    await redis.client.hset(`rq:job:${finished.id}`, { status: 'finished', result: '7' });
    await redis.client.hset(`rq:job:${failed.id}`, { status: 'failed', exc_info: 'ValueError: no' });
    await deleted.delete();
    await redis.client.pexpire(`rq:job:${expired.id}`, 1);
    const [a, b, c, d] = await Promise.all(waits);
    expect(a?.[0]).toBe(7);
    expect(b?.[0]).toMatchObject({ code: 'RQ_JOB_FAILED', remote: { name: 'ValueError', message: 'no' } });
    expect(c?.[0]).toMatchObject({ code: 'RQ_NO_SUCH_JOB', jobId: deleted.id });
    expect(d?.[0]).toMatchObject({ code: 'RQ_NO_SUCH_JOB', jobId: expired.id });
    for (const each of [a, b, c, d]) expect(each?.[1]).toBeLessThan(2 * WAIT_RECHECK_MS);
  });

  it('ends with the reason of its signal, and leaves the job alone', async () => {
    const job = await q.enqueue('sum', [[1, 2]]);
    const ending = new AbortController();
    const wait = timed(job.wait({ timeout: '20s', signal: ending.signal }).catch((error: unknown) => error));
    await listened(job);
    const reason = new Error('enough');
    ending.abort(reason);
    const [error, ms] = await wait;
    expect(error).toBe(reason);
    expect(ms).toBeLessThan(BEFORE_RECHECK);
    expect(await job.getStatus()).toBe('queued');
    await work();
    expect(await job.wait()).toBe(3);
  });

  it('does not begin where its signal is aborted already', async () => {
    const job = await q.enqueue('sum', [[1, 2]]);
    await expect(job.wait({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    await work();
    await expect(job.wait({ signal: AbortSignal.abort('no') })).rejects.toBe('no');
  });

  it('ends with a signal’s own time, also where the job waits for others', async () => {
    const first = await q.enqueue('nobody');
    const job = await q.enqueue('echo', [first]);
    const wait = job.wait({ signal: AbortSignal.timeout(50) });
    await expect(wait).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  it('leaves no listener on a signal that outlives it', async () => {
    const first = await q.enqueue('nobody');
    const job = await q.enqueue('echo', [first]);
    const { signal } = new AbortController();
    // long enough for it to look anew
    await expect(job.wait({ timeout: '1200ms', signal })).rejects.toMatchObject({ code: 'RQ_WAIT_TIMEOUT' });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it.each([5, 'now', {}, null, new AbortController()])('refuses %s as a signal', async signal => {
    const job = await q.enqueue('sum', [[1, 2]]);
    await expect(job.wait({ signal: signal as AbortSignal })).rejects.toThrow(
      new TypeError(`wait.signal must be an AbortSignal, not ${quote(signal)}`),
    );
  });
});
