import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { Ledger } from '../support/ledger.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { startWorker, type WorkerProcess } from '../support/worker-process.ts';

const JOBS = 400;

describe('workers killed with SIGKILL amid jobs', () => {
  let redis: RedisServer;
  let q: Queue;
  let ledger: Ledger;
  let workers: WorkerProcess[];

  beforeEach(async () => {
    redis = await startRedis();
    q = new Queue('default', { connection: redis.url });
    ledger = new Ledger();
    workers = [];
  });

  afterEach(async () => {
    for (const worker of workers) await worker.end();
    await q.close();
    await redis.stop();
    ledger.remove();
  });

  const start = (): WorkerProcess => {
    const worker = startWorker(redis.url, ['default'], '--concurrency', '5', '--lease', '3', '--quiet');
    workers.push(worker);
    return worker;
  };

  it('lose no job, and finish each in exactly one place', { timeout: 90_000 }, async () => {
    const ids = Array.from({ length: JOBS }, (_, i) => `job-${i}`);
    await q.enqueueMany(
      ids.map(id => ['ledger', [ledger.file, id, 20], { jobId: id, resultTtl: -1 }] as const),
    );
    start();
    start();
    for (let kills = 0; kills < 4; kills++) {
      const before = ledger.counts('end').size;
      await vi.waitFor(() => expect(ledger.counts('end').size).toBeGreaterThan(before + 20), {
        timeout: 20_000,
      });
      // at no particular moment
      await sleep(Math.random() * 20);
      await workers.shift()?.end('SIGKILL');
      start();
    }
    await vi.waitFor(async () => expect(await q.finishedRegistry.count()).toBe(JOBS), {
      timeout: 60_000,
      interval: 100,
    });

    const finished = await q.finishedRegistry.getJobIds();
    expect(finished.toSorted()).toEqual(ids.toSorted());
    expect(await q.count()).toBe(0);
    expect(await q.startedRegistry.count()).toBe(0);
    expect(await q.failedRegistry.count()).toBe(0);
    expect(await redis.client.keys('rq:worker:*:claims:*')).toEqual([]);
    const ends = ledger.counts('end');
    expect(ids.filter(id => !ends.has(id))).toEqual([]);
    // only what ran when its worker was killed ran again
    const again = [...ledger.counts('start').values()].reduce((sum, n) => sum + n - 1, 0);
    expect(again).toBeLessThanOrEqual(4 * 5);
  });

  it('give back an id that a blocking read had taken', { timeout: 60_000 }, async () => {
    await q.enqueue('ledger', [ledger.file, 'claimed', 0]);
    // a worker that died between its blocking read and its claim
    await redis.client.lmove('rq:queue:default', 'rq:worker:dead:claims:default', 'LEFT', 'RIGHT');
    await redis.client.sadd('rq:claimants:default', 'dead');
    start();
    await vi.waitFor(() => expect(ledger.counts('end').get('claimed')).toBe(1), {
      timeout: 30_000,
      interval: 50,
    });
    expect(await redis.client.exists('rq:worker:dead:claims:default')).toBe(0);
    expect(await redis.client.scard('rq:claimants:default')).toBe(1);
  });
});
