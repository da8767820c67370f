/** Many dependents, and large graphs: no call does more than its share, and each job costs what it costs among few. */
import { describe, expect } from 'vitest';
import { Queue, type Job } from '../../lib/index.ts';
import { advance } from '../../lib/lua/advance.ts';
import { enqueue } from '../../lib/lua/enqueue.ts';
import { queueDue } from '../../lib/lua/queue-due.ts';
import { sweep } from '../../lib/lua/sweep.ts';
import { loadScripts } from '../support/commands.ts';
import { failingWorker } from '../support/exits.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';

/** Microseconds from which Redis notes a command as slow, and how many it keeps. */
const SLOW = { args: ['--slowlog-log-slower-than', '2000', '--slowlog-max-len', '10000'] };

const NAMES: ReadonlyMap<string, string> = new Map(
  [advance, enqueue, queueDue, sweep].map(({ sha, name }) => [sha, name]),
);

/** The longest script since this was asked last, by the clock: on a busy machine any may be long. */
async function slowest(c: FaultCase): Promise<string> {
  const log = (await c.redis.client.call('SLOWLOG', 'GET', '-1')) as [number, number, number, string[]][];
  await c.redis.client.call('SLOWLOG', 'RESET');
  const scripts = log.filter(([, , , [command = '']]) => /^eval/i.test(command));
  const [longest] = scripts.toSorted(([, , a], [, , b]) => b - a);
  if (longest === undefined) return 'no script was long';
  const name = NAMES.get(longest[3][1] ?? '') ?? 'another';
  return `the longest script ${(longest[2] / 1000).toFixed(1)} ms, ${name}`;
}

/** Jobs that wait for one, without a result of it; gives their ids. */
async function dependents(c: FaultCase, of: Job, count: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const calls = Array.from({ length: Math.min(5_000, count - ids.length) }, () => [
      'ledger',
      [c.ledger.file, null, 0],
      { resultTtl: -1, dependsOn: of },
    ]) as unknown as [string, unknown[], object][];
    ids.push(...(await c.q.enqueueMany(calls)).map(({ id }) => id));
  }
  for (const id of ids) c.ledger.told(id, 'acknowledged');
  return ids;
}

describe('the dependents of one job', () => {
  const count = ALL ? 100_000 : 5_000;
  const options = { timeout: 600_000, rest: 300_000, redis: SLOW };

  async function root(c: FaultCase): Promise<string[]> {
    const first = await c.q.enqueue('ledger', [c.ledger.file, null, 0], { resultTtl: -1, jobId: 'root' });
    c.ledger.told(first.id, 'acknowledged');
    const ids = await dependents(c, first, count);
    expect(await c.q.deferredRegistry.count()).toBe(count);
    await slowest(c);
    return ids;
  }

  /** Each ran once, but those that were under way in a worker that was killed. */
  function ranOnce(c: FaultCase, ids: readonly string[]): void {
    const { entries, faults } = c.ledger.read();
    const killed = new Set(faults.map(({ pid }) => pid));
    const wrong = ids.filter(id => {
      const starts = entries.get(id)?.starts ?? [];
      return starts.length === 0 || starts.filter(({ pid }) => !killed.has(pid)).length > 1;
    });
    expect(wrong).toEqual([]);
    expect(faults.length > 0 || ids.every(id => entries.get(id)?.starts.length === 1)).toBe(true);
  }

  async function ended(c: FaultCase, ids: readonly string[]): Promise<void> {
    await expect
      .poll(() => c.q.finishedRegistry.count(), { timeout: 400_000, interval: 100 })
      .toBe(ids.length + 1);
    expect(await c.q.deferredRegistry.count()).toBe(0);
    expect(await c.redis.client.keys('rq:releasing*')).toEqual([]);
    expect(await c.redis.client.exists('rq:job:root:dependents')).toBe(0);
  }

  faultCase('run once each', options, async c => {
    const ids = await root(c);
    const began = performance.now();
    c.worker('--concurrency', '50');
    await ended(c, ids);
    const seconds = (performance.now() - began) / 1000;
    const longest = await slowest(c);
    c.note = `${count} in ${seconds.toFixed(1)} s, ${longest}`;
    ranOnce(c, ids);
  });

  faultCase('run also where the worker is killed as they are released', options, async c => {
    const ids = await root(c);
    await loadScripts(c.redis.client);
    // its first call takes the root, its second one hands that in, which releases some
    const first = failingWorker(c, 'after:2:advance', 'default', '--lease', '3', '--concurrency', '1');
    expect(await first.exit()).toEqual({ code: null, signal: 'SIGKILL' });
    c.ledger.struck(first.pid);
    expect(await c.redis.client.hlen('rq:releasing')).toBe(1);
    const left = await c.redis.client.scard('rq:releasing:root');
    expect(left, 'dependents that nobody goes on with').toBeGreaterThan(0);
    expect(await c.q.deferredRegistry.count()).toBe(left);
    const second = c.worker('--concurrency', '50');
    await expect
      .poll(() => c.q.finishedRegistry.count(), { timeout: 60_000, interval: 5 })
      .toBeGreaterThan(count / 10);
    await c.kill(second);
    c.worker('--concurrency', '50');
    await ended(c, ids);
    const longest = await slowest(c);
    c.note = `${left} were left, ${longest}`;
    ranOnce(c, ids);
  });
});

describe('a graph of jobs', () => {
  /** Chains side by side, each begun by one job, and one job that takes what all of them gave. */
  async function graph(c: FaultCase, q: Queue, chains: number, length: number): Promise<number> {
    const first = await q.enqueue<number>('add', [0, 1], { resultTtl: -1 });
    let level: Job[] = (await q.enqueueMany(
      Array.from({ length: chains }, (_, n) => ['add', [first, n], { resultTtl: -1 }]) as never,
    )) as Job[];
    const all: Job[] = [first, ...level];
    for (let step = 1; step < length; step++) {
      level = (await q.enqueueMany(level.map(job => ['add', [job, 1], { resultTtl: -1 }]) as never)) as Job[];
      all.push(...level);
    }
    const last = await q.enqueue<number>('sum', [level], { resultTtl: -1 });
    for (const { id } of [...all, last]) c.ledger.told(id, 'acknowledged');
    // 1 from the first, its number, and one for each step
    const expected = chains * length + (chains * (chains - 1)) / 2;
    expect(await last.wait({ timeout: '5m' })).toBe(expected);
    return all.length + 1;
  }

  async function secondsPerJob(c: FaultCase, chains: number, length: number): Promise<number> {
    const began = performance.now();
    const jobs = await graph(c, c.q, chains, length);
    return (performance.now() - began) / 1000 / jobs;
  }

  faultCase(
    'ends, and its time for each job is that of a small one',
    { redis: SLOW, timeout: 600_000 },
    async c => {
      c.worker('--concurrency', '50');
      await graph(c, c.q, 20, 5);
      await slowest(c);
      const small = await secondsPerJob(c, 50, 10);
      const [chains, fan] = ALL
        ? [await secondsPerJob(c, 100, 100), await secondsPerJob(c, 5_000, 2)]
        : [await secondsPerJob(c, 100, 10), await secondsPerJob(c, 1_000, 1)];
      const longest = await slowest(c);
      const us = (seconds: number): string => (seconds * 1e6).toFixed(0);
      c.note = `${us(small)} µs a job of 500, ${us(chains)} in chains, ${us(fan)} fanned out and in; ${longest}`;
      if (ALL) {
        expect(chains / small, 'growth in chains').toBeLessThan(3);
        expect(fan / small, 'growth with the width').toBeLessThan(3);
      }
      expect(await c.q.deferredRegistry.count()).toBe(0);
      expect((await c.redis.client.keys('rq:*')).filter(key => /depend|releasing/.test(key))).toEqual([]);
    },
  );
});
