import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { under } from '../support/load.ts';
import { startWorker, type Exit, type WorkerProcess } from '../support/worker-process.ts';

/** A worker that logs what it does. */
function worker(c: FaultCase, ...args: readonly string[]): WorkerProcess {
  return c.keep(startWorker(c.redis.url, ['default'], '--lease', '3', ...args));
}

/** Jobs that run for a minute, but only the first time. */
async function putLong(c: FaultCase, count: number): Promise<string[]> {
  const calls = Array.from({ length: count }, (): [string, unknown[], object] => [
    'firstRun',
    [c.ledger.file, 'sleep', 60_000],
    { resultTtl: -1 },
  ]);
  const ids = (await c.q.enqueueMany(calls)).map(({ id }) => id);
  for (const id of ids) c.ledger.told(id, 'acknowledged');
  return ids;
}

async function started(c: FaultCase, count: number): Promise<void> {
  await expect.poll(() => c.ledger.counts('start').size, { timeout: 30_000, interval: 20 }).toBe(count);
}

/** They wait in front of the others, as if they had not run. */
async function givenBack(c: FaultCase, ids: readonly string[]): Promise<void> {
  expect((await c.q.getJobIds()).slice(0, ids.length).toSorted()).toEqual(ids.toSorted());
  for (const id of ids) {
    const hash = await c.redis.client.hgetall(`rq:job:${id}`);
    expect(hash).toMatchObject({ status: 'queued' });
    for (const field of ['recoveries', 'execution_id', 'worker_name', 'started_at'])
      expect(hash).not.toHaveProperty(field);
  }
  expect(await c.q.startedRegistry.count()).toBe(0);
}

/** The jobs that were given back ran once more, the others once. */
function ranTwice(c: FaultCase, ids: readonly string[]): void {
  for (const [id, starts] of c.ledger.counts('start'))
    expect([id, starts]).toEqual([id, ids.includes(id) ? 2 : 1]);
}

describe('a worker that is told to stop with SIGTERM', () => {
  const count = ALL ? 100 : 4;

  faultCase('twice: first it lets jobs run, then it gives them back at once', {}, async c => {
    const leaving = worker(c, '--concurrency', String(count), '--shutdown-timeout', '60');
    const ids = await putLong(c, count);
    await started(c, count);
    const others = await c.enqueue(ALL ? 1_000 : 20);
    c.ledger.struck(leaving.pid);
    leaving.child.kill('SIGTERM');
    await leaving.said(/Warm shut down requested/);
    // longer than a lease: it is renewed all the same
    await sleep(4_000);
    expect(leaving.child.exitCode).toBeNull();
    expect(await c.q.startedRegistry.count()).toBe(count);
    expect(await c.q.count()).toBe(others.length);

    const asked = performance.now();
    leaving.child.kill('SIGTERM');
    expect(await leaving.exit()).toEqual({ code: 0, signal: null });
    // less than the time that functions have to end after their signal
    expect(performance.now() - asked).toBeLessThan(4_800);
    expect([...leaving.all.matchAll(/Job given back to the front of the queue/g)]).toHaveLength(count);
    await givenBack(c, ids);
    await c.rest(['default'], 30_000);
    ranTwice(c, ids);
  });

  faultCase(
    'with a short timeout: functions that take no notice are left behind, and run elsewhere',
    {},
    async c => {
      const leaving = worker(c, '--concurrency', String(count), '--shutdown-timeout', '1');
      const ids = await putLong(c, count);
      await started(c, count);
      await c.enqueue(ALL ? 1_000 : 20);
      c.ledger.struck(leaving.pid);
      const asked = performance.now();
      leaving.child.kill('SIGTERM');
      expect(await leaving.exit()).toEqual({ code: 0, signal: null });
      // the timeout, and 5 s for those that end after their signal
      expect(performance.now() - asked).toBeGreaterThan(5_500);
      expect(performance.now() - asked).toBeLessThan(12_000);
      expect([...leaving.all.matchAll(/Its function does not end/g)]).toHaveLength(count);
      await givenBack(c, ids);
      await c.rest(['default'], 30_000);
      ranTwice(c, ids);
    },
  );

  faultCase('joins and leaves all the time, as others do, some by SIGKILL', { timeout: 240_000 }, async c => {
    const [turns, every] = ALL ? [30, 2_000] : [4, 1_000];
    const start = () => worker(c, '--concurrency', '5').listening();
    const staying = await Promise.all([start(), start(), start()]);
    const killed = new Set<number>();
    const left: Promise<Exit>[] = [];
    const struck = async (): Promise<void> => {
      for (let turn = 0; turn < turns; turn++) {
        const joining = start();
        await sleep(every);
        const [leaving] = staying.splice(c.between(0, staying.length - 1), 1) as [WorkerProcess];
        staying.push(await joining);
        if (turn % 3 === 1) {
          const busy = (): number => c.ledger.openRuns(leaving.pid);
          await expect.poll(busy, { timeout: 20_000, interval: 5 }).toBeGreaterThan(0);
          killed.add(leaving.pid);
          await c.kill(leaving);
        } else left.push(leaving.end('SIGTERM'));
      }
    };
    // about as many as they can do, for as long as it takes
    await under(c, { ms: 200, atOnce: 5 }, struck());
    for (const exit of await Promise.all(left)) expect(exit).toEqual({ code: 0, signal: null });
    await c.rest(['default'], 60_000);

    c.note = `${left.length} left, ${killed.size} were killed`;
    // who was let go wasted no run
    const cut = [...c.ledger.read().entries].flatMap(([id, { starts, ends }]) =>
      starts.filter(({ pid }) => !ends.some(end => end.pid === pid)).map(({ pid }) => ({ id, pid })),
    );
    expect(cut.filter(({ pid }) => !killed.has(pid))).toEqual([]);
    expect(cut.length).toBeGreaterThan(0);
  });
});
