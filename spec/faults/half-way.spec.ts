import { once } from 'node:events';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { JobFailedError } from '../../lib/errors.ts';
import type { Ended } from '../../lib/outcome.ts';
import { Queue } from '../../lib/queue.ts';
import { useLink, useQueue, useRedis, useWorkers, useWorkerStore } from '../support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);
const store = useWorkerStore('q');
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const soon = { timeout: 8000, interval: 20 };
const none = { handIns: [], want: 0, claims: new Set<number>(), strategy: 'default' } as const;
const GOOD = ['g1', 'g2', 'g3'];
const DEPENDENTS = GOOD.map(id => `d-${id}`);

const statuses = (ids: readonly string[]): Promise<(string | null)[]> =>
  Promise.all(ids.map(id => redis.client.hget(`rq:job:${id}`, 'status')));

/** Where an id is: the list, and the registries that hold it or a run of it. */
async function placesOf(id: string): Promise<string[]> {
  const places: string[] = [];
  for (const key of await redis.client.keys('rq:*')) {
    const type = await redis.client.type(key);
    const members = type === 'list' ? await redis.client.lrange(key, 0, -1) : [];
    if (type === 'zset') members.push(...(await redis.client.zrange(key, '0', '-1')));
    places.push(...members.filter(m => m === id || m.startsWith(`${id}:`)).map(() => key));
  }
  return places;
}

/** Three jobs with a dependent each, and last one whose ttl is no whole number, with two retries left. */
async function fill(): Promise<void> {
  const common = { data: '["f",null,[],{}]', origin: 'q', timeout: '180' };
  for (const id of GOOD) {
    const dependent = { ...common, status: 'deferred', dependency_ids: `["${id}"]` };
    await redis.client.hset(`rq:job:${id}`, { ...common, status: 'queued' });
    await redis.client.hset(`rq:job:d-${id}`, dependent);
    await redis.client.sadd(`rq:job:${id}:dependents`, `d-${id}`);
    await redis.client.sadd(`rq:job::d-${id}:dependencies`, id);
    await redis.client.zadd('rq:deferred:q', 1, `d-${id}`);
  }
  await redis.client.hset('rq:job:bad', {
    ...common,
    data: '["bad",null,[],{}]',
    status: 'queued',
    ttl: '2.5',
    retries_left: '2',
  });
  await redis.client.rpush('rq:queue:q', ...GOOD, 'bad');
}

describe('a batch of outcomes of which one job’s ttl can’t be read, and that job is to be retried', () => {
  async function handIn(): Promise<readonly string[]> {
    await fill();
    const { jobs } = await store.advance(link.redis, { ...none, want: 4 });
    const of = (id: string): Ended =>
      id === 'bad'
        ? { status: 'failed', ttl: 60, text: 'Error: no', stream: '', publish: false, again: 'plan' }
        : { status: 'finished', ttl: 500, text: '1', stream: '', publish: true, again: '' };
    const handIns = jobs.map(({ place, jobId, executionId }) => ({
      place,
      jobId,
      executionId,
      ended: of(jobId),
      seconds: 1,
    }));
    return (await store.advance(link.redis, { ...none, handIns })).answers;
  }

  it('is accepted as a whole', async () => {
    expect(await handIn()).toEqual(['accepted', 'accepted', 'accepted', 'queued']);
  });

  it('leaves the others finished, in their registry, and their dependents released', async () => {
    await handIn();
    expect(await statuses([...GOOD, ...DEPENDENTS])).toEqual([
      ...GOOD.map(() => 'finished'),
      ...DEPENDENTS.map(() => 'queued'),
    ]);
    expect((await redis.client.zrange('rq:finished:q', '0', '-1')).toSorted()).toEqual(GOOD);
    expect(await redis.client.zcard('rq:deferred:q')).toBe(0);
  });

  it('leaves the bad one queued, in exactly one place', async () => {
    await handIn();
    expect(await redis.client.hgetall('rq:job:bad')).toMatchObject({ status: 'queued', retries_left: '1' });
    expect(await placesOf('bad')).toEqual(['rq:queue:q']);
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
  });

  it('costs a worker none of its jobs', async () => {
    await fill();
    const bad = (): never => {
      throw new Error('no');
    };
    const worker = makeWorker({ f: () => 1, bad }, { concurrency: 20 });
    const errors: string[] = [];
    worker.on('error', error => errors.push(error.message));
    void worker.work();
    const all = [...GOOD, ...DEPENDENTS];
    await expect
      .poll(async () => (await redis.client.zrange('rq:finished:q', '0', '-1')).toSorted(), soon)
      .toEqual(all.toSorted());
    await expect.poll(() => placesOf('bad'), soon).toEqual(['rq:failed:q']);
    expect(await statuses([...all, 'bad'])).toEqual([...all.map(() => 'finished'), 'failed']);
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
    expect(errors).toEqual([]);
  });
});

describe('jobs that are due', () => {
  const schedule = async (id: string, secondsAgo: number, more: object = {}): Promise<void> => {
    const fields = { status: 'scheduled', origin: 'q', data: '["f",null,[],{}]', ...more };
    await redis.client.hset(`rq:job:${id}`, fields);
    await redis.client.zadd('rq:scheduled:q', Date.now() / 1000 - secondsAgo, id);
  };

  it.each(['9223372036854775807', '2.5', '-9223372036854775808', 'soon'])(
    'are all queued where the ttl of one is %s',
    async ttl => {
      await schedule('before', 3);
      await schedule('odd', 2, { ttl });
      await schedule('after', 1);
      await store.queueDue(link.redis);
      expect(await redis.client.lrange('rq:queue:q', 0, -1)).toEqual(['before', 'odd', 'after']);
      expect(await statuses(['before', 'odd', 'after'])).toEqual(['queued', 'queued', 'queued']);
      expect(await redis.client.zcard('rq:scheduled:q')).toBe(0);
      expect(await redis.client.ttl('rq:job:odd')).toBe(-1);
    },
  );

  it('are queued although 200 ids without a hash are due before them', async () => {
    const ghosts = Array.from({ length: 200 }, (_, i) => [Date.now() / 1000 - 5, `ghost-${i}`]);
    await redis.client.zadd('rq:scheduled:q', ...ghosts.flat());
    await schedule('real', 1);
    await store.queueDue(link.redis);
    expect(await redis.client.lrange('rq:queue:q', 0, -1)).toEqual(['real']);
    // RQ adds an id before it writes the hash: so young ones are kept
    expect(await redis.client.zcard('rq:scheduled:q')).toBe(200);
    expect(await redis.client.zscore('rq:scheduled:q', 'real')).toBeNull();
  });

  it('are run although 200 ids without a hash are due before them', async () => {
    const ghosts = Array.from({ length: 200 }, (_, i) => [Date.now() / 1000 - 5, `ghost-${i}`]);
    await redis.client.zadd('rq:scheduled:q', ...ghosts.flat());
    await schedule('real', 1);
    const worker = makeWorker();
    const finished = once(worker, 'jobFinished');
    void worker.work();
    expect(await finished).toMatchObject([{ jobId: 'real' }]);
  });
});

describe('a Redis user that may publish nothing, while somebody listens to everything', () => {
  const CHANNELS = ['resetchannels', '&rq:pubsub:*'];

  /** Another one’s `PSUBSCRIBE *`, and the URL of the user. */
  async function listened<T>(channels: readonly string[], act: (url: string) => Promise<T>): Promise<T> {
    const other = new Redis(redis.port, '127.0.0.1');
    try {
      await redis.client.call('ACL', 'SETUSER', 'app', 'reset', 'on', '>pw', '~rq:*', '+@all', ...channels);
      await other.psubscribe('*');
      return await act(`redis://app:pw@127.0.0.1:${redis.port}`);
    } finally {
      other.disconnect();
    }
  }

  it.each([
    ['may subscribe to its commands', CHANNELS],
    ['may subscribe to nothing', ['resetchannels']],
  ])(
    'runs every job once, and leaves none in the started registry: a worker that %s',
    async (_, channels) => {
      await listened(channels, async connection => {
        const runs: string[] = [];
        const worker = makeWorker({ f: (id: string) => runs.push(id) }, { connection, concurrency: 4 });
        const listening = once(worker, 'listening');
        void worker.work();
        await listening;
        const ids = Array.from({ length: 20 }, (_unused, i) => `job-${i}`);
        await q.enqueueMany(ids.map(id => ['f', [id], { jobId: id }] as const));
        await expect.poll(() => redis.client.zcard('rq:finished:q'), soon).toBe(20);
        expect(runs.toSorted()).toEqual(ids.toSorted());
        expect(await redis.client.zcard('rq:wip:q')).toBe(0);
        expect(await redis.client.llen('rq:queue:q')).toBe(0);
        await worker.stop();
      });
    },
  );

  it('enqueues all it is given', async () => {
    await listened(['resetchannels'], async connection => {
      await using own = new Queue('q', { connection });
      const jobs = await own.enqueueMany([['f'], ['f'], ['f']]);
      const ids = jobs.map(({ id }) => id);
      expect(await redis.client.lrange('rq:queue:q', 0, -1)).toEqual(ids);
      expect(await statuses(ids)).toEqual(['queued', 'queued', 'queued']);
    });
  });
});

describe('a result that is longer than can be kept', () => {
  it('fails its job, and no other', async () => {
    const huge = (): string => 'x'.repeat(65 * 1024 * 1024);
    const [before, long, after] = await q.enqueueMany([['f'], ['huge'], ['f']]);
    const worker = makeWorker({ f: () => 1, huge }, { concurrency: 6 });
    await worker.work({ burst: true });
    expect(await Promise.all([before.result, after.result])).toEqual([1, 1]);
    const error: unknown = await long.result.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(JobFailedError);
    expect(error).toMatchObject({ remote: { name: 'InvalidResultError' } });
    expect(await redis.client.hget(`rq:job:${long.id}`, 'status')).toBe('failed');
    expect(await redis.client.hexists(`rq:job:${long.id}`, 'result')).toBe(0);
    expect(await placesOf(long.id)).toEqual(['rq:failed:q']);
  });
});
