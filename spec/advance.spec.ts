import { deflateSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import type { AdvanceReply, AdvanceRequest } from '../lib/advance.ts';
import { useLink, useRedis, useWorkerStore } from './support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);
const store = useWorkerStore('a', 'b', 'c');

const DATA = '["fn",null,[],{}]';

async function put(queue: string, id: string, fields: Readonly<Record<string, string>> = {}): Promise<void> {
  await redis.client.hset(`rq:job:${id}`, { status: 'queued', origin: queue, data: DATA, ...fields });
  await redis.client.rpush(`rq:queue:${queue}`, id);
}

function advance(request: Partial<AdvanceRequest> = {}): Promise<AdvanceReply> {
  return store.advance(link.redis, {
    handIns: [],
    want: 10,
    claims: new Set(),
    strategy: 'default',
    ...request,
  });
}

const idsOf = ({ jobs }: AdvanceReply): string[] => jobs.map(({ jobId }) => jobId);
const list = (queue: string): Promise<string[]> => redis.client.lrange(`rq:queue:${queue}`, 0, -1);

async function redisTime(): Promise<number> {
  const [seconds, micros] = await redis.client.time();
  return Number(seconds) + Number(micros) / 1e6;
}

describe('WorkerStore.advance: taking', () => {
  it('takes as many jobs as are wanted, first come first', async () => {
    for (const id of ['1', '2', '3']) await put('a', id);
    expect(idsOf(await advance({ want: 2 }))).toEqual(['1', '2']);
    expect(await list('a')).toEqual(['3']);
  });

  it('marks them as started, by Redis’ clock in RQ’s form', async () => {
    await put('a', '1');
    const before = await redisTime();
    const [job] = (await advance()).jobs;
    const hash = await redis.client.hgetall('rq:job:1');
    expect(hash).toMatchObject({ status: 'started', worker_name: 'w1', execution_id: job?.executionId });
    expect(hash['started_at']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    const at = Date.parse(hash['started_at'] ?? '') / 1000;
    expect(at).toBeGreaterThanOrEqual(before - 0.002);
    expect(at).toBeLessThanOrEqual(await redisTime());
  });

  it('gives the fields as they were before, byte for byte', async () => {
    const data = deflateSync('["fn",null,["é"],{}]');
    await redis.client.hset('rq:job:1', { status: 'queued', origin: 'a', data, meta: '{}' });
    await redis.client.rpush('rq:queue:a', '1');
    const [job] = (await advance()).jobs;
    expect(job?.fields.get('data')).toEqual(data);
    expect(String(job?.fields.get('status'))).toBe('queued');
    expect(job?.fields.get('execution_id')).toBeUndefined();
  });

  it('makes execution ids of 32 characters that begin with n', async () => {
    for (let i = 0; i < 60; i++) await put('a', `job-${i}`);
    const first = await advance({ want: 40 });
    const second = await advance({ want: 40 });
    const ids = [...first.jobs, ...second.jobs].map(({ executionId }) => executionId);
    expect(ids).toHaveLength(60);
    for (const id of ids) expect(id).toMatch(/^n[0-9a-z]{31}$/);
    expect(new Set(ids).size).toBe(60);
  });

  it('gives 500 jobs of one call an execution id each', async () => {
    for (let i = 0; i < 500; i++) await put('a', `job-${i}`);
    const { jobs } = await advance({ want: 500 });
    expect(new Set(jobs.map(({ executionId }) => executionId)).size).toBe(500);
    for (const { jobId, executionId } of jobs) {
      expect(await redis.client.hget(`rq:job:${jobId}`, 'execution_id')).toBe(executionId);
    }
  });

  it('puts each run into the started registry until the lease of 30 s is over, and 60 s more', async () => {
    await put('a', '1');
    const before = await redisTime();
    const [job] = (await advance()).jobs;
    const after = await redisTime();
    const score = Number(await redis.client.zscore('rq:wip:a', `1:${job?.executionId}`));
    expect(score).toBeGreaterThanOrEqual(before + 90 - 0.002);
    expect(score).toBeLessThanOrEqual(after + 90 + 0.002);
    expect(await redis.client.zcard('rq:wip:a')).toBe(1);
  });

  it('ends the lifetime that a waiting job had', async () => {
    await put('a', '1', { ttl: '60' });
    await redis.client.expire('rq:job:1', 60);
    await advance();
    expect(await redis.client.ttl('rq:job:1')).toBe(-1);
  });

  it('ends the lifetime that Python’s requeue left on', async () => {
    await put('a', '1', { ended_at: '', result: '1' });
    await redis.client.expire('rq:job:1', 60);
    await advance();
    expect(await redis.client.ttl('rq:job:1')).toBe(-1);
  });

  it('says whether there may be more', async () => {
    expect((await advance()).more).toBe('no');
    for (const id of ['1', '2']) await put('a', id);
    expect((await advance({ want: 1 })).more).toBe('yes');
    expect((await advance({ want: 2 })).more).toBe('no');
  });

  it('publishes the change to those who listen', async () => {
    await put('a', '1');
    const subscriber = redis.client.duplicate();
    const messages: string[] = [];
    subscriber.on('message', (_: string, text: string) => messages.push(text));
    await subscriber.subscribe('rq:status:a:1');
    await advance();
    await expect.poll(() => messages.length, { interval: 10 }).toBe(1);
    expect(JSON.parse(messages[0] ?? '')).toEqual({
      job_id: '1',
      status: 'started',
      queue: 'a',
      worker: 'w1',
      at: await redis.client.hget('rq:job:1', 'started_at'),
    });
    subscriber.disconnect();
  });
});

describe('WorkerStore.advance: ids that are not taken', () => {
  it.each(['started', 'finished', 'failed', 'deferred', 'scheduled', 'canceled', 'stopped', 'rate_limited'])(
    'drops an id whose hash says %s, and leaves the hash alone',
    async status => {
      await put('a', '1', { status });
      await put('a', '2');
      const reply = await advance();
      expect(idsOf(reply)).toEqual(['2']);
      expect(reply.dropped).toEqual([{ place: 0, id: '1', reason: status }]);
      expect(await redis.client.hgetall('rq:job:1')).toEqual({ status, origin: 'a', data: DATA });
      expect(await list('a')).toEqual([]);
    },
  );

  it('drops an id without a hash', async () => {
    await redis.client.rpush('rq:queue:b', 'expired');
    expect((await advance()).dropped).toEqual([{ place: 1, id: 'expired', reason: 'gone' }]);
    expect(await redis.client.exists('rq:job:expired')).toBe(0);
  });

  it('runs an id that stands twice in a list once', async () => {
    await put('a', '1');
    await redis.client.rpush('rq:queue:a', '1', '1');
    const reply = await advance();
    expect(idsOf(reply)).toEqual(['1']);
    expect(reply.dropped.map(({ reason }) => reason)).toEqual(['started', 'started']);
    expect(await redis.client.zcard('rq:wip:a')).toBe(1);
  });

  it('harms one job of a hundred where its key is no hash', async () => {
    for (let i = 0; i < 100; i++) await put('a', `job-${i}`);
    await redis.client.set('rq:job:job-50', 'not a hash');
    const reply = await advance({ want: 100 });
    expect(reply.jobs).toHaveLength(99);
    expect(reply.dropped).toEqual([{ place: 0, id: 'job-50', reason: 'not a hash' }]);
    expect(await redis.client.zcard('rq:wip:a')).toBe(99);
    expect(await redis.client.hget('rq:job:job-99', 'status')).toBe('started');
  });

  it('clears a list of expired ids over several calls, and reaches the job behind them', async () => {
    const gone = Array.from({ length: 1000 }, (_, i) => `gone-${i}`);
    await redis.client.rpush('rq:queue:a', ...gone);
    await put('a', 'alive');
    let calls = 0;
    let reply: AdvanceReply;
    do {
      reply = await advance({ want: 1 });
      calls++;
    } while (reply.jobs.length === 0 && reply.more === 'yes');
    expect(idsOf(reply)).toEqual(['alive']);
    expect(calls).toBeGreaterThan(1);
  });
});

describe('WorkerStore.advance: keys of the wrong type', () => {
  it.each(['rq:queue:a', 'rq:wip:a', 'rq:finished:a', 'rq:failed:a'])(
    'leaves the other queues working where %s has one',
    async key => {
      await put('a', '1');
      await put('b', '2');
      const ids = key === 'rq:queue:a' ? undefined : ['1'];
      if (ids === undefined) await redis.client.del(key);
      await redis.client.set(key, 'x');
      expect(idsOf(await advance())).toEqual(['2']);
      expect(await redis.client.hget('rq:job:1', 'status')).toBe('queued');
      expect(await list('a').catch(() => undefined)).toEqual(ids);
    },
  );

  it('takes from the list where the claims have one', async () => {
    await put('a', '1');
    await redis.client.set('rq:worker:w1:claims:a', 'x');
    expect(idsOf(await advance({ claims: new Set([0]) }))).toEqual(['1']);
  });
});

describe('WorkerStore.advance: claims', () => {
  const claims = 'rq:worker:w1:claims:a';

  async function claim(...ids: readonly string[]): Promise<void> {
    for (const id of ids)
      await redis.client.hset(`rq:job:${id}`, { status: 'queued', origin: 'a', data: DATA });
    await redis.client.rpush(claims, ...ids);
  }

  it('come before the lists', async () => {
    await put('a', 'listed');
    await claim('claimed');
    expect(idsOf(await advance({ want: 1, claims: new Set([0]) }))).toEqual(['claimed']);
    expect(await redis.client.exists(claims)).toBe(0);
    expect(await list('a')).toEqual(['listed']);
  });

  it('go back to the front, in order, where no slot is free for them', async () => {
    await put('a', 'listed');
    await claim('1', '2', '3');
    expect(idsOf(await advance({ want: 1, claims: new Set([0]) }))).toEqual(['1']);
    expect(await list('a')).toEqual(['2', '3', 'listed']);
    expect(await redis.client.exists(claims)).toBe(0);
  });

  it('go back where nothing is wanted', async () => {
    await claim('1');
    expect(idsOf(await advance({ want: 0, claims: new Set([0]) }))).toEqual([]);
    expect(await list('a')).toEqual(['1']);
  });

  it('of a lower queue come before the list of a higher one', async () => {
    await put('a', 'listed');
    await redis.client.hset('rq:job:claimed', { status: 'queued', origin: 'b', data: DATA });
    await redis.client.rpush('rq:worker:w1:claims:b', 'claimed');
    expect(idsOf(await advance({ want: 1, claims: new Set([1]) }))).toEqual(['claimed']);
  });

  it('whose job was canceled meanwhile are dropped', async () => {
    await claim('1', '2');
    await redis.client.hset('rq:job:1', 'status', 'canceled');
    const reply = await advance({ claims: new Set([0]) });
    expect(idsOf(reply)).toEqual(['2']);
    expect(reply.dropped).toEqual([{ place: 0, id: '1', reason: 'canceled' }]);
  });
});

describe('WorkerStore.advance: one of the claims and nothing else', () => {
  const claims = 'rq:worker:w1:claims:a';
  const claimOne = (): Promise<AdvanceReply> => advance({ want: 'claims', claims: new Set([0]) });

  async function claim(...ids: readonly string[]): Promise<void> {
    for (const id of ids)
      await redis.client.hset(`rq:job:${id}`, { status: 'queued', origin: 'a', data: DATA });
    await redis.client.rpush(claims, ...ids);
  }

  it('takes it, and says that the list is empty', async () => {
    await claim('1');
    const reply = await claimOne();
    expect(idsOf(reply)).toEqual(['1']);
    expect(reply.more).toBe('no');
    expect(await redis.client.hget('rq:job:1', 'execution_id')).toBe(reply.jobs[0]?.executionId);
  });

  it('takes nothing off the lists, and says that there is more', async () => {
    await put('a', 'listed');
    await claim('1');
    const reply = await claimOne();
    expect([idsOf(reply), reply.more]).toEqual([['1'], 'yes']);
    expect(await list('a')).toEqual(['listed']);
  });

  it('takes nothing where nothing is claimed, whatever is on the lists', async () => {
    for (const queue of ['a', 'b']) await put(queue, queue);
    expect(idsOf(await claimOne())).toEqual([]);
    expect([await list('a'), await list('b')]).toEqual([['a'], ['b']]);
  });

  it('puts others back to the front, in order', async () => {
    await put('a', 'listed');
    await claim('1', '2', '3');
    const reply = await claimOne();
    expect([idsOf(reply), reply.more]).toEqual([['1'], 'yes']);
    expect(await list('a')).toEqual(['2', '3', 'listed']);
    expect(await redis.client.exists(claims)).toBe(0);
  });

  it('drops what is no job, and says so', async () => {
    await redis.client.rpush(claims, 'gone');
    expect(await claimOne()).toMatchObject({
      jobs: [],
      dropped: [{ place: 0, id: 'gone', reason: 'gone' }],
      more: 'no',
    });
  });

  it('puts it back where the queue is paused, or all work suspended', async () => {
    await claim('1');
    await redis.client.hset('rq:limits:a', 'paused', '1');
    expect(await claimOne()).toMatchObject({ jobs: [], closed: [{ place: 0, ms: 0 }] });
    expect(await list('a')).toEqual(['1']);
    await redis.client.lmove('rq:queue:a', claims, 'LEFT', 'RIGHT');
    await redis.client.del('rq:limits:a');
    await redis.client.set('rq:suspended', '1');
    expect(await claimOne()).toMatchObject({ jobs: [], more: 'suspended' });
    expect(await list('a')).toEqual(['1']);
  });

  it('puts one that must not run twice back, for a call whose reply is waited for', async () => {
    await claim('1');
    await redis.client.hset('rq:job:1', 'redeliver', '0');
    expect(await claimOne()).toMatchObject({ jobs: [], more: 'yes' });
    expect(await list('a')).toEqual(['1']);
    expect(idsOf(await advance())).toEqual(['1']);
  });

  it('puts one that was lost twice back, for a call by itself', async () => {
    await claim('1');
    await redis.client.hset('rq:job:1', 'recoveries', '2');
    expect(await claimOne()).toMatchObject({ jobs: [], probation: 'ahead' });
    expect(await list('a')).toEqual(['1']);
    expect(await redis.client.hget('rq:job:1', 'status')).toBe('queued');
  });
});

describe('WorkerStore.advance: suspended', () => {
  beforeEach(() => redis.client.set('rq:suspended', '1'));

  it('takes nothing and says so', async () => {
    await put('a', '1');
    expect(await advance()).toMatchObject({ jobs: [], more: 'suspended' });
    expect(await list('a')).toEqual(['1']);
  });

  it('puts claims back', async () => {
    await put('a', 'listed');
    await redis.client.rpush('rq:worker:w1:claims:a', 'claimed');
    await advance({ claims: new Set([0]) });
    expect(await list('a')).toEqual(['claimed', 'listed']);
  });
});

describe('WorkerStore.advance: the order of the queues', () => {
  async function fill(): Promise<void> {
    for (const queue of ['a', 'b', 'c']) for (const n of [1, 2, 3]) await put(queue, `${queue}${n}`);
  }

  it('is strict by default', async () => {
    await fill();
    expect(idsOf(await advance({ want: 7 }))).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'c1']);
  });

  it('gives each its turn with round_robin', async () => {
    await fill();
    const reply = await advance({ want: 9, strategy: 'round_robin' });
    expect(idsOf(reply)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2', 'a3', 'b3', 'c3']);
  });

  it('goes on with the next queue’s turn in the next call', async () => {
    await fill();
    const taken: string[] = [];
    for (let i = 0; i < 5; i++) taken.push(...idsOf(await advance({ want: 1, strategy: 'round_robin' })));
    expect(taken).toEqual(['a1', 'b1', 'c1', 'a2', 'b2']);
  });

  it('passes over an empty queue in its turn', async () => {
    await fill();
    await redis.client.del('rq:queue:b');
    const reply = await advance({ want: 4, strategy: 'round_robin' });
    expect(idsOf(reply)).toEqual(['a1', 'c1', 'a2', 'c2']);
  });

  it('is by chance with random, and keeps each queue’s own order', async () => {
    const orders = new Set<string>();
    for (let round = 0; round < 8; round++) {
      await redis.client.flushall();
      await fill();
      const taken = idsOf(await advance({ want: 9, strategy: 'random' }));
      expect(taken.toSorted()).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'c1', 'c2', 'c3']);
      for (const queue of ['a', 'b', 'c']) {
        expect(taken.filter(id => id.startsWith(queue))).toEqual([`${queue}1`, `${queue}2`, `${queue}3`]);
      }
      orders.add(taken.join());
    }
    expect(orders.size).toBeGreaterThan(1);
  });
});
