import { describe, expect, it } from 'vitest';
import { Keys } from '../lib/keys.ts';
import type { RunRef } from '../lib/outcome.ts';
import { WorkerStore, type Swept } from '../lib/worker-store.ts';
import { useLink, useRedis, useWorkerStore } from './support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);
const store = useWorkerStore('q');

const now = (): number => Date.now() / 1000;
const sweep = (): Promise<Swept> => store.sweep(link.redis, 0, true);
const list = (): Promise<string[]> => redis.client.lrange('rq:queue:q', 0, -1);
const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);

async function started(...ids: readonly string[]): Promise<readonly RunRef[]> {
  for (const id of ids) {
    await redis.client.hset(`rq:job:${id}`, { status: 'queued', origin: 'q', data: '["fn",null,[],{}]' });
  }
  await redis.client.rpush('rq:queue:q', ...ids);
  const request = {
    handIns: [],
    want: ids.length,
    claims: new Set<number>(),
    strategy: 'default',
    single: true,
  } as const;
  return (await store.advance(link.redis, request)).jobs;
}

/** Makes a run's lease end this many seconds ago. */
async function expire(run: RunRef | undefined, seconds: number = 1): Promise<void> {
  await redis.client.zadd('rq:wip:q', now() + 60 - seconds, `${run?.jobId}:${run?.executionId}`);
}

describe('WorkerStore.sweep: runs past their lease', () => {
  it('go back to the front of the queue, and are counted', async () => {
    const runs = await started('1', '2');
    await redis.client.rpush('rq:queue:q', 'waiting');
    await expire(runs[0], 2);
    await expire(runs[1], 1);
    expect(await sweep()).toMatchObject({ held: true, more: false, abandoned: [] });
    expect(await list()).toEqual(['1', '2', 'waiting']);
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
    expect(await hash('1')).toMatchObject({ status: 'queued', recoveries: '1' });
    expect(await hash('1')).not.toHaveProperty('execution_id');
    expect(await hash('1')).not.toHaveProperty('worker_name');
  });

  it('are named', async () => {
    const runs = await started('1', '2');
    for (const run of runs) await expire(run);
    expect((await sweep()).recovered.toSorted()).toEqual(['1', '2']);
  });

  it('stay while the lease lasts', async () => {
    const [run] = await started('1');
    const before = await hash('1');
    expect(await sweep()).toMatchObject({ recovered: [], abandoned: [] });
    await expire(run, -5);
    expect(await sweep()).toMatchObject({ recovered: [] });
    expect(await hash('1')).toEqual(before);
    expect(await redis.client.zcard('rq:wip:q')).toBe(1);
  });

  it('go back three times, and then the job fails', async () => {
    let [run] = await started('1');
    for (const recoveries of ['1', '2', '3']) {
      await expire(run);
      expect((await sweep()).recovered).toEqual(['1']);
      expect(await hash('1')).toMatchObject({ status: 'queued', recoveries });
      const request = {
        handIns: [],
        want: 1,
        claims: new Set<number>(),
        strategy: 'default',
        single: true,
      } as const;
      [run] = (await store.advance(link.redis, request)).jobs;
    }
    await expire(run);
    expect(await sweep()).toMatchObject({ recovered: [], abandoned: ['1'] });
    expect(await list()).toEqual([]);
    const fields = await hash('1');
    expect(fields).toMatchObject({ status: 'failed' });
    expect(fields['exc_info']).toMatch(/^AbandonedJobError: /);
    expect(fields['exc_info']).toContain('w1');
    expect(await redis.client.zrange('rq:failed:q', '0', '-1')).toEqual(['1']);
    const days30 = 30 * 24 * 3600;
    expect(Math.abs((await redis.client.ttl('rq:job:1')) - days30)).toBeLessThan(5);
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
  });

  it('are kept as long as the failed job’s failure_ttl says', async () => {
    const [run] = await started('1');
    await redis.client.hset('rq:job:1', { recoveries: '3', failure_ttl: '60' });
    await expire(run);
    await sweep();
    expect(await redis.client.ttl('rq:job:1')).toBeGreaterThan(55);
    expect(await redis.client.ttl('rq:job:1')).toBeLessThanOrEqual(60);
    const score = Number(await redis.client.zscore('rq:failed:q', '1'));
    expect(Math.abs(score - now() - 60)).toBeLessThan(5);
  });

  it('leave nothing of a job whose failures are not to be kept', async () => {
    const [run] = await started('1');
    await redis.client.hset('rq:job:1', { recoveries: '3', failure_ttl: '0' });
    await expire(run);
    await sweep();
    expect(await redis.client.exists('rq:job:1', 'rq:failed:q')).toBe(0);
  });

  it('of another run than the job’s are removed, and the job left alone', async () => {
    const [run] = await started('1');
    await redis.client.zadd('rq:wip:q', now() - 100, '1:n0000000000000000000000000000000');
    expect(await sweep()).toMatchObject({ recovered: [], abandoned: [] });
    expect(await redis.client.zrange('rq:wip:q', '0', '-1')).toEqual([`1:${run?.executionId}`]);
    expect(await hash('1')).toMatchObject({ status: 'started', execution_id: run?.executionId });
  });

  it.each([
    ['is gone', (key: string) => redis.client.del(key)],
    ['was canceled', (key: string) => redis.client.hset(key, 'status', 'canceled')],
    [
      'is no hash',
      async (key: string) => (await redis.client.del(key)) + (await redis.client.sadd(key, 'x')),
    ],
  ])('of a job that %s are removed', async (_, change) => {
    const [run] = await started('1');
    await change('rq:job:1');
    await expire(run);
    expect(await sweep()).toMatchObject({ recovered: [], abandoned: [] });
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
    expect(await list()).toEqual([]);
  });

  it('are taken in bounded steps, and the reply says that there are more', async () => {
    const runs = await started(...Array.from({ length: 250 }, (_, i) => `job-${i}`));
    for (const run of runs) await expire(run);
    const first = await sweep();
    expect(first.more).toBe(true);
    expect(first.recovered).toHaveLength(200);
    const second = await sweep();
    expect(second.more).toBe(false);
    expect(second.recovered).toHaveLength(50);
    expect(await redis.client.llen('rq:queue:q')).toBe(250);
  });

  it('that are stale do not hold up those behind them', async () => {
    for (let i = 0; i < 250; i++) await redis.client.zadd('rq:wip:q', 1, `gone-${i}:n${i}`);
    const [run] = await started('1');
    await expire(run);
    let swept = await sweep();
    while (swept.more) swept = await sweep();
    expect(await list()).toEqual(['1']);
  });
});

describe('WorkerStore.sweep: Python’s runs', () => {
  async function pythons(score: number): Promise<void> {
    await redis.client.hset('rq:job:py', { status: 'started', origin: 'q', worker_name: 'python' });
    await redis.client.zadd('rq:wip:q', score, 'py:0123456789abcdef0123456789abcdef');
  }

  it('stay while their own score lasts', async () => {
    await pythons(now() + 30);
    expect(await sweep()).toMatchObject({ recovered: [], abandoned: [] });
    expect(await redis.client.zcard('rq:wip:q')).toBe(1);
    expect(await hash('py')).toMatchObject({ status: 'started' });
  });

  it('past it have failed', async () => {
    await pythons(now() - 1);
    expect(await sweep()).toMatchObject({ recovered: [], abandoned: ['py'] });
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
    expect(await hash('py')).toMatchObject({ status: 'failed' });
    expect((await hash('py'))['exc_info']).toMatch(/^AbandonedJobError/);
    expect(await redis.client.zrange('rq:failed:q', '0', '-1')).toEqual(['py']);
  });

  it('do not hide runs of ours that are past their lease', async () => {
    for (let i = 0; i < 250; i++) await redis.client.zadd('rq:wip:q', now() + 5, `py-${i}:0${i}`);
    const [run] = await started('1');
    await expire(run);
    let swept = await sweep();
    while (swept.more) swept = await sweep();
    expect(await list()).toEqual(['1']);
  });
});

describe('WorkerStore.sweep: claims', () => {
  const beat = (worker: WorkerStore): Promise<boolean> =>
    worker.heartbeat(link.redis, { state: 'idle', currentJob: '', finished: 0, failed: 0, seconds: 0 }, [
      'queues',
      'q',
    ]);

  it('of a worker whose hash is gone go back to the front, in order', async () => {
    await beat(new WorkerStore(new Keys(), 'dead', ['q']));
    await redis.client.del('rq:worker:dead');
    await redis.client.rpush('rq:queue:q', 'waiting');
    await redis.client.rpush('rq:worker:dead:claims:q', '1', '2', '3');
    expect((await sweep()).claims).toBe(3);
    expect(await list()).toEqual(['1', '2', '3', 'waiting']);
    expect(await redis.client.exists('rq:worker:dead:claims:q')).toBe(0);
  });

  it('are found although Python removed the worker from its sets', async () => {
    await beat(new WorkerStore(new Keys(), 'dead', ['q']));
    await redis.client.del('rq:worker:dead', 'rq:workers', 'rq:workers:q');
    await redis.client.rpush('rq:worker:dead:claims:q', '1');
    await sweep();
    expect(await list()).toEqual(['1']);
  });

  it('of a living worker stay', async () => {
    await beat(new WorkerStore(new Keys(), 'alive', ['q']));
    await redis.client.rpush('rq:worker:alive:claims:q', '1');
    expect((await sweep()).claims).toBe(0);
    expect(await redis.client.lrange('rq:worker:alive:claims:q', 0, -1)).toEqual(['1']);
    expect(await list()).toEqual([]);
  });

  it('are returned in bounded steps', async () => {
    await beat(new WorkerStore(new Keys(), 'dead', ['q']));
    await redis.client.del('rq:worker:dead');
    const ids = Array.from({ length: 250 }, (_, i) => `job-${i}`);
    await redis.client.rpush('rq:worker:dead:claims:q', ...ids);
    expect(await sweep()).toMatchObject({ more: true, claims: 200 });
    expect(await sweep()).toMatchObject({ more: false, claims: 50 });
    expect(await list()).toEqual(ids);
  });
});

describe('WorkerStore.sweep: what has expired', () => {
  it.each(['finished', 'failed'])('leaves the %s registry', async name => {
    await redis.client.zadd(`rq:${name}:q`, now() - 1, 'old', now() + 100, 'new', '+inf', 'kept');
    await sweep();
    expect(await redis.client.zrange(`rq:${name}:q`, '0', '-1')).toEqual(['new', 'kept']);
  });

  it('leaves the canceled registry once the job’s hash is gone', async () => {
    await redis.client.zadd('rq:canceled:q', 1, 'gone', 2, 'there');
    await redis.client.hset('rq:job:there', 'status', 'canceled');
    await sweep();
    expect(await redis.client.zrange('rq:canceled:q', '0', '-1')).toEqual(['there']);
  });

  it('leaves a long canceled registry over several rounds', async () => {
    const ids = Array.from({ length: 500 }, (_, i) => `gone-${i}`);
    await redis.client.zadd('rq:canceled:q', ...ids.flatMap((id, i) => [i, id]));
    for (let i = 0; i < 20; i++) await sweep();
    expect(await redis.client.zcard('rq:canceled:q')).toBe(0);
  });
});

describe('WorkerStore.sweep: who sweeps', () => {
  const other = new WorkerStore(new Keys(), 'w2', ['q']);

  it('is one worker at a time', async () => {
    const [run] = await started('1');
    await expire(run);
    await redis.client.set('rq:janitor:q', 'w2', 'PX', 4000);
    expect(await store.sweep(link.redis, 0, false)).toMatchObject({ held: false, recovered: [] });
    expect(await redis.client.zcard('rq:wip:q')).toBe(1);
  });

  it('holds the queue for a little less than 5 s', async () => {
    expect((await store.sweep(link.redis, 0, false)).held).toBe(true);
    expect((await other.sweep(link.redis, 0, false)).held).toBe(false);
    expect(await redis.client.get('rq:janitor:q')).toBe('w1');
    const left = await redis.client.pttl('rq:janitor:q');
    expect(left).toBeGreaterThan(2500);
    expect(left).toBeLessThan(5000);
  });

  it('is one for each queue', async () => {
    const both = new WorkerStore(new Keys(), 'w3', ['q', 'r']);
    await store.sweep(link.redis, 0, false);
    expect((await both.sweep(link.redis, 0, false)).held).toBe(false);
    expect((await both.sweep(link.redis, 1, false)).held).toBe(true);
  });

  it('may go on with a round that it began', async () => {
    await store.sweep(link.redis, 0, false);
    expect((await store.sweep(link.redis, 0, true)).held).toBe(true);
  });

  it('changes nothing where a key of the queue has the wrong type', async () => {
    const [run] = await started('1');
    await expire(run);
    await redis.client.set('rq:failed:q', 'x');
    await expect(sweep()).rejects.toThrow('WRONGTYPE');
    expect(await redis.client.zcard('rq:wip:q')).toBe(1);
    expect(await hash('1')).toMatchObject({ status: 'started' });
  });
});

describe('WorkerStore.sweep: telling', () => {
  it('forgets jobs of groups that are gone, and groups without any', async () => {
    await redis.client.sadd('rq:groups', 'g');
    await redis.client.sadd('rq:group:g', 'gone', 'there');
    await redis.client.hset('rq:job:there', 'status', 'finished');
    await sweep();
    expect(await redis.client.smembers('rq:group:g')).toEqual(['there']);
    await redis.client.del('rq:job:there');
    await sweep();
    expect(await redis.client.keys('rq:group*')).toEqual([]);
  });

  it('publishes that a job is queued again, or failed', async () => {
    const runs = await started('1', '2');
    await redis.client.hset('rq:job:2', 'recoveries', '3');
    for (const run of runs) await expire(run);
    const subscriber = redis.client.duplicate();
    const messages: unknown[] = [];
    subscriber.on('message', (_: string, text: string) => messages.push(JSON.parse(text)));
    await subscriber.subscribe('rq:status:q:1', 'rq:status:q:2');
    await sweep();
    await expect.poll(() => messages.length, { interval: 10 }).toBe(2);
    expect(messages).toContainEqual(expect.objectContaining({ job_id: '1', status: 'queued', queue: 'q' }));
    expect(messages).toContainEqual(expect.objectContaining({ job_id: '2', status: 'failed', queue: 'q' }));
    subscriber.disconnect();
  });
});
