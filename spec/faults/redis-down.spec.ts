import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { under } from '../support/load.ts';

const redis = { args: ['--appendonly', 'yes', '--appendfsync', 'always'] };

/** The workers of a case: they live through all of it. */
async function workers(c: FaultCase, ...args: readonly string[]): Promise<number[]> {
  const all = [c.worker('--concurrency', '5', ...args), c.worker('--concurrency', '5', ...args)];
  await c.enqueue(20);
  await c.ended(20);
  return all.map(({ pid }) => pid);
}

/** Those of these processes that have run something from now on, once they all have. */
async function atWorkAgain(c: FaultCase, pids: readonly number[]): Promise<void> {
  const since = Date.now();
  const again = (): number[] => {
    const starts = [...c.ledger.read().entries.values()].flatMap(entry => entry.starts);
    return pids.filter(wanted => starts.some(({ at, pid }) => pid === wanted && at >= since));
  };
  await expect
    .poll(
      async () => {
        await c.enqueue(10, { ms: 20 });
        return again();
      },
      { timeout: 60_000, interval: 100 },
    )
    .toEqual(pids);
}

describe('Redis killed with SIGKILL, and its append-only file kept', () => {
  faultCase('and started again at once, several times', { redis, timeout: 300_000 }, async c => {
    // on a busy machine a restart may last for some seconds
    const pids = await workers(c, '--lease', '10');
    const restarts = ALL ? 25 : 3;
    const strikes = async (): Promise<void> => {
      for (let n = 0; n < restarts; n++) {
        await sleep(c.between(100, 600));
        await c.restartRedis();
      }
    };
    await under(c, { ms: 20, atOnce: ALL ? 40 : 15 }, strikes());
    await atWorkAgain(c, pids);
    // a lease outlives a restart: what ran goes on, and its outcome is handed in afterwards
    const again = [...c.ledger.counts('start').values()].filter(runs => runs > 1).length;
    expect(again, 'runs that were repeated').toBeLessThanOrEqual(restarts);
    c.note = `${restarts} restarts, ${again} runs repeated`;
  });

  for (const seconds of [5, 60])
    faultCase(`and gone for ${seconds} s`, { redis, onlyWithAll: true, timeout: 300_000 }, async c => {
      const pids = await workers(c);
      await c.enqueue(300, { ms: 50 });
      await under(c, { ms: 20, pause: 50 }, c.restartRedis(seconds * 1000));
      await atWorkAgain(c, pids);
      const { entries } = c.ledger.read();
      const unsent = [...entries.values()].filter(({ told }) => told === 'unsent').length;
      if (seconds > 5) expect(unsent, 'calls that were told of it').toBeGreaterThan(0);
      c.note = `${unsent} own ids were not sent`;
    });
});

describe('Redis that does not answer', () => {
  faultCase('stopped by a signal for longer than a lease', { redis, timeout: 300_000 }, async c => {
    const pids = await workers(c);
    const ms = ALL ? 8000 : 3500;
    let silent = 0;
    const stopped = async (): Promise<void> => {
      // they end while nobody can be told
      await c.enqueue(60, { ms: 500 });
      await expect.poll(() => c.q.startedRegistry.count(), { timeout: 20_000 }).toBeGreaterThan(9);
      c.ledger.struck();
      const began = performance.now();
      process.kill(c.redis.pid, 'SIGSTOP');
      c.atEnd(() => process.kill(c.redis.pid, 'SIGCONT'));
      const answered = c.redis.client.ping().then(() => (silent = performance.now() - began));
      await sleep(ms);
      process.kill(c.redis.pid, 'SIGCONT');
      await answered;
    };
    await under(c, { ms: 20 }, stopped());
    expect(silent, 'how long a call took').toBeGreaterThan(ms - 200);
    await atWorkAgain(c, pids);
  });

  for (const mode of ['ALL', 'WRITE'] as const)
    faultCase(`CLIENT PAUSE ${mode} for longer than a lease`, { timeout: 300_000 }, async c => {
      const pids = await workers(c);
      const ms = ALL ? 20_000 : 3500;
      // in mid-run when the lease ends, if nobody renews it
      await c.enqueue(10, { ms: 500 });
      let began = 0;
      const paused = async (): Promise<void> => {
        await sleep(300);
        began = performance.now();
        await c.redis.client.call('CLIENT', 'PAUSE', String(ms), mode);
        c.ledger.struck();
        // a client that only waits for its reply
        await c.redis.client.set('rq-spec', '1');
        await c.redis.client.del('rq-spec');
      };
      await under(c, { ms: 20 }, paused());
      expect(performance.now() - began, 'how long a write took').toBeGreaterThan(ms - 200);
      await atWorkAgain(c, pids);
      const told = [...c.ledger.read().entries.values()].filter(entry => entry.told !== 'acknowledged');
      // a producer's deadline is 5 s
      expect(told.length > 0, 'calls without a reply').toBe(ALL);
    });
});
