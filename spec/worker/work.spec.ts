import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { JobEvent } from '../../lib/worker/events.ts';
import { Worker } from '../../lib/worker/worker.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

/** The events of a worker's life, as they come. */
function eventsOf(worker: Worker): string[] {
  const seen: string[] = [];
  for (const name of ['started', 'subscribing', 'listening', 'cleaning', 'stopping', 'stopped'] as const) {
    worker.on(name, (...said: readonly unknown[]) => seen.push([name, ...said].join(' ')));
  }
  for (const name of ['jobStarted', 'jobFinished', 'jobFailed'] as const) {
    worker.on(name, ({ functionName }: JobEvent) => seen.push(`${name} ${functionName}`));
  }
  for (const name of ['suspended', 'resumed'] as const) worker.on(name, () => seen.push(name));
  return seen;
}

describe('Worker.work', () => {
  it('tells its life in order', async () => {
    await q.enqueueMany([['f'], ['fail']]);
    const worker = makeWorker({ f: () => 1, fail: () => Promise.reject(new Error('x')) });
    const seen = eventsOf(worker);
    await worker.work({ burst: true });
    expect(seen).toEqual([
      `started ${worker.name}`,
      `subscribing rq:pubsub:${worker.name}`,
      'listening q',
      'cleaning q',
      'jobStarted f',
      'jobFinished f',
      'jobStarted fail',
      'jobFailed fail',
      'stopped',
    ]);
  });

  it('works once', async () => {
    const worker = makeWorker();
    await worker.work({ burst: true });
    expect(() => worker.work()).toThrow(expect.objectContaining({ code: 'RQ_WORKER_USED' }));
  });

  it('runs jobs that come later', async () => {
    const worker = makeWorker({ f: (x: number) => x * 2 });
    void worker.work();
    await once(worker, 'listening');
    for (const n of [1, 2, 3]) expect(await (await q.enqueue('f', [n])).wait({ timeout: 15 })).toBe(n * 2);
  });

  it('describes a job in its events', async () => {
    const job = await q.enqueue('f', [1, 'x'], { resultTtl: 7 });
    const worker = makeWorker();
    const finished = once(worker, 'jobFinished');
    await worker.work({ burst: true });
    const [event] = await finished;
    expect(event).toMatchObject({
      jobId: job.id,
      queue: 'q',
      functionName: 'f',
      description: 'f(1, "x")',
      ttl: 7,
    });
  });

  it('names what was dropped, and why', async () => {
    await redis.client.rpush('rq:queue:q', 'expired');
    const worker = makeWorker();
    const dropped = once(worker, 'jobDropped');
    await worker.work({ burst: true });
    expect((await dropped)[0]).toEqual({ jobId: 'expired', queue: 'q', reason: 'gone' });
  });

  it('warns where an export’s name and its function’s differ', async () => {
    function bundled(): void {}
    const worker = makeWorker({ sendMail: bundled });
    const [text] = (await once(worker, 'warning')) as [string];
    expect(text).toContain("'bundled'");
    expect(text).toContain("'sendMail'");
  });
});

describe('Worker.work with burst', () => {
  it('ends when the queues are empty', async () => {
    const worker = makeWorker();
    await worker.work({ burst: true });
    expect(await redis.client.hexists(`rq:worker:${worker.name}`, 'death')).toBe(1);
  });

  it('runs what its jobs put on the queues', async () => {
    const seen: string[] = [];
    const first = async (): Promise<void> => {
      seen.push('first');
      await q.enqueue('second');
    };
    await q.enqueue('first');
    await makeWorker({ first, second: () => seen.push('second') }).work({ burst: true });
    expect(seen).toEqual(['first', 'second']);
  });

  it('ends while work is suspended, and takes nothing', async () => {
    await q.enqueue('f');
    await redis.client.set('rq:suspended', '1');
    await makeWorker().work({ burst: true });
    expect(await q.count()).toBe(1);
  });
});

describe('Worker.work with maxJobs', () => {
  it.each([1, 3, 5])('ends after %i jobs', async maxJobs => {
    let ran = 0;
    await q.enqueueMany(Array.from({ length: 8 }, () => ['f'] as const));
    await makeWorker({ f: () => ran++ }, { concurrency: 4 }).work({ maxJobs });
    expect(ran).toBe(maxJobs);
    expect(await q.count()).toBe(8 - maxJobs);
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
  });

  it('waits for jobs until there were enough', async () => {
    const worker = makeWorker();
    const working = worker.work({ maxJobs: 2 });
    await once(worker, 'listening');
    const first = await q.enqueue('f');
    await first.wait({ timeout: 15 });
    expect(await redis.client.hexists(`rq:worker:${worker.name}`, 'death')).toBe(0);
    await q.enqueue('f');
    await working;
    expect(await redis.client.zcard('rq:finished:q')).toBe(2);
  });
});

describe('Worker.work with maxIdleTime', () => {
  it('ends after that time without a job', async () => {
    const began = performance.now();
    await makeWorker().work({ maxIdleTime: '300ms' });
    expect(performance.now() - began).toBeGreaterThan(290);
  });

  it('counts from the last job', async () => {
    let ran = 0;
    let last = 0;
    const f = (): void => {
      ran++;
      last = performance.now();
    };
    const worker = makeWorker({ f });
    // each job has to come before this is over, however busy the machine is
    const working = worker.work({ maxIdleTime: '3s' });
    await once(worker, 'listening');
    for (let i = 0; i < 3; i++) await (await q.enqueue('f')).wait({ timeout: 15 });
    await working;
    expect(ran).toBe(3);
    expect(performance.now() - last).toBeGreaterThan(2990);
  });

  it('may be longer than a timer of Node can be', async () => {
    const worker = makeWorker();
    void worker.work({ maxIdleTime: '30d' });
    await once(worker, 'listening');
    // it was idle before: its reads are under way
    await expect.poll(async () => String(await redis.client.call('CLIENT', 'LIST'))).toContain('cmd=blmove');
    expect(await (await q.enqueue('f')).wait({ timeout: 15 })).toBe(1);
    expect(await (await q.enqueue('f')).wait({ timeout: 15 })).toBe(1);
  });
});

describe('Worker.work while work is suspended', () => {
  /** Scripts that Redis has run so far. */
  async function scripts(): Promise<number> {
    const info = await redis.client.info('commandstats');
    return Number(/cmdstat_evalsha:calls=(\d+)/.exec(info)?.[1] ?? 0);
  }

  it('takes no job, says so once, and goes on afterwards', async () => {
    await redis.client.set('rq:suspended', '1');
    const job = await q.enqueue('f');
    const worker = makeWorker();
    const seen = eventsOf(worker);
    void worker.work();
    await once(worker, 'suspended');
    await expect
      .poll(() => redis.client.hget(`rq:worker:${worker.name}`, 'state'), { interval: 20 })
      .toBe('suspended');
    // it looks now and then
    const before = await scripts();
    await expect.poll(scripts, { interval: 20 }).toBeGreaterThan(before + 1);
    expect(await q.count()).toBe(1);
    await redis.client.del('rq:suspended');
    expect(await job.wait({ timeout: 15 })).toBe(1);
    expect(seen.filter(name => name === 'suspended' || name === 'resumed')).toEqual(['suspended', 'resumed']);
  });

  it('puts a job back that came while it waited', async () => {
    const worker = makeWorker();
    void worker.work();
    await once(worker, 'listening');
    await expect.poll(async () => String(await redis.client.call('CLIENT', 'LIST'))).toContain('cmd=blmove');
    await redis.client.set('rq:suspended', '1');
    const suspended = once(worker, 'suspended');
    const job = await q.enqueue('f');
    await suspended;
    expect(await redis.client.lrange('rq:queue:q', 0, -1)).toEqual([job.id]);
    expect(await redis.client.keys('rq:worker:*:claims:*')).toEqual([]);
  });
});
