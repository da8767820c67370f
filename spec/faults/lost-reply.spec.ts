import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Queue, Worker } from '../../lib/index.ts';
import { advance } from '../../lib/lua/advance.ts';
import { enqueue } from '../../lib/lua/enqueue.ts';
import { Proxy } from '../support/proxy.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';

describe('a reply that is lost on its way', () => {
  let redis: RedisServer;
  let proxy: Proxy;
  let q: Queue;
  let worker: Worker | undefined;
  let runs: number[];

  beforeEach(async () => {
    redis = await startRedis();
    // or the lost reply would be the one that says that Redis does not know the script
    for (const { source } of [advance, enqueue]) await redis.client.script('LOAD', source);
    proxy = await Proxy.to(redis.port);
    q = new Queue('default', { connection: redis.url });
    runs = [];
  });

  afterEach(async () => {
    await worker?.stop('cold');
    worker = undefined;
    await q.close();
    await proxy.close();
    await redis.stop();
  });

  /** A worker behind the proxy, whose function notes its argument. */
  const work = async (concurrency: number): Promise<Worker> => {
    const functions = { note: (n: number) => void runs.push(n) };
    worker = new Worker('default', { connection: proxy.url, functions, concurrency });
    const listening = new Promise(resolve => worker?.once('listening', resolve));
    void worker.work();
    await listening;
    return worker;
  };

  const atRest = async (): Promise<void> => {
    expect(await q.count()).toBe(0);
    expect(await q.startedRegistry.count()).toBe(0);
    expect(await redis.client.keys('rq:worker:*:claims:*')).toEqual([]);
  };

  it('to enqueue leaves one copy', async () => {
    const behind = new Queue('default', { connection: proxy.url });
    await behind.count();
    const lost = proxy.loseReplyTo(enqueue.sha);
    const [job] = await Promise.all([behind.enqueue('note', [1]), lost]);
    expect(await q.getJobIds()).toEqual([job.id]);
    await behind.close();
  });

  it('to enqueue with an id of the caller’s leaves one copy, and is no duplicate', async () => {
    const behind = new Queue('default', { connection: proxy.url });
    await behind.count();
    const lost = proxy.loseReplyTo(enqueue.sha);
    await Promise.all([behind.enqueue('note', [1], { jobId: 'mine' }), lost]);
    expect(await q.getJobIds()).toEqual(['mine']);
    await behind.close();
  });

  it('to the call that took jobs: they run once, uncounted', async () => {
    const lost = proxy.loseReplyTo(advance.sha);
    await q.enqueueMany(Array.from({ length: 20 }, (_, i) => ['note', [i], { resultTtl: -1 }] as const));
    await work(4);
    await lost;
    await vi.waitFor(async () => expect(await q.finishedRegistry.count()).toBe(20), { timeout: 10_000 });
    expect(runs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    for (const id of await q.finishedRegistry.getJobIds()) {
      expect(await redis.client.hexists(`rq:job:${id}`, 'recoveries')).toBe(0);
    }
    await atRest();
  });

  it('to the call that handed in an outcome: it is accepted the second time', async () => {
    const run = await work(1);
    const ended: string[] = [];
    run.on('jobFinished', job => ended.push(job.jobId));
    run.on('jobLost', job => ended.push(`lost ${job.jobId}`));
    // the first call takes the job, the second one hands in its outcome
    let lost: Promise<void> | undefined;
    run.once('jobStarted', () => {
      lost = proxy.loseReplyTo(advance.sha);
    });
    const job = await q.enqueue('note', [7]);
    await vi.waitFor(() => expect(ended).toEqual([job.id]), { timeout: 10_000 });
    await lost;
    expect(runs).toEqual([7]);
    expect(await job.result).toBeNull();
    await atRest();
  });

  it('to a blocking read: the id it took is run', async () => {
    await work(1);
    const idle = async (): Promise<void> => {
      const clients = String(await redis.client.client('LIST'));
      expect(clients).toMatch(/cmd=blmove/);
    };
    await vi.waitFor(idle, { timeout: 5000 });
    const id = 'taken';
    // Redis gives the id to the read, whose reply meets a connection that is gone
    await redis.client.hset(`rq:job:${id}`, {
      data: '["note",null,[3],{}]',
      status: 'queued',
      origin: 'default',
      created_at: new Date().toISOString(),
    });
    proxy.stall();
    await redis.client.rpush('rq:queue:default', id);
    await vi.waitFor(async () => expect(await redis.client.llen('rq:queue:default')).toBe(0), {
      timeout: 10_000,
    });
    proxy.cut();
    await vi.waitFor(() => expect(runs).toEqual([3]), { timeout: 10_000 });
    await vi.waitFor(atRest, { timeout: 10_000 });
    // it was started by the claim that follows the read, and given back when nobody knew of that
    expect(await redis.client.hexists(`rq:job:${id}`, 'recoveries')).toBe(0);
  });
});
