/** Rates, pauses and what they are kept in, while workers die and keys hold another type. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { putBack, replace, TYPES } from '../support/wrong-type.ts';

const soon = { timeout: 30_000, interval: 20 };

/** When jobs began last, by Redis' clock, in seconds. */
async function begun(c: FaultCase, ids: readonly string[]): Promise<number[]> {
  const times = await Promise.all(ids.map(id => c.redis.client.hget(`rq:job:${id}`, 'started_at')));
  // to the microsecond, which Date.parse cuts
  const seconds = times.map(
    time => Date.parse(`${time?.slice(0, 19)}Z`) / 1000 + Number(time?.slice(19, 26)),
  );
  return seconds.toSorted((a, b) => a - b);
}

/** The most that began within so many seconds. */
function mostWithin(seconds: number, times: readonly number[]): number {
  return Math.max(
    ...times.map((from, i) => times.slice(i).filter(at => at - from < seconds - 0.00001).length),
  );
}

describe('a rate', () => {
  faultCase('is exact over several workers, of which some are killed', { timeout: 180_000 }, async c => {
    await c.q.setRateLimit('10/500ms');
    for (let i = 0; i < 3; i++) c.worker('--concurrency', '8', '--prefetch', `${i}`);
    const ids = await c.enqueue(ALL ? 200 : 60, { ms: 200 });
    for (let i = 0; i < (ALL ? 5 : 2); i++) {
      await c.ended(10 * (i + 1));
      await c.kill(c.pick(c.workers));
      c.worker('--concurrency', '8');
    }
    await c.ended(ids.length, 120_000);
    const times = await begun(c, ids);
    expect(mostWithin(0.5, times)).toBe(10);
    c.note = `${ids.length} in ${((times.at(-1) ?? 0) - (times[0] ?? 0)).toFixed(1)} s`;
    await c.q.setRateLimit(undefined);
  });

  faultCase('is changed under workers that run', { timeout: 120_000 }, async c => {
    for (let i = 0; i < 2; i++) c.worker('--concurrency', '5');
    await c.q.setRateLimit('5/200ms');
    const ids = await c.enqueue(60);
    await c.ended(20);
    await c.q.setRateLimit('2/200ms');
    // of one call: the second may turn between two
    const [seconds, micros] = await c.redis.client.time();
    const lowered = Number(seconds) + Number(micros) / 1e6;
    await c.ended(30);
    const later = (await begun(c, ids)).filter(at => at > lowered);
    expect(mostWithin(0.2, later)).toBeLessThanOrEqual(2);
    await c.enqueue(170);
    await c.q.setRateLimit(undefined);
    const began = performance.now();
    await c.ended(230);
    // at two in 0.2 s it would be 17 s at least
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});

describe('a pause', () => {
  const queues = ['default', 'other'];
  faultCase(
    'holds while workers wait, claim and die, and costs no job',
    { queues, timeout: 120_000 },
    async c => {
      const other = c.closing(new Queue('other', { connection: c.redis.url }));
      for (let i = 0; i < 2; i++) c.worker('other', '--concurrency', '2');
      for (let i = 0; i < (ALL ? 12 : 3); i++) {
        // they wait, with reads that a pause does not end
        const some = await c.enqueue(2, { queue: other });
        await expect.poll(() => some.every(id => c.ledger.counts('end').has(id)), soon).toBe(true);
        await c.q.pause();
        const held = await c.enqueue(c.between(1, 5));
        const free = await c.enqueue(2, { queue: other });
        if (i % 2 === 0) {
          await c.kill(c.pick(c.workers));
          c.worker('other', '--concurrency', '2');
        }
        await expect.poll(() => free.every(id => c.ledger.counts('end').has(id)), soon).toBe(true);
        expect(
          held.filter(id => c.ledger.counts('start').has(id)),
          'began while paused',
        ).toEqual([]);
        await c.q.resume();
        await expect.poll(() => held.every(id => c.ledger.counts('end').has(id)), soon).toBe(true);
      }
    },
  );
});

describe('a key that limits are kept in, where it holds another type', () => {
  const queues = ['default', 'other'];
  const keys = [
    'rq:limits:default',
    'rq:starts:default',
    'rq:slots:acme',
    'rq:parked:acme',
    'rq:parked',
    'rq:aside:default',
  ];
  for (const key of keys) {
    faultCase(`costs no job, and other queues nothing: ${key}`, { queues, timeout: 120_000 }, async c => {
      const { client } = c.redis;
      const other = c.closing(new Queue('other', { connection: c.redis.url }));
      const options = { limit: { key: 'acme', concurrency: 2 } };
      await c.q.setRateLimit('20/100ms');
      c.worker('other', '--concurrency', '6', '--rate-limit', 'default=50/100ms');
      await c.enqueue(10, { ms: 30, options });
      await c.ended(2);
      for (const type of ALL ? TYPES : [c.pick(TYPES)]) {
        await replace(client, key, type);
        const mine = await c.enqueue(6, { ms: 5, options });
        const theirs = await c.enqueue(6, { queue: other });
        await expect.poll(() => theirs.every(id => c.ledger.counts('end').has(id)), soon).toBe(true);
        // some looks, and a sweep with all
        await sleep(ALL ? 6_000 : 300);
        await putBack(client, key);
        await expect.poll(() => mine.every(id => c.ledger.counts('end').has(id)), soon).toBe(true);
      }
      // what was put back may tell of runs that are over: it is found where somebody waits
      await c.enqueue(8, { ms: 20, options });
      await c.rest(queues, 60_000);
      for (let i = 0; i < 20 && (await client.exists('rq:slots:acme')) === 1; i++) {
        await c.enqueue(4, { ms: 20, options });
        await sleep(600);
      }
      await expect.poll(() => client.keys('rq:slots:*'), soon).toEqual([]);
      await expect.poll(() => client.keys('rq:aside:*'), soon).toEqual([]);
      await c.q.setRateLimit(undefined);
    });
  }
});
