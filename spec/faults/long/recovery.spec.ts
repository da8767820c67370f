import { describe, expect } from 'vitest';
import { failingWorker } from '../../support/exits.ts';
import { faultCase, type FaultCase } from '../../support/fault-case.ts';
import { startWorker } from '../../support/worker-process.ts';

describe('a worker with the default lease of 30 s', () => {
  faultCase(
    'killed just after it renewed: its runs, and the id it has just taken, run elsewhere within 40 s',
    { onlyWithAll: true, timeout: 240_000 },
    async c => {
      const runs = await Promise.all([long(c), long(c)]);
      // dies with the reply of its second blocking read, for which it has a slot left
      const dies = failingWorker(c, 'after:2:blmove', 'default', '--concurrency', '3');
      const leases = () => c.redis.client.zrange('rq:wip:default', '0', '-1', 'WITHSCORES');
      await expect.poll(async () => (await leases()).length, { timeout: 30_000 }).toBe(4);
      const first = await leases();
      await expect.poll(leases, { timeout: 30_000, interval: 20 }).not.toEqual(first);
      // the first read ends after 10 s
      await expect.poll(() => idleOfBlocked(c), { timeout: 15_000, interval: 20 }).toBeLessThan(5);
      const [claimed = ''] = await c.enqueue(1);
      expect(await dies.exit()).toEqual({ code: null, signal: 'SIGKILL' });
      const died = Date.now();
      c.ledger.struck(dies.pid);
      expect(await c.q.startedRegistry.count()).toBe(2);
      expect(await c.q.count()).toBe(0);

      c.keep(startWorker(c.redis.url, ['default'], '--quiet', '--concurrency', '3'));
      await c.ended(3, 90_000);
      const { entries } = c.ledger.read();
      const after = (id: string): number => ((entries.get(id)?.starts.at(-1)?.at ?? 0) - died) / 1000;
      const [slowest, claim] = [Math.max(...runs.map(after)), after(claimed)];
      c.note = `runs after ${slowest.toFixed(1)} s, the claim after ${claim.toFixed(1)} s`;
      expect(slowest).toBeLessThan(40);
      expect(claim).toBeLessThan(40);
    },
  );
});

/** A job whose first run outlasts the case. */
async function long(c: FaultCase): Promise<string> {
  const { id } = await c.q.enqueue('firstRun', [c.ledger.file, 'sleep', 300_000], {
    resultTtl: -1,
    timeout: 600,
  });
  c.ledger.told(id, 'acknowledged');
  return id;
}

/** For how many seconds the blocking read that is under way has been. */
async function idleOfBlocked(c: FaultCase): Promise<number> {
  const list = (await c.redis.client.client('LIST')) as string;
  const [, idle] = /\bidle=(\d+) [^\n]*\bcmd=blmove\b/.exec(list) ?? [];
  return idle === undefined ? Infinity : Number(idle);
}
