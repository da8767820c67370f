import { describe, expect } from 'vitest';
import { faultCase, type FaultCase } from '../support/fault-case.ts';

/** Keeps so many workers at work: each one that dies is followed by another. Gives how many died. */
function supervise(c: FaultCase, count: number, ...args: readonly string[]): () => number {
  let deaths = 0;
  const keep = async (): Promise<void> => {
    for (;;) {
      const worker = c.worker(...args);
      const { signal } = await worker.exit();
      // ended with the case
      if (signal !== 'SIGABRT') return;
      c.ledger.struck(worker.pid);
      deaths++;
    }
  };
  for (let n = 0; n < count; n++) void keep();
  return () => deaths;
}

async function put(c: FaultCase, fn: string, ...args: readonly unknown[]): Promise<string> {
  const { id } = await c.q.enqueue(fn, [c.ledger.file, ...args], { resultTtl: -1 });
  c.ledger.told(id, 'acknowledged');
  return id;
}

describe('a job that ends its process by process.abort()', () => {
  faultCase('once: it and those that shared its worker run again', {}, async c => {
    const innocent = await c.enqueue(30, { ms: 50 });
    const guilty = await put(c, 'firstRun', 'abort', 0);
    innocent.push(...(await c.enqueue(30, { ms: 50 })));
    const deaths = supervise(c, 2, '--concurrency', '5');
    await expect.poll(() => c.q.finishedRegistry.count(), { timeout: 60_000 }).toBe(61);
    expect(deaths()).toBe(1);
    expect(await c.redis.client.hgetall(`rq:job:${guilty}`)).toMatchObject({ recoveries: '1' });
    // at most its own worker's
    const again = [...c.ledger.counts('start').values()].filter(starts => starts > 1);
    expect(again.length).toBeLessThanOrEqual(5);
    for (const id of innocent) expect(await c.redis.client.hget(`rq:job:${id}`, 'status')).toBe('finished');
  });

  faultCase(
    'every time: it fails after three recoveries, and those that shared its workers all finish',
    { onlyWithAll: true, timeout: 240_000 },
    async c => {
      const innocent: string[] = [];
      const guilty: string[] = [];
      for (let n = 0; n < 3; n++) {
        innocent.push(...(await c.enqueue(100, { ms: 50 })));
        guilty.push(await put(c, 'poison'));
      }
      innocent.push(...(await c.enqueue(100, { ms: 50 })));
      const deaths = supervise(c, 3, '--concurrency', '5');
      await expect.poll(() => c.q.failedRegistry.count(), { timeout: 180_000 }).toBeGreaterThanOrEqual(3);
      await expect.poll(() => c.q.startedRegistry.count(), { timeout: 60_000 }).toBe(0);

      c.note = `${deaths()} workers died`;
      const starts = c.ledger.counts('start');
      for (const id of guilty) {
        const hash = await c.redis.client.hgetall(`rq:job:${id}`);
        expect(hash).toMatchObject({ status: 'failed', recoveries: '4' });
        expect(hash['exc_info']).toMatch(/^AbandonedJobError: /);
        expect(starts.get(id)).toBeLessThanOrEqual(4);
      }
      const failed = await c.q.failedRegistry.getJobIds();
      expect(failed.toSorted()).toEqual(guilty.toSorted());
      for (const id of innocent) expect(await c.redis.client.hget(`rq:job:${id}`, 'status')).toBe('finished');
    },
  );
});
