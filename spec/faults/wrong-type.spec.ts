import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { faultCase, type FaultCase } from '../support/fault-case.ts';
import { putBack, replace } from '../support/wrong-type.ts';

const soon = { timeout: 15_000, interval: 20 };

/** Has a key hold a text while something is done, and what it held before after that. */
async function struck<T>(c: FaultCase, key: string, act: () => Promise<T>): Promise<T> {
  await replace(c.redis.client, key, 'string');
  try {
    return await act();
  } finally {
    await putBack(c.redis.client, key);
  }
}

/** A job that the caller follows. */
async function job(c: FaultCase, name: string, args: readonly unknown[], options: object = {}) {
  const it = await c.q.enqueue(name, args, { resultTtl: -1, ...options });
  c.ledger.told(it.id, 'acknowledged');
  return it;
}

describe('the set of queues, where it holds another type', () => {
  faultCase('costs no job that is requeued', {}, async c => {
    const failed = await job(c, 'fail', ['no']);
    c.worker();
    await expect(failed.wait()).rejects.toThrow('no');
    await struck(c, 'rq:queues', () => failed.requeue().catch(() => {}));
  });

  faultCase('leaves no job that was due among the scheduled ones', {}, async c => {
    const retried = await job(c, 'fail', ['no'], { retry: { max: 1, interval: 3 } });
    c.worker();
    await expect.poll(() => retried.getStatus(), soon).toBe('scheduled');
    await struck(c, 'rq:queues', async () => {
      await expect.poll(() => retried.getStatus(), soon).toBe('failed');
    });
    await expect.poll(() => c.redis.client.zcard('rq:scheduled:default'), { timeout: 5_000 }).toBe(0);
  });

  faultCase('costs no job that waits for another one', {}, async c => {
    const { client } = c.redis;
    const first = await job(c, 'echo', [1]);
    await client.hset('rq:job:second', {
      status: 'deferred',
      origin: 'default',
      timeout: '60',
      data: '["echo",null,[2],{}]',
    });
    await client.sadd(`rq:job:${first.id}:dependents`, 'second');
    await client.sadd('rq:job::second:dependencies', first.id);
    await client.zadd('rq:deferred:default', 1, 'second');
    c.ledger.told('second', 'acknowledged');
    await struck(c, 'rq:queues', async () => {
      c.worker();
      await expect.poll(() => first.getStatus(), soon).toBe('finished');
    });
    await expect.poll(() => client.hget('rq:job:second', 'status'), soon).toBe('finished');
  });
});

describe('a group, where it holds another type', () => {
  faultCase('leaves a job where it was, or takes all of it away', {}, async c => {
    const grouped = await job(c, 'echo', [1]);
    await c.redis.client.hset(`rq:job:${grouped.id}`, 'group_id', 'g');
    await struck(c, 'rq:group:g', () => grouped.delete().catch(() => {}));
    if ((await c.q.fetchJob(grouped.id)) === undefined) c.ledger.deleted(grouped.id);
  });
});

describe('the set of workers that may hold claims', () => {
  faultCase('has a worker that registered anew while it held another type', {}, async c => {
    const { client } = c.redis;
    await c.enqueue(1);
    c.worker('--name', 'w0');
    await c.ended(1);
    const birth = await client.hget('rq:worker:w0', 'birth');
    await struck(c, 'rq:claimants:default', async () => {
      await client.srem('saved:rq:claimants:default', 'w0');
      await client.del('rq:worker:w0');
      // some heartbeats
      await sleep(2_500);
    });
    const born = (): Promise<boolean> =>
      client.hget('rq:worker:w0', 'birth').then(now => now !== null && now !== birth);
    await expect.poll(born, soon).toBe(true);
    await expect.poll(() => client.smembers('rq:claimants:default'), soon).toContain('w0');
  });
});

describe('errors of earlier runs that Redis reads and can’t write again', () => {
  faultCase('cost no job whose outcome is handed in beside theirs', {}, async c => {
    await c.enqueue(4);
    // fails as late as the others end
    const bad = await job(c, 'ledger', ['/no/such/folder/ledger', null, 0], { retry: { max: 1 } });
    await c.redis.client.hset(`rq:job:${bad.id}`, 'errors', '[1e999]');
    await c.enqueue(4);
    // half of the slots are asked for in one call, and what ends at once is handed in with one
    c.worker('--concurrency', '20');
    await c.ended(8);
    await expect.poll(() => bad.getStatus(), soon).toBe('failed');
  });
});
