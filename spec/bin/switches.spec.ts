/** `rq suspend`, `resume`, `pause`, `unpause`, `rate`, `cancel` and `stop`: one step each. */
import { describe, expect, it } from 'vitest';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';
import { complaint, rq, rqJson } from '../support/rq.ts';

const redis = useRedis();
const q = useQueue(redis);
const makeWorker = useWorkers(redis);

describe('rq suspend and rq resume', () => {
  it('suspend all workers until they are resumed', async () => {
    const said = await rq(redis.url, 'suspend');
    expect(said.out).toBe("Suspending workers until 'rq resume'. No new jobs will be started\n");
    expect(await redis.client.ttl('rq:suspended')).toBe(-1);
    expect(await rq(redis.url, 'resume')).toEqual({ code: 0, out: 'Resuming workers\n', err: '' });
    expect(await redis.client.exists('rq:suspended')).toBe(0);
  });

  it.each([
    ['90', 90],
    ['5m', 300],
  ])('suspend for %s', async (duration, seconds) => {
    await rq(redis.url, 'suspend', '--duration', duration);
    expect(await redis.client.ttl('rq:suspended')).toBeGreaterThan(seconds - 20);
    expect(await redis.client.ttl('rq:suspended')).toBeLessThanOrEqual(seconds);
  });

  it.each(['soon', '-1', '', '0', '500ms'])('refuse the duration %j', async duration => {
    expect(await rq(redis.url, 'suspend', '--duration', duration)).toEqual(complaint(/duration/, 2));
    expect(await redis.client.dbsize()).toBe(0);
  });
});

describe('rq pause and rq unpause', () => {
  it('close and open queues', async () => {
    await redis.client.sadd('rq:queues', 'rq:queue:default', 'rq:queue:other');
    const said = await rq(redis.url, 'pause', 'default', 'other');
    expect(said).toEqual({ code: 0, out: 'Paused default\nPaused other\n', err: '' });
    expect(await q.isPaused()).toBe(true);
    expect((await rq(redis.url, 'unpause', 'default')).out).toBe('Resumed default\n');
    expect(await q.isPaused()).toBe(false);
    expect(await redis.client.hexists('rq:limits:other', 'paused')).toBe(1);
  });

  it.each(['pause', 'unpause'])(
    '%s changes nothing where a queue is unknown, unless it is new',
    async command => {
      await redis.client.sadd('rq:queues', 'rq:queue:default');
      expect(await rq(redis.url, command, 'default', 'nope')).toEqual(complaint(/no queue "nope"/, 1));
      expect(await redis.client.exists('rq:limits:default')).toBe(0);
      expect((await rq(redis.url, command, '--new', 'nope')).code).toBe(0);
    },
  );

  it('know a queue that only a worker has named', async () => {
    const working = makeWorker({ f: () => 1 }, { name: 'w' }, 'heard').work();
    working.catch(() => {});
    await expect.poll(() => redis.client.exists('rq:worker:w')).toBe(1);
    expect((await rq(redis.url, 'pause', 'heard')).code).toBe(0);
  });
});

describe('rq rate', () => {
  it('sets, shows and takes away a rate', async () => {
    await redis.client.sadd('rq:queues', 'rq:queue:default');
    const out = async (...args: string[]): Promise<string> => (await rq(redis.url, 'rate', ...args)).out;
    expect(await out('default')).toBe('default none\n');
    expect(await out('default', '10/m')).toBe('default 10/m\n');
    expect(await q.getRateLimit()).toBe('10/m');
    expect(await rqJson(redis.url, 'rate', 'default')).toEqual({ queue: 'default', rate: '10/m' });
    expect(await out('default', 'none')).toBe('default none\n');
    expect(await rqJson(redis.url, 'rate', 'default')).toEqual({ queue: 'default', rate: null });
  });

  it('refuses what is no rate, and a queue that there is none of', async () => {
    await redis.client.sadd('rq:queues', 'rq:queue:default');
    expect(await rq(redis.url, 'rate', 'default', 'fast')).toEqual(complaint(/rate.*"fast"/, 2));
    expect(await rq(redis.url, 'rate', 'nope', '10/m')).toEqual(complaint(/no queue "nope"/, 1));
    expect(await redis.client.keys('rq:limits:*')).toEqual([]);
  });
});

describe('rq cancel', () => {
  it('cancels jobs that wait', async () => {
    await q.enqueue('f', [], { jobId: 'a' });
    await q.enqueue('f', [], { jobId: 'b' });
    expect(await rq(redis.url, 'cancel', 'a', 'b')).toEqual({
      code: 0,
      out: 'Canceled: a\nCanceled: b\n',
      err: '',
    });
    expect([await q.count(), await q.canceledRegistry.count()]).toEqual([0, 2]);
  });

  it.each([
    ['--enqueue-dependents', 'queued'],
    ['--cancel-dependents', 'canceled'],
  ])('with %s has those that wait for it %s', async (flag, status) => {
    const first = await q.enqueue('f', [], { jobId: 'first' });
    const last = await q.enqueue('f', [], { dependsOn: first });
    // a worker tells those that wait, and runs nothing
    await redis.client.set('rq:suspended', '1');
    makeWorker({ f: () => 1 }, {}, 'default')
      .work()
      .catch(() => {});
    expect((await rq(redis.url, 'cancel', 'first', flag)).code).toBe(0);
    await expect.poll(() => last.getStatus(), { timeout: 15_000 }).toBe(status);
  });

  it('goes on with the others where one is gone or has ended, and says so on one line', async () => {
    await redis.client.hset('rq:job:done', { status: 'finished', origin: 'default' });
    await q.enqueue('f', [], { jobId: 'last' });
    const said = await rq(redis.url, 'cancel', 'gone', 'done', 'last');
    expect(said).toEqual({ ...complaint(/no job gone.*done.*finished/, 1), out: 'Canceled: last\n' });
    expect(await q.canceledRegistry.getJobIds()).toEqual(['last']);
  });

  it('ends with one line for a job that is gone, has ended, or has no such id', async () => {
    await redis.client.hset('rq:job:done', { status: 'finished', origin: 'default' });
    expect(await rq(redis.url, 'cancel', 'gone')).toEqual(complaint(/no job gone: it expired/, 1));
    expect(await rq(redis.url, 'cancel', 'done')).toEqual(complaint(/done.*finished/, 1));
    expect(await rq(redis.url, 'cancel', 'a.b')).toEqual(complaint(/job id.*"a\.b"/, 2));
  });
});

describe('rq stop', () => {
  it('ends a job that runs', async () => {
    const waits = async (): Promise<void> => {
      await new Promise(() => {});
    };
    void makeWorker({ waits }, { grace: '100ms' }, 'default').work();
    const job = await q.enqueue('waits', [], { jobId: 'runs' });
    await expect.poll(() => job.getStatus(), { timeout: 15_000 }).toBe('started');
    expect(await rq(redis.url, 'stop', 'runs')).toEqual({ code: 0, out: 'Asked to stop: runs\n', err: '' });
    await expect.poll(() => job.getStatus(), { timeout: 10_000 }).toBe('stopped');
  });

  it('ends with one line for a job that waits, or is gone', async () => {
    await q.enqueue('f', [], { jobId: 'waits' });
    expect(await rq(redis.url, 'stop', 'waits')).toEqual(complaint(/waits.*queued/, 1));
    expect(await rq(redis.url, 'stop', 'gone')).toEqual(complaint(/no job gone/, 1));
  });
});
