import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { getCurrentJob, Queue } from '../../lib/index.ts';
import { loadScripts, OPERATORS, PRODUCERS, WORKERS } from '../support/commands.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { ledgerWorker } from '../support/ledger-worker.ts';
import { Proxy } from '../support/proxy.ts';

/** A lost reply costs no run: what was taken goes back before it began, what ended is handed in again. */
async function expectNoRunWasted(c: FaultCase): Promise<void> {
  const again = [...c.ledger.counts('start')].filter(([, runs]) => runs > 1);
  expect(again, 'runs that were repeated').toEqual([]);
  for (const id of c.ledger.counts('start').keys())
    expect(await c.redis.client.hget(`rq:job:${id}`, 'recoveries'), `recoveries of ${id}`).toBeNull();
}

it('all scripts are known by their names', () => {
  const files = readdirSync(new URL('../../lib/lua/', import.meta.url)).filter(
    file => file.endsWith('.ts') && !['parts.ts', 'dependents.ts', 'slots.ts'].includes(file),
  );
  expect(
    new Set([...WORKERS, ...PRODUCERS, ...OPERATORS].map(({ name }) => `${name.replaceAll('_', '-')}.ts`)),
  ).toEqual(new Set(files));
});

describe('a worker whose reply is lost', () => {
  faultCase('the n-th one since it began, for each n', { timeout: 600_000 }, async c => {
    const proxy = c.closing(await Proxy.to(c.redis.port));
    await loadScripts(c.redis.client);
    const numbers = ALL
      ? Array.from({ length: 180 }, (_, i) => 1 + (i % 60))
      : Array.from({ length: 6 }, () => c.between(1, 30));
    let jobs = 0;
    for (const n of numbers) {
      void proxy.lose(n);
      const worker = ledgerWorker(c, proxy.url, { concurrency: c.between(1, 3) });
      // at once, and then one by one to a worker that waits
      for (const count of [c.between(1, 5), 1, 1]) {
        await c.enqueue(count, { ms: c.between(0, 5) });
        await c.ended((jobs += count));
        await sleep(c.between(0, 20));
      }
      await worker.stop();
      proxy.spare();
    }
    await expectNoRunWasted(c);
    const lost = [...proxy.losses.values()].reduce((sum, times) => sum + times, 0);
    expect(lost, 'replies that were lost').toBeGreaterThan(numbers.length / 3);
    c.note = `${lost} replies, of ${proxy.losses.size} commands`;
  });

  /** What makes a worker send it soon, where traffic alone does not. */
  const CONNECT = ['INFO', 'CLIENT SETINFO', 'CLIENT ID', 'SUBSCRIBE'];
  const AFTER_A_LOSS = new Set(['ZSCAN', 'give_back']);
  const SCRIPTS = WORKERS.map(({ name }) => name).filter(name => name !== 'unregister');
  const COMMANDS = [
    ...CONNECT,
    'ZSCAN',
    'BLMOVE',
    'CLIENT UNBLOCK',
    ...SCRIPTS,
    ...SCRIPTS.map(name => `EVAL ${name}`),
    'PING',
  ];
  const SOME = ['CLIENT UNBLOCK', 'BLMOVE', 'give_back', 'renew', 'save_progress', 'EVAL advance'];

  faultCase('to each command by its name', { timeout: 600_000, queues: ['default', 'other'] }, async c => {
    const proxy = c.closing(await Proxy.to(c.redis.port));
    const other = c.closing(new Queue('other', { connection: c.redis.url }));
    const rare = ALL ? 0.1 : 0.5;
    await c.q.cron('* * * * * *', 'ledger', [c.ledger.file, null, 0], { resultTtl: -1 });
    const worker = ledgerWorker(c, proxy.url, {
      queues: ['default', 'other'],
      also: async () => {
        const job = getCurrentJob();
        if (job === undefined || c.random() > rare) return;
        job.progress(c.random());
        job.meta = { seen: true };
        await job.saveMeta();
      },
    });
    let rounds = 0;
    /** Sometimes the worker waits, sometimes both of its reads are given something. */
    const traffic = async (ms: number): Promise<void> => {
      await Promise.all([c.enqueue(1, { ms }), c.enqueue(c.between(0, 1), { ms, queue: other })]);
      await sleep(c.between(0, 30));
      rounds++;
    };
    for (const name of ALL ? COMMANDS : SOME) {
      const script = name.replace('EVAL ', '');
      const afterLoss = AFTER_A_LOSS.has(script);
      const patience = name === 'PING' ? 20_000 : afterLoss ? 1000 : 6000;
      for (let tries = 0; !proxy.losses.has(name) && tries < 20; tries++) {
        await loadScripts(c.redis.client);
        if (afterLoss) {
          const first = proxy.lose('advance');
          await Promise.all([Promise.race([first, sleep(5000)]), traffic(1)]);
        }
        void proxy.lose(name);
        if (script !== name) await c.redis.client.script('FLUSH');
        if (CONNECT.includes(name)) proxy.cut();
        const ends = performance.now() + patience;
        while (proxy.lost === undefined && performance.now() < ends) {
          // a lease is renewed once a second: long jobs, and not more of them than are run meanwhile
          await traffic(script === 'renew' ? 1200 : c.between(0, 3));
          if (script === 'renew') await sleep(2400);
        }
        proxy.spare();
      }
    }
    await c.q.removeCron('ledger');
    const gone = proxy.lose('unregister');
    await Promise.all([Promise.race([gone, sleep(20_000)]), worker.stop()]);
    await expectNoRunWasted(c);
    const spared = [...(ALL ? COMMANDS : SOME), 'unregister'].filter(name => !proxy.losses.has(name));
    expect(spared, 'commands that lost no reply').toEqual([]);
    c.note = `${proxy.losses.size} commands, ${rounds} rounds`;
  });
});
