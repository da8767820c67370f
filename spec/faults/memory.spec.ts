import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { RedisRefusedError } from '../../lib/index.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';

const pad = { meta: { pad: 'x'.repeat(10_000) } };

/** A number of `INFO`, such as `used_memory`, or what follows a name in a line of statistics. */
async function info(c: FaultCase, section: string, pattern: RegExp): Promise<number> {
  return Number(pattern.exec(await c.redis.client.info(section))?.[1] ?? 0);
}
const used = (c: FaultCase): Promise<number> => info(c, 'memory', /used_memory:(\d+)/);
const refusedReads = (c: FaultCase): Promise<number> =>
  info(c, 'commandstats', /cmdstat_blmove:.*rejected_calls=(\d+)/);
const limit = (c: FaultCase, bytes: number): Promise<unknown> =>
  c.redis.client.config('SET', 'maxmemory', bytes);

/** Enqueues until Redis is full, and sees to it that it stays so. Gives the ids that were acknowledged. */
async function fill(c: FaultCase, ms: number): Promise<string[]> {
  await limit(c, (await used(c)) + (ALL ? 8_000_000 : 2_000_000));
  const ids: string[] = [];
  for (;;) {
    const more = await c.enqueue(40, { ms, options: pad });
    ids.push(...more);
    if (more.length < 40) break;
  }
  await limit(c, Math.floor((await used(c)) * 0.8));
  c.ledger.struck();
  return ids;
}

describe('Redis with no memory left', () => {
  faultCase(
    'refuses new jobs and has the others worked off, until there is memory again',
    { timeout: 300_000 },
    async c => {
      const start = () => c.worker('--concurrency', '5');
      for (let n = 0; n < 3; n++) start();
      let acknowledged = 0;
      for (let round = 0; round < (ALL ? 5 : 1); round++) {
        const retry = { retry: { max: 1, interval: 1 }, jobId: `retried-${round}` };
        const retried = await c.q.enqueue('fail', ['no'], retry);
        c.ledger.told(retried.id, 'acknowledged');
        const canceled = await c.enqueue(1, { ms: 60_000 });
        const ids = await fill(c, ALL ? 50 : 200);
        const third = Math.ceil(ids.length / 3);

        // what is new is refused, and the caller told why
        for (const call of [c.q.enqueue('echo', [1]), c.q.enqueue('echo', [1], { jobId: 'refused' })]) {
          const error: unknown = await call.catch((thrown: unknown) => thrown);
          expect(error).toBeInstanceOf(RedisRefusedError);
          expect(error).toMatchObject({ message: expect.stringContaining('maxmemory') as string });
        }

        // workers die and start, and jobs end, are retried and canceled, all the same
        await c.ended(acknowledged + third);
        // what is canceled runs no second time
        await c.killBusy(canceled);
        start();
        const [id = ''] = canceled;
        await (await c.q.fetchJob(id))?.cancel();
        acknowledged += ids.length;
        await c.ended(acknowledged);
        const starts = [...c.ledger.counts('start').values()];
        expect(Math.max(...starts), 'a lost run was begun anew while Redis was full').toBeGreaterThan(1);
        await expect.poll(() => retried.getStatus(), { timeout: 20_000 }).toBe('failed');
        for (const one of ids) {
          // one that ended in the worker that was killed runs again, if its end was not handed in
          await expect
            .poll(() => c.redis.client.hget(`rq:job:${one}`, 'status'), { timeout: 30_000 })
            .toBe('finished');
          expect(await (await c.q.fetchJob(one))?.result).toBe(one);
        }

        // idle workers can't wait for jobs, and don't ask in a loop
        const before = await refusedReads(c);
        const since = performance.now();
        await sleep(2_000);
        const asked = (await refusedReads(c)) - before;
        const seconds = (performance.now() - since) / 1000;
        expect(asked).toBeGreaterThan(0);
        expect(asked).toBeLessThan(c.workers.length * (seconds + 3));

        await limit(c, 0);
        acknowledged += (await c.enqueue(20)).length;
        await c.ended(acknowledged, 20_000);
        const after = await refusedReads(c);
        await sleep(1_500);
        expect((await refusedReads(c)) - after).toBeLessThanOrEqual(c.workers.length);
      }
      expect(await c.redis.client.exists('rq:job:refused')).toBe(0);
    },
  );
});
