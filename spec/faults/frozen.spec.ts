import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import type { WorkerProcess } from '../support/worker-process.ts';

const LATE = /This run is not the job’s any more/g;

function refusals(worker: WorkerProcess): number {
  return [...worker.err.matchAll(LATE)].length;
}

/** Stops a worker's process, and notes it: it is as good as dead. */
function freeze(c: FaultCase, worker: WorkerProcess): void {
  worker.child.kill('SIGSTOP');
  c.ledger.struck(worker.pid);
}

/** Jobs whose first run is struck, and whose result says which process it came from. */
async function longFirst(
  c: FaultCase,
  count: number,
  what: 'sleep' | 'block',
  ms: number,
): Promise<string[]> {
  const jobs = await Promise.all(
    Array.from({ length: count }, () =>
      c.q.enqueue('firstRun', [c.ledger.file, what, ms], { resultTtl: -1 }),
    ),
  );
  for (const { id } of jobs) c.ledger.told(id, 'acknowledged');
  return jobs.map(({ id }) => id);
}

async function started(c: FaultCase, count: number): Promise<void> {
  await expect
    .poll(() => c.ledger.counts('start').size, { timeout: 30_000, interval: 20 })
    .toBeGreaterThanOrEqual(count);
}

/** Each was finished by another process than the one that was away, and what that came to has changed nothing. */
async function finishedElsewhere(c: FaultCase, ids: readonly string[], away: WorkerProcess): Promise<void> {
  for (const id of ids) {
    const hash = await c.redis.client.hgetall(`rq:job:${id}`);
    expect(hash).toMatchObject({ status: 'finished', recoveries: '1' });
    expect(hash['result']).not.toBe(String(away.pid));
    expect(c.ledger.read().entries.get(id)?.starts).toHaveLength(2);
  }
}

/** A run writes its end before its outcome is handed in. */
async function finished(c: FaultCase, count: number): Promise<void> {
  await expect.poll(() => c.q.finishedRegistry.count(), { timeout: 60_000, interval: 20 }).toBe(count);
}

describe('a worker that is away for longer than its lease', () => {
  faultCase('by SIGSTOP: what it still comes to is refused', {}, async c => {
    const count = ALL ? 20 : 3;
    const away = c.worker('--concurrency', String(count));
    // longer than it takes to stop the worker, and over when it goes on: the lease is
    const ids = await longFirst(c, count, 'sleep', 1_500);
    await started(c, count);
    freeze(c, away);
    const other = c.worker('--concurrency', '5');
    await other.said(/Taken back from a worker that is gone/);
    await finished(c, count);
    await finishedElsewhere(c, ids, away);

    away.child.kill('SIGCONT');
    await expect.poll(() => refusals(away), { timeout: 20_000 }).toBe(count);
    await finishedElsewhere(c, ids, away);
    // and it is as good as new
    await other.end('SIGTERM');
    await c.enqueue(20);
    await c.ended(count + 20);
    c.note = `${refusals(away)} refused`;
  });

  faultCase(
    'by SIGSTOP in a blocking read: what it took runs elsewhere, once',
    { onlyWithAll: true },
    async c => {
      const away = c.worker();
      await expect
        .poll(async () => /blocked_clients:1\b/.test(await c.redis.client.info('clients')), {
          timeout: 20_000,
        })
        .toBe(true);
      freeze(c, away);
      const [id = ''] = await c.enqueue(1);
      expect(await c.q.count()).toBe(0);
      c.worker();
      await c.ended(1);
      away.child.kill('SIGCONT');
      await c.enqueue(20, { pause: 10, atOnce: 1 });
      await c.ended(21);
      expect(c.ledger.counts('start').get(id)).toBe(1);
      // it took up its work again
      const pids = [...c.ledger.read().entries.values()].flatMap(({ ends }) => ends.map(({ pid }) => pid));
      expect(pids).toContain(away.pid);
    },
  );

  faultCase('by SIGSTOP, at random, four at work', { onlyWithAll: true, timeout: 300_000 }, async c => {
    const workers = Array.from({ length: 4 }, () => c.worker('--concurrency', '5'));
    const jobs = 10_000;
    const enqueued = c.enqueue(jobs, { ms: 15 });
    for (let round = 1; round <= 8; round++) {
      await c.ended(Math.floor((jobs * round) / 10));
      const away = c.pick(workers);
      freeze(c, away);
      await sleep(c.between(2_000, 9_000));
      away.child.kill('SIGCONT');
    }
    await enqueued;
    await c.ended(jobs);
    const refused = workers.reduce((sum, worker) => sum + refusals(worker), 0);
    c.note = `${refused} refused`;
    expect(refused).toBeGreaterThan(0);
  });

  faultCase(
    'by a function that holds up its event loop: its jobs go on elsewhere, other jobs are not held up',
    {},
    async c => {
      const [concurrency, strangers] = ALL ? [10, 2_000] : [3, 50];
      const away = c.worker('--concurrency', String(concurrency));
      const ids = await longFirst(c, concurrency - 1, 'sleep', 2_500);
      await started(c, concurrency - 1);
      ids.push(...(await longFirst(c, 1, 'block', 60_000)));
      await started(c, concurrency);
      c.ledger.struck(away.pid);

      const other = c.worker('--concurrency', '5');
      await c.enqueue(strangers);
      await c.ended(strangers);
      const ends = () => [...c.ledger.read().entries.values()].flatMap(({ ends: all }) => all);
      expect(ends().every(({ pid }) => pid === other.pid)).toBe(true);
      await finished(c, strangers + concurrency);
      await finishedElsewhere(c, ids, away);
      expect(c.ledger.openRuns(away.pid), 'all while the loop was held up').toBe(concurrency);
      expect(ends().every(({ pid }) => pid === other.pid)).toBe(true);

      writeFileSync(`${c.ledger.file}-go`, '');
      await expect.poll(() => refusals(away), { timeout: 20_000 }).toBe(concurrency);
      await finishedElsewhere(c, ids, away);
      c.note = `${refusals(away)} refused`;
    },
  );
});
