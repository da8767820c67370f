import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';

/** Kills a worker at work, some milliseconds after it began, and starts another one. */
async function strike(c: FaultCase): Promise<void> {
  await sleep(c.between(20, 60));
  await c.killBusy();
  c.worker('--concurrency', '5');
}

const hashes = (c: FaultCase): Promise<string[]> => c.redis.client.keys('rq:job:*');

describe('workers killed with SIGKILL', () => {
  faultCase(
    'run each job whose result is not kept, and leave nothing of it',
    { timeout: 300_000 },
    async c => {
      // so long that the last one to be killed is at work, also where this comes late
      const [jobs, kills, ms] = ALL ? [5_000, 20, 40] : [200, 3, 150];
      for (let n = 0; n < 3; n++) c.worker('--concurrency', '5');
      const enqueued = c.enqueue(jobs, { ms, options: { resultTtl: 0 }, leaves: 'dropped' });
      for (let kill = 0; kill < kills; kill++) {
        await c.ended(Math.floor((jobs * (kill + 1)) / (kills + 2)));
        await strike(c);
      }
      const ids = await enqueued;
      await c.ended(jobs);
      await expect.poll(() => hashes(c), { timeout: 30_000 }).toEqual([]);
      expect([...c.ledger.counts('end').keys()].toSorted((a, b) => a.localeCompare(b))).toEqual(
        ids.toSorted((a, b) => a.localeCompare(b)),
      );
      expect(Math.max(...c.ledger.counts('start').values()), 'a lost run was begun anew').toBeGreaterThan(1);
    },
  );

  faultCase(
    'end each job that they began before its ttl was over, and no other',
    { timeout: 300_000 },
    async c => {
      // ten slots can't begin all of them within their ttl, and a run takes longer than that
      const [jobs, rounds] = ALL ? [200, 10] : [60, 1];
      const expired: string[] = [];
      for (let round = 0; round < rounds; round++) {
        const already = c.ledger.counts('end').size;
        for (let n = c.workers.length; n < 2; n++) c.worker('--concurrency', '5');
        await c.up();
        // at once, or too few of them begin in time
        const idle = async (): Promise<number> =>
          String(await c.redis.client.client('LIST')).match(/ flags=\S*b.* cmd=blmove/g)?.length ?? 0;
        await expect.poll(idle, { timeout: 20_000 }).toBe(2);
        const long = { ms: 2_500, options: { ttl: '2s' }, leaves: 'expiring' } as const;
        const ids = await c.enqueue(jobs, { ...long, atOnce: jobs });
        await expect.poll(() => c.ledger.counts('start').size, { timeout: 20_000 }).toBe(already + 10);
        await strike(c);
        const begun = [...c.ledger.counts('start').keys()];
        const left = async (): Promise<number> =>
          (await c.redis.client.llen('rq:queue:default')) + (await c.redis.client.zcard('rq:wip:default'));
        await expect.poll(left, { timeout: 60_000, interval: 50 }).toBe(0);
        const ended = c.ledger.counts('end');
        expect(begun.filter(id => !ended.has(id))).toEqual([]);
        const gone = ids.filter(id => !ended.has(id));
        expect(gone.length, 'jobs that expired').toBeGreaterThan(0);
        expect(await c.redis.client.exists(...gone.map(id => `rq:job:${id}`))).toBe(0);
        expired.push(...gone);
      }
      const started = c.ledger.counts('start');
      expect(
        expired.filter(id => started.has(id)),
        'began, and expired',
      ).toEqual([]);
      expect(Math.max(...started.values()), 'a lost run was begun anew').toBeGreaterThan(1);
      c.note = `${expired.length} expired`;
    },
  );
});
