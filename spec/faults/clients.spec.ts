import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { ALL, faultCase } from '../support/fault-case.ts';
import { under } from '../support/load.ts';

describe('connections that Redis ends', () => {
  faultCase('all of them, every 200 ms; a stop arrives afterwards', { timeout: 300_000 }, async c => {
    const worker = c.worker('--concurrency', '5');
    c.worker('--concurrency', '5');
    await c.enqueue(10);
    await c.ended(10);
    const killed = { normal: 0, pubsub: 0 };
    const strikes = async (): Promise<void> => {
      const ends = performance.now() + (ALL ? 30_000 : 4000);
      // where a machine is slow, more often: a connection is ended before it listens
      const enough = (): boolean => killed.normal > 20 && killed.pubsub > 5;
      while (performance.now() < ends || !enough()) {
        for (const type of ['normal', 'pubsub'] as const)
          killed[type] += Number(await c.redis.client.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes'));
        c.ledger.struck();
        await sleep(200);
      }
    };
    await under(c, { ms: 20 }, strikes());
    expect(killed.normal, 'connections for commands').toBeGreaterThan(20);
    expect(killed.pubsub, 'connections that listened').toBeGreaterThan(5);
    // a job that the first one runs; nobody else is there
    for (const other of c.workers) if (other !== worker) await other.end('SIGTERM');
    const job = await c.q.enqueue('waitForAbort', [60_000], { resultTtl: -1, atFront: true });
    c.ledger.told(job.id, 'acknowledged');
    await expect.poll(() => job.getStatus(), { timeout: 20_000, interval: 50 }).toBe('started');
    // it may still be on its way back to its channel
    await expect
      .poll(
        () =>
          job
            .stop()
            .then(() => true)
            .catch(() => false),
        { timeout: 10_000 },
      )
      .toBe(true);
    await expect(job.wait({ timeout: '20s' })).rejects.toMatchObject({ code: 'RQ_JOB_STOPPED' });
    const again = [...c.ledger.counts('start').values()].filter(runs => runs > 1).length;
    c.note = `${killed.normal} and ${killed.pubsub} ended, ${again} runs repeated`;
  });

  faultCase('one after the other, of a worker that waits', { timeout: 120_000 }, async c => {
    c.worker();
    await c.enqueue(1);
    await c.ended(1);
    const mine = async (): Promise<string[]> => {
      const lines = String(await c.redis.client.client('LIST')).split('\n');
      const own = String(await c.redis.client.client('ID'));
      return lines
        .filter(
          line => line.includes('cmd=blmove') || line.includes('cmd=subscribe') || line.includes('cmd=eval'),
        )
        .map(line => /^id=(\d+)/.exec(line)?.[1] ?? '')
        .filter(id => id !== own);
    };
    for (let n = 2; n < (ALL ? 200 : 20); n++) {
      const clients = await mine();
      if (clients.length > 0) await c.redis.client.call('CLIENT', 'KILL', 'ID', c.pick(clients));
      await sleep(c.between(0, 60));
      await c.enqueue(1, { ms: c.between(0, 5) });
      // long before a worker looks at its claims unasked
      await c.ended(n, 10_000);
    }
    // what a read took before it was ended is found at once
    expect(Math.max(...c.ledger.counts('start').values()), 'runs of a job').toBe(1);
  });
});

describe('scripts that Redis forgets', () => {
  faultCase('every 100 ms', { timeout: 300_000 }, async c => {
    c.worker('--concurrency', '5');
    c.worker('--concurrency', '5');
    const strikes = async (): Promise<void> => {
      const ends = performance.now() + (ALL ? 30_000 : 2500);
      while (performance.now() < ends) {
        await c.redis.client.script('FLUSH');
        await sleep(100);
      }
    };
    const began = performance.now();
    await under(c, { ms: 5 }, strikes());
    const stats = await c.redis.client.info('commandstats');
    const evals = Number(/cmdstat_eval:calls=(\d+)/.exec(stats)?.[1] ?? 0);
    expect(evals, 'scripts sent as their text').toBeGreaterThan((performance.now() - began) / 200);
    await c.ended(c.ledger.read().entries.size);
    expect(Math.max(...c.ledger.counts('start').values()), 'runs of a job').toBe(1);
    const { entries } = c.ledger.read();
    expect([...entries.values()].every(({ told }) => told === 'acknowledged')).toBe(true);
    c.note = `${evals} sent anew`;
  });
});
