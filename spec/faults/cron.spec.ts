import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { tickId } from '../../lib/cron.ts';
import { Queue } from '../../lib/index.ts';
import { loadScripts } from '../support/commands.ts';
import { failingWorker, PHASES } from '../support/exits.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { clockAt, LACKS } from '../support/faketime.ts';
import { Proxy } from '../support/proxy.ts';
import { TASKS, WorkerProcess } from '../support/worker-process.ts';

const soon = { timeout: 20_000, interval: 20 };
/** How many ticks, one a second, a case lasts. */
const TICKS = ALL ? 60 : 12;

/** A cron of the ledger that comes every second; gives its first tick. */
async function everySecond(c: FaultCase): Promise<number> {
  const cron = await c.q.cron('* * * * * *', 'ledger', [c.ledger.file, null, 0], { resultTtl: -1 });
  return (cron.nextRunAt?.getTime() ?? NaN) / 1000;
}

/** The last tick that was made a job. */
async function lastTick(c: FaultCase): Promise<number> {
  const [cron] = await c.q.crons();
  return (cron?.lastRunAt?.getTime() ?? 0) / 1000;
}

/** Ends the cron after so many ticks, whatever does them: each is to be one job, and there are no others. */
async function expectEachOnce(c: FaultCase, first: number, count: number): Promise<void> {
  await expect
    .poll(() => lastTick(c), { ...soon, timeout: 70_000 })
    .toBeGreaterThanOrEqual(first + count - 1);
  const next = (await c.q.crons())[0]?.nextRunAt?.getTime() ?? NaN;
  await c.q.removeCron('ledger');
  // some may have come between the two calls: what was missed is caught up with at once
  let ticks = next / 1000 - first;
  while ((await c.redis.client.exists(`rq:job:${tickId('default', 'ledger', first + ticks)}`)) === 1) ticks++;
  const expected = Array.from({ length: ticks }, (_, i) => tickId('default', 'ledger', first + i));
  const jobs = (await c.redis.client.keys('rq:job:cron-*')).filter(key => !/:.*:.*:/.test(key));
  expect(jobs.map(key => key.slice('rq:job:'.length)).toSorted()).toEqual(expected.toSorted());
  for (const id of expected) c.ledger.told(id, 'acknowledged');
  c.note = `${ticks} ticks`;
}

describe('a cron that comes every second', () => {
  faultCase('is one job a tick, with workers that are killed all the time', { timeout: 180_000 }, async c => {
    for (let i = 0; i < 4; i++) c.worker();
    const first = await everySecond(c);
    let kills = 0;
    while ((await lastTick(c)) < first + TICKS - 3) {
      await sleep(c.between(50, 700));
      // sometimes all of them
      const struck = c.random() < 0.25 ? c.workers : [c.pick(c.workers)];
      await Promise.all(struck.map(worker => c.kill(worker)));
      kills += struck.length;
      await sleep(c.between(0, 300));
      for (const _ of struck) c.worker();
      // or none lives long enough to do a thing
      await expect.poll(() => c.redis.client.scard('rq:workers'), soon).toBeGreaterThan(0);
      await sleep(c.between(500, 1500));
    }
    await expectEachOnce(c, first, TICKS);
    const runs = [...c.ledger.counts('start').values()];
    // a second run is one that was struck
    expect(runs.filter(each => each > 1).length).toBeLessThanOrEqual(kills);
    c.note += `, ${kills} kills`;
  });

  faultCase('is one job a tick where all workers were away for some seconds', {}, async c => {
    const first = await everySecond(c);
    const worker = c.worker();
    await expect.poll(() => lastTick(c), soon).toBeGreaterThanOrEqual(first + 1);
    await c.kill(worker);
    await sleep(5_000);
    c.worker();
    c.worker();
    await expectEachOnce(c, first, 9);
  });

  faultCase(
    'is one job a tick where Redis is killed and comes back',
    {
      timeout: 120_000,
      redis: { args: ['--appendonly', 'yes', '--appendfsync', 'always'] },
    },
    async c => {
      for (let i = 0; i < 2; i++) c.worker();
      const first = await everySecond(c);
      await expect.poll(() => lastTick(c), soon).toBeGreaterThanOrEqual(first + 2);
      await c.restartRedis(c.between(0, 3000));
      await expectEachOnce(c, first, 10);
    },
  );

  faultCase('is one job a tick where replies are lost', { timeout: 120_000 }, async c => {
    const proxy = c.closing(await Proxy.to(c.redis.port));
    for (let i = 0; i < 2; i++) c.workerAt(proxy.url);
    await loadScripts(c.redis.client);
    const first = await everySecond(c);
    for (const name of ['cron_tick', 'queue_due', 'cron_tick', 'cron_tick']) await proxy.lose(name);
    await expectEachOnce(c, first, 10);
    expect(proxy.losses.get('cron_tick')).toBe(3);
  });

  faultCase('is one job a tick where a worker ends at the very tick', { timeout: 120_000 }, async c => {
    const first = await everySecond(c);
    for (const phase of PHASES) {
      const worker = failingWorker(c, `${phase}:1:cron_tick`, 'default', '--lease', '3');
      await worker.exit();
      c.ledger.struck(worker.pid);
    }
    c.worker();
    await expectEachOnce(c, first, 6);
  });

  faultCase('comes by the clock of Redis, whatever those of the workers say', { lacks: LACKS }, async c => {
    const ahead = (seconds: string): WorkerProcess => {
      const args = ['default', '--url', c.url('rq-worker'), '--functions', TASKS, '--lease', '3', '--quiet'];
      return c.keep(new WorkerProcess(args, clockAt(seconds)));
    };
    ahead('+600');
    ahead('-600');
    const first = await everySecond(c);
    await expectEachOnce(c, first, 6);
  });
});

describe('a producer that ended', () => {
  faultCase('leaves its crons: they come without it', {}, async c => {
    const first = await (async () => {
      await using q = new Queue('default', { connection: c.url('rq-producer') });
      const cron = await q.cron('* * * * * *', 'ledger', [c.ledger.file, null, 0], { resultTtl: -1 });
      return (cron.nextRunAt?.getTime() ?? NaN) / 1000;
    })();
    c.worker();
    await expectEachOnce(c, first, 2);
  });
});
