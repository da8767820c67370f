import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { startWorker, type WorkerProcess } from '../support/worker-process.ts';

describe('a worker that was away past its lease', () => {
  let redis: RedisServer;
  let q: Queue;
  const workers: WorkerProcess[] = [];

  beforeEach(async () => {
    redis = await startRedis();
    q = new Queue('default', { connection: redis.url });
  });

  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.end();
    await q.close();
    await redis.stop();
  });

  it('cannot overwrite the outcome of the run that replaced its own', { timeout: 60_000 }, async () => {
    const away = await startWorker(redis.url, ['default'], '--lease', '3').listening();
    workers.push(away);
    const job = await q.enqueue('stubborn', [1500]);
    await vi.waitFor(async () => expect(await job.getStatus()).toBe('started'), { timeout: 10_000 });
    away.child.kill('SIGSTOP');

    const other = await startWorker(redis.url, ['default'], '--lease', '3').listening();
    workers.push(other);
    await other.said(/Job OK/);
    const finished = await redis.client.hgetall(`rq:job:${job.id}`);
    expect(finished).toMatchObject({ status: 'finished', recoveries: '1', result: '"done"' });

    away.child.kill('SIGCONT');
    await away.said(/This run is not the job’s any more/);
    expect(await redis.client.hgetall(`rq:job:${job.id}`)).toEqual(finished);
    expect(away.out).not.toMatch(/Job OK/);
    expect(await q.finishedRegistry.getJobIds()).toEqual([job.id]);
    expect(await q.startedRegistry.count()).toBe(0);
  });
});
