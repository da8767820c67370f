/** `redeliver: false`: a job that is never run again once a run of it has begun, whatever becomes of its worker. */
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { getCurrentJob } from '../lib/current-job.ts';
import { Keys } from '../lib/keys.ts';
import { WorkerStore } from '../lib/worker-store.ts';
import { useLink, useQueue, useRedis, useWorkers } from './support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
const list = (): Promise<string[]> => redis.client.lrange('rq:queue:q', 0, -1);
const never = (): Promise<never> => new Promise(() => {});

describe('A job with redeliver: false', () => {
  it('fails at a shutdown that it does not end before, and is not given back', async () => {
    const job = await q.enqueue('never', [], { redeliver: false });
    const again = await q.enqueue('never');
    const worker = makeWorker({ never }, { concurrency: 2 });
    let running = 0;
    worker.on('jobStarted', () => running++);
    void worker.work();
    await expect.poll(() => running, { interval: 5 }).toBe(2);
    const failed = once(worker, 'jobFailed');
    await worker.stop('cold');
    expect((await failed)[0]).toMatchObject({ jobId: job.id });
    expect(await list()).toEqual([again.id]);
    expect(await hash(job.id)).toMatchObject({
      status: 'failed',
      exc_info: `ShutdownError: The worker is shutting down: job ${job.id} is not to be run again`,
    });
    expect(await q.failedRegistry.getJobIds()).toEqual([job.id]);
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
  });

  it('is told so by its signal, and finishes where it ends in time', async () => {
    const job = await q.enqueue('f', [], { redeliver: false });
    const f = async (): Promise<string> => {
      const { signal } = getCurrentJob() ?? {};
      await new Promise(resolve => signal?.addEventListener('abort', resolve));
      return String(signal?.reason);
    };
    const worker = makeWorker({ f }, { shutdownTimeout: 0 });
    void worker.work();
    await once(worker, 'jobStarted');
    await worker.stop();
    expect(await job.result).toBe(
      `ShutdownError: The worker is shutting down: job ${job.id} is not to be run again`,
    );
    expect(await hash(job.id)).toMatchObject({ status: 'finished' });
  });

  it('fails at the first sweep where its worker was lost, which it names', async () => {
    const job = await q.enqueue('f', [], { redeliver: false });
    const lost = new WorkerStore(new Keys(), 'anna', ['q']);
    const request = { handIns: [], want: 1, claims: new Set<number>(), strategy: 'default' } as const;
    const [run] = (await lost.advance(link.redis, request)).jobs;
    await redis.client.zadd('rq:wip:q', 1, `${job.id}:${run?.executionId}`);
    const janitor = new WorkerStore(new Keys(), 'bert', ['q']);
    expect(await janitor.sweep(link.redis, 0, true)).toMatchObject({ recovered: [], abandoned: [job.id] });
    expect(await list()).toEqual([]);
    const fields = await hash(job.id);
    expect(fields).toMatchObject({ status: 'failed' });
    expect(fields['exc_info']).toMatch(/^AbandonedJobError: .*anna.*redeliver: false/);
    expect(await q.failedRegistry.getJobIds()).toEqual([job.id]);
  });

  it('goes back where a worker had only claimed it', async () => {
    const job = await q.enqueue('f', [], { redeliver: false });
    const lost = new WorkerStore(new Keys(), 'anna', ['q']);
    const report = { state: 'idle', currentJob: '', finished: 0, failed: 0, seconds: 0 } as const;
    await lost.heartbeat(link.redis, report, ['queues', 'q']);
    await redis.client.lmove('rq:queue:q', 'rq:worker:anna:claims:q', 'LEFT', 'RIGHT');
    await redis.client.del('rq:worker:anna');
    await makeWorker({ f: () => 'ran' }).work({ burst: true });
    expect(await job.result).toBe('ran');
  });

  it('runs again where somebody asks for it', async () => {
    const job = await q.enqueue('f', [], { redeliver: false });
    let runs = 0;
    const f = (): number => {
      if (++runs === 1) throw new Error('once');
      return runs;
    };
    await makeWorker({ f }).work({ burst: true });
    expect(await hash(job.id)).toMatchObject({ status: 'failed' });
    await job.requeue();
    await makeWorker({ f }).work({ burst: true });
    expect(await job.result).toBe(2);
  });
});
