/** Slots of a key, and jobs taken ahead, whatever becomes of the workers that hold them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { Queue, type Job } from '../../lib/index.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { mostAtOnce, unexplainedRuns } from '../support/overlap.ts';

const soon = { timeout: 30_000, interval: 20 };

const limited = (key: string, concurrency: number) => ({ limit: { key, concurrency } });

/** No job has run more often than its losses explain, and no slot is taken where nothing runs. */
async function explained(c: FaultCase): Promise<void> {
  await c.rest(['default', 'other'], 60_000);
  const recoveries = new Map<string, number>();
  for (const id of c.ledger.counts('start').keys())
    recoveries.set(id, Number(await c.redis.client.hget(`rq:job:${id}`, 'recoveries')));
  expect(unexplainedRuns(c.ledger, recoveries), 'runs beyond recoveries').toEqual([]);
  expect(await c.redis.client.keys('rq:slots:*'), 'slots').toEqual([]);
}

/** Kills a worker that runs one of these jobs now. */
async function killHolder(c: FaultCase, ids: readonly string[]): Promise<void> {
  const holder = (): (typeof c.workers)[number] | undefined => {
    const { entries } = c.ledger.read();
    const inRuns = ids.flatMap(id => {
      const { starts, ends } = entries.get(id) ?? { starts: [], ends: [] };
      return starts.slice(ends.length).map(({ pid }) => pid);
    });
    const running = new Set(inRuns);
    return c.workers.find(({ pid }) => running.has(pid));
  };
  await expect.poll(holder, soon).toBeDefined();
  const worker = holder();
  if (worker !== undefined) await c.kill(worker);
}

describe('the slots of a key', () => {
  const queues = ['default', 'other'];

  faultCase(
    'are never more, while workers that hold them are killed',
    { queues, timeout: 180_000 },
    async c => {
      const other = c.closing(new Queue('other', { connection: c.redis.url }));
      const start = () => c.worker('other', '--concurrency', '5', '--prefetch', `${c.between(0, 3)}`);
      for (let i = 0; i < 3; i++) start();
      const count = ALL ? 60 : 24;
      const acme = [
        ...(await c.enqueue(count, { ms: 100, options: limited('acme', 2) })),
        ...(await c.enqueue(count, { ms: 100, queue: other, options: limited('acme', 2) })),
      ];
      const bee = await c.enqueue(count, { ms: 30, options: limited('bee', 3) });
      await c.enqueue(count, { ms: 10, queue: other });
      for (let i = 0; i < (ALL ? 6 : 2); i++) {
        await c.ended(8 * (i + 1));
        await sleep(c.between(0, 100));
        await killHolder(c, acme);
        start();
      }
      await explained(c);
      expect(mostAtOnce(c.ledger, acme), 'of acme').toBe(2);
      expect(mostAtOnce(c.ledger, bee), 'of bee').toBeLessThanOrEqual(3);
      const longest = Math.max(...c.ledger.counts('start').values());
      c.note = `at most ${longest} runs of a job`;
    },
  );

  faultCase('are free within a lease and a sweep, and those who wait run', {}, async c => {
    const { client } = c.redis;
    const first = c.worker('--concurrency', '4');
    const put = (n: number): Promise<Job[]> =>
      Promise.all(
        Array.from({ length: n }, () =>
          c.q.enqueue('firstRun', [c.ledger.file, 'sleep', 60_000], { resultTtl: -1, ...limited('acme', 2) }),
        ),
      );
    const jobs = await put(2);
    for (const { id } of jobs) c.ledger.told(id, 'acknowledged');
    await expect.poll(() => c.ledger.counts('start').size, soon).toBe(2);
    const waiting = await c.enqueue(5, { options: limited('acme', 2) });
    await expect.poll(() => client.zcard('rq:parked:acme'), soon).toBe(5);
    await c.kill(first);
    const began = performance.now();
    c.worker('--concurrency', '4');
    await c.ended(7);
    expect(performance.now() - began, 'ms').toBeLessThan(3_000 + 5_500 + 4_000);
    await explained(c);
    expect(mostAtOnce(c.ledger, [...waiting, ...jobs.map(({ id }) => id)])).toBe(2);
  });

  faultCase('come free whatever is done to the jobs', { timeout: 180_000, queues }, async c => {
    const other = c.closing(new Queue('other', { connection: c.redis.url }));
    const options = { ...limited('acme', 3), failureTtl: 600 };
    for (let i = 0; i < 2; i++) c.worker('other', '--concurrency', '5', '--prefetch', '2', '--grace', '0.1');
    const all: string[] = [];
    const rounds = ALL ? 40 : 12;
    for (let round = 0; round < rounds; round++) {
      const queue = c.pick([c.q, other]);
      const some = await c.enqueue(c.between(2, 6), { ms: c.between(0, 80), options, queue });
      all.push(...some);
      for (let i = 0; i < 3; i++) {
        const job = await c.q.fetchJob(c.pick(all));
        const verb = c.pick(['cancel', 'stop', 'requeue', 'delete', 'nothing'] as const);
        if (job === undefined || verb === 'nothing') continue;
        if (verb === 'delete') c.ledger.deleted(job.id);
        // what it is doing by now may not allow it
        await job[verb]().catch((error: unknown) =>
          expect(error).toMatchObject({
            code: expect.stringMatching(/^RQ_(INVALID_JOB_OPERATION|NO_SUCH_JOB)$/),
          }),
        );
      }
      if (round % 5 === 4) {
        const worker = c.pick(c.workers);
        if (c.random() < 0.5) await c.kill(worker);
        else await worker.end('SIGTERM');
        c.worker('other', '--concurrency', '5', '--prefetch', '2', '--grace', '0.1');
      }
    }
    await c.rest(queues, 60_000);
    await expect.poll(() => c.redis.client.keys('rq:slots:*'), soon).toEqual([]);
    expect(await c.redis.client.keys('rq:parked*'), 'parked').toEqual([]);
    // a run that was canceled, stopped or deleted may go on beside the next one: it has its grace, and its end is noted
    c.note = `${mostAtOnce(c.ledger, all)} at once`;
  });

  faultCase(
    'are handed on by workers that stop, with what they took ahead',
    { timeout: 120_000 },
    async c => {
      const ids = await c.enqueue(40, { ms: 50, options: limited('acme', 2) });
      const free = await c.enqueue(40, { ms: 20 });
      for (let i = 0; i < (ALL ? 12 : 4); i++) {
        const worker = c.worker('--concurrency', '2', '--prefetch', '5');
        await c.ended(c.ledger.counts('end').size + 2);
        await sleep(c.between(0, 60));
        expect((await worker.end('SIGTERM')).code).toBe(0);
        expect(await c.redis.client.keys('rq:slots:*'), 'slots').toEqual([]);
        expect(await c.redis.client.zcard('rq:wip:default'), 'runs').toBe(0);
      }
      await explained(c);
      expect(mostAtOnce(c.ledger, ids)).toBeLessThanOrEqual(2);
      // nothing was lost: so nothing has run twice
      for (const id of [...ids, ...free]) expect(c.ledger.counts('start').get(id)).toBe(1);
    },
  );
});

describe('jobs that were taken ahead', () => {
  faultCase('by a worker that is killed run elsewhere; they had not begun', {}, async c => {
    const [long] = [await c.q.enqueue('firstRun', [c.ledger.file, 'sleep', 60_000], { resultTtl: -1 })];
    c.ledger.told(long.id, 'acknowledged');
    const ids = await c.enqueue(10);
    const worker = c.worker('--prefetch', '6');
    await expect.poll(() => c.redis.client.zcard('rq:wip:default'), soon).toBe(7);
    await expect.poll(() => c.ledger.counts('start').size, soon).toBe(1);
    await c.kill(worker);
    await c.rest(['default'], 60_000);
    const starts = c.ledger.counts('start');
    expect(ids.map(id => starts.get(id))).toEqual(ids.map(() => 1));
    expect(starts.get(long.id)).toBe(2);
    const recoveries = await Promise.all(ids.map(id => c.redis.client.hget(`rq:job:${id}`, 'recoveries')));
    expect(recoveries).toEqual(ids.map((_, i) => (i < 6 ? '1' : null)));
  });

  faultCase('beside one that kills its workers are not given up with it', { timeout: 180_000 }, async c => {
    const poison = await c.q.enqueue('poison', [c.ledger.file], { resultTtl: -1 });
    c.ledger.told(poison.id, 'acknowledged');
    const ids = await c.enqueue(8);
    for (let i = 0; i < 8 && (await poison.getStatus()) !== 'failed'; i++) {
      const worker = c.worker('--prefetch', '4');
      const over = async (): Promise<boolean> =>
        worker.child.signalCode !== null || (await poison.getStatus()) === 'failed';
      await expect.poll(over, { timeout: 40_000, interval: 50 }).toBe(true);
      c.ledger.struck(worker.pid);
    }
    expect(await poison.getStatus()).toBe('failed');
    await c.rest(['default'], 60_000);
    for (const id of ids) expect(await c.redis.client.hget(`rq:job:${id}`, 'status')).toBe('finished');
  });
});
