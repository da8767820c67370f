import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Keys } from '../../lib/keys.ts';
import type { RunRef } from '../../lib/outcome.ts';
import { WorkerStore, type Swept } from '../../lib/worker-store.ts';
import { useLink, useQueue, useRedis, useWorkers, useWorkerStore } from '../support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);
const store = useWorkerStore('q');
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const PYTHONS = '0123456789abcdef0123456789abcdef';
const now = (): number => Date.now() / 1000;
const sweep = (): Promise<Swept> => store.sweep(link.redis, 0, true);
const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
const list = (key: string): Promise<string[]> => redis.client.lrange(key, 0, -1);
const wip = (): Promise<string[]> => redis.client.zrange('rq:wip:q', '0', '-1');

/** Runs of the worker `w1` on Node. */
async function started(...ids: readonly string[]): Promise<readonly RunRef[]> {
  const fields = { status: 'queued', origin: 'q', data: '["f",null,[],{}]' };
  for (const id of ids) await redis.client.hset(`rq:job:${id}`, fields);
  await redis.client.rpush('rq:queue:q', ...ids);
  const request = { handIns: [], want: ids.length, claims: new Set<number>(), strategy: 'default' } as const;
  return (await store.advance(link.redis, request)).jobs;
}

/** A run's member; its lease ended five seconds ago. */
async function expired(run: RunRef | undefined): Promise<string> {
  const member = `${run?.jobId}:${run?.executionId}`;
  await redis.client.zadd('rq:wip:q', now() + 60 - 5, member);
  return member;
}

describe('a member that Python’s cancel left behind, of a job that runs on Node now', () => {
  it.each([PYTHONS, '01234567-89ab-cdef-0123-456789abcdef'])(
    'is removed, and nothing else: %s',
    async run => {
      const [ours] = await started('1');
      await redis.client.hset('rq:job:1', { retries_left: '1' });
      await redis.client.zadd('rq:wip:q', now() - 1, `1:${run}`);
      const before = await hash('1');
      expect(await sweep()).toMatchObject({ recovered: [], abandoned: [] });
      expect(await hash('1')).toEqual(before);
      expect(await wip()).toEqual([`1:${ours?.executionId}`]);
      expect(await list('rq:queue:q')).toEqual([]);
      expect(await redis.client.zcard('rq:failed:q')).toBe(0);
    },
  );

  it('does not keep the job from its end', async () => {
    let end: (result: number) => void = () => {};
    const worker = makeWorker({ slow: () => new Promise(resolve => (end = resolve)) }, {}, 'q');
    const lost: string[] = [];
    worker.on('jobLost', ({ jobId }) => lost.push(jobId));
    const running = once(worker, 'jobStarted');
    const finished = once(worker, 'jobFinished');
    const job = await q.enqueue('slow', [], { jobId: 'J' });
    void worker.work();
    await running;
    await redis.client.zadd('rq:wip:q', now() - 1, `J:${PYTHONS}`);
    await sweep();
    expect(await redis.client.zscore('rq:wip:q', `J:${PYTHONS}`)).toBeNull();
    expect(await job.getStatus()).toBe('started');
    end(7);
    expect(await finished).toMatchObject([{ jobId: 'J' }]);
    expect(await job.result).toBe(7);
    expect(lost).toEqual([]);
    expect(await wip()).toEqual([]);
  });
});

describe('a run on Node past its lease', () => {
  it('is recovered where Python’s index of the job’s runs is left over', async () => {
    const [run] = await started('1');
    await expired(run);
    await redis.client.zadd('rq:executions:1', now() - 100, PYTHONS);
    expect(await sweep()).toMatchObject({ recovered: ['1'], abandoned: [] });
    expect(await list('rq:queue:q')).toEqual(['1']);
    expect(await hash('1')).toMatchObject({ status: 'queued', recoveries: '1' });
    expect(await wip()).toEqual([]);
  });

  it('is run again where Python’s index of the job’s runs is left over', async () => {
    const [run] = await started('1');
    await expired(run);
    await redis.client.zadd('rq:executions:1', now() - 100, PYTHONS);
    await makeWorker({ f: () => 'again' }).work({ burst: true });
    expect(await hash('1')).toMatchObject({ status: 'finished', result: '"again"' });
  });

  it('is only forgotten where a run of Python’s is registered, which the job is then', async () => {
    const [run] = await started('1');
    await expired(run);
    // what Python's claim writes
    await redis.client.hset('rq:job:1', { worker_name: 'python' });
    await redis.client.zadd('rq:executions:1', now() + 100, PYTHONS);
    await redis.client.zadd('rq:wip:q', now() + 100, `1:${PYTHONS}`);
    const before = await hash('1');
    expect(await sweep()).toMatchObject({ recovered: [], abandoned: [] });
    expect(await hash('1')).toEqual(before);
    expect(await list('rq:queue:q')).toEqual([]);
    expect(await wip()).toEqual([`1:${PYTHONS}`]);
    expect(await redis.client.zrange('rq:executions:1', '0', '-1')).toEqual([PYTHONS]);
  });

  it('is only forgotten where a run of Python’s stands among what the sweep looks at', async () => {
    const [run] = await started('1');
    await expired(run);
    await redis.client.hset('rq:job:1', { worker_name: 'python' });
    await redis.client.zadd('rq:executions:1', now() + 20, PYTHONS);
    await redis.client.zadd('rq:wip:q', now() + 20, `1:${PYTHONS}`);
    const before = await hash('1');
    expect(await sweep()).toMatchObject({ recovered: [], abandoned: [] });
    expect(await hash('1')).toEqual(before);
    expect(await wip()).toEqual([`1:${PYTHONS}`]);
  });
});

describe('claims', () => {
  const report = { state: 'idle', currentJob: '', finished: 0, failed: 0, seconds: 0 } as const;

  async function claimed(...ids: readonly string[]): Promise<void> {
    const other = new WorkerStore(new Keys(), 'other', ['q']);
    await other.heartbeat(link.redis, report, ['queues', 'q']);
    await redis.client.rpush('rq:worker:other:claims:q', ...ids);
    await redis.client.rpush('rq:queue:q', 'waiting');
  }

  it('of a worker that has signed off go back in order, though its hash is still there', async () => {
    await claimed('1', '2');
    await redis.client.hset('rq:worker:other', { death: '2025-01-01T00:00:00.000000Z' });
    expect(await sweep()).toMatchObject({ claims: 2 });
    expect(await list('rq:queue:q')).toEqual(['1', '2', 'waiting']);
    expect(await redis.client.exists('rq:worker:other:claims:q')).toBe(0);
    expect(await redis.client.sismember('rq:claimants:q', 'other')).toBe(0);
  });

  it('of a worker that lives stay', async () => {
    await claimed('1', '2');
    expect(await sweep()).toMatchObject({ claims: 0 });
    expect(await list('rq:worker:other:claims:q')).toEqual(['1', '2']);
    expect(await redis.client.sismember('rq:claimants:q', 'other')).toBe(1);
  });
});
