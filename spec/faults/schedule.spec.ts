import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';

/** Puts jobs on the schedule for one moment; gives their ids. */
async function schedule(c: FaultCase, count: number, due: Date, ms = 0): Promise<string[]> {
  const jobs = await Promise.all(
    Array.from({ length: count }, () =>
      c.q.enqueueAt(due, 'ledger', [c.ledger.file, null, ms], { resultTtl: -1 }),
    ),
  );
  for (const { id } of jobs) c.ledger.told(id, 'acknowledged');
  return jobs.map(({ id }) => id);
}

/** Seconds from when they were due to their first starts, in order. */
function delays(c: FaultCase, ids: readonly string[], due: Date): number[] {
  const { entries } = c.ledger.read();
  const first = ids.map(id => Math.min(...(entries.get(id)?.starts ?? []).map(({ at }) => at)));
  return first.map(at => (at - due.getTime()) / 1000).toSorted((a, b) => a - b);
}

describe('jobs that are due in the same second', () => {
  faultCase('run within a second, once each, with two workers', { timeout: 120_000 }, async c => {
    const count = ALL ? 5_000 : 1_000;
    const workers = [0, 1].map(() => c.worker('--concurrency', '50'));
    await c.enqueue(2);
    await c.ended(2);
    const due = new Date(Date.now() + 3_000);
    const ids = await schedule(c, count, due);
    expect(Date.now(), 'all is there before it is due').toBeLessThan(due.getTime());
    expect(await c.q.scheduledRegistry.count()).toBe(count);
    await c.ended(count + 2);
    const seen = delays(c, ids, due);
    expect(seen[0], 'the first start').toBeGreaterThanOrEqual(0);
    const [half = 0, last = 0] = [seen[Math.floor(count / 2)], seen.at(-1)];
    // a machine may stall: all within a second is what is seen where it does not
    expect(last).toBeLessThan(ALL ? 3 : 2.5);
    expect(Math.max(...c.ledger.counts('start').values()), 'runs of a job').toBe(1);
    expect(await c.redis.client.exists('rq:scheduled:default')).toBe(0);
    expect(c.workers).toEqual(workers);
    c.note = `half after ${half.toFixed(2)} s, all after ${last.toFixed(2)} s`;
  });

  faultCase('run also where a worker is killed as they are due', { timeout: 120_000 }, async c => {
    const count = ALL ? 3_000 : 500;
    const start = () => c.worker('--concurrency', '5');
    const [first] = [start(), start()];
    await c.enqueue(2);
    await c.ended(2);
    const due = new Date(Date.now() + 1_500);
    const ids = await schedule(c, count, due, 5);
    await sleep(due.getTime() - Date.now());
    await c.ended(3 + c.between(0, count / 2));
    await c.kill(first ?? start());
    start();
    await c.ended(count + 2);
    const { entries, faults } = c.ledger.read();
    const killed = new Set(faults.map(({ pid }) => pid));
    const twice = ids.filter(
      id => (entries.get(id)?.starts ?? []).filter(({ pid }) => !killed.has(pid)).length > 1,
    );
    expect(twice).toEqual([]);
    expect(delays(c, ids, due)[0], 'the first start').toBeGreaterThanOrEqual(0);
  });

  faultCase('wait for a worker that comes late', {}, async c => {
    const ids = await schedule(c, 300, new Date(Date.now() + 200));
    await sleep(1_000);
    expect(await c.q.scheduledRegistry.count()).toBe(300);
    expect(await c.q.count()).toBe(0);
    c.worker('--concurrency', '20');
    await c.ended(300);
    expect(c.ledger.counts('start').size).toBe(ids.length);
  });
});
