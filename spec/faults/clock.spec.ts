import { describe, expect } from 'vitest';
import { faultCase, type FaultCase } from '../support/fault-case.ts';
import { clockAt, LACKS } from '../support/faketime.ts';
import { TASKS, WorkerProcess } from '../support/worker-process.ts';

/** A worker whose clock is so many seconds ahead. */
function workerAhead(c: FaultCase, seconds: number): WorkerProcess {
  const env = {
    ...clockAt(`${seconds < 0 ? '' : '+'}${seconds}`),
    SPEC_CLOCK_AHEAD: String(seconds * 1000),
  };
  const args = ['default', '--url', c.redis.url, '--functions', TASKS, '--lease', '3', '--quiet'];
  return c.keep(new WorkerProcess([...args, '--concurrency', '2'], env));
}

async function put(
  c: FaultCase,
  fn: string,
  args: readonly unknown[],
  options: object = {},
): Promise<string> {
  const { id } = await c.q.enqueue(fn, [c.ledger.file, ...args], { resultTtl: -1, ...options });
  c.ledger.told(id, 'acknowledged');
  return id;
}

/** Seconds of Redis' own clock. */
async function redisTime(c: FaultCase): Promise<number> {
  return Number((await c.redis.client.time())[0]);
}

/** That all scores of a registry, or one member's, are this far from now, in seconds. */
async function expectScores(c: FaultCase, key: string, least: number, most: number): Promise<void> {
  const now = await redisTime(c);
  const members = await c.redis.client.zrange(key, '0', '-1', 'WITHSCORES');
  expect(members.length, `members of ${key}`).toBeGreaterThan(0);
  for (let n = 1; n < members.length; n += 2) {
    expect(Number(members[n]) - now, `a score of ${key}`).toBeGreaterThanOrEqual(least);
    expect(Number(members[n]) - now, `a score of ${key}`).toBeLessThanOrEqual(most);
  }
}

describe('workers whose clocks are 10 minutes ahead, and behind', () => {
  faultCase(
    'keep leases, retries, lifetimes and recoveries by the clock of Redis',
    { lacks: LACKS },
    async c => {
      const fast = workerAhead(c, 600);
      const slow = workerAhead(c, -600);
      const began = await redisTime(c);
      await c.up();
      const retried = await put(c, 'firstRun', ['fail', 0], { retry: { max: 1, interval: 4 } });
      await expect.poll(() => c.redis.client.zcard('rq:scheduled:default'), { timeout: 30_000 }).toBe(1);
      await expectScores(c, 'rq:scheduled:default', 0, 5);

      // a result that is kept, and a wait that may last, for less time than the clocks are off
      const options = { ttl: 300, resultTtl: 300 };
      const short: string[] = [];
      const ran = (): number =>
        new Set(
          short.flatMap(
            id =>
              c.ledger
                .read()
                .entries.get(id)
                ?.ends.map(({ pid }) => pid) ?? [],
          ),
        ).size;
      // again where one of them had not got to it before the other had run all
      for (let turn = 0; turn < 5 && ran() < 2; turn++) {
        short.push(
          ...(await Promise.all(Array.from({ length: 12 }, () => put(c, 'timeAfter', [150], options)))),
        );
        const statuses = (): Promise<(string | null)[]> =>
          Promise.all(short.map(id => c.redis.client.hget(`rq:job:${id}`, 'status')));
        await expect.poll(statuses, { timeout: 30_000 }).toEqual(short.map(() => 'finished'));
      }
      const off = new Set<number>();
      for (const id of short) {
        const [result, score] = [
          await c.redis.client.hget(`rq:job:${id}`, 'result'),
          await c.redis.client.zscore('rq:finished:default', id),
        ];
        off.add(Math.round((Number(result) - Date.now()) / 60_000));
        expect(Number(score) - (await redisTime(c))).toBeGreaterThan(240);
        expect(Number(score) - (await redisTime(c))).toBeLessThanOrEqual(301);
        expect(await c.redis.client.ttl(`rq:job:${id}`)).toBeGreaterThan(240);
      }
      // both took part, and their clocks were off
      expect([...off].toSorted((a, b) => a - b)).toEqual([-10, 10]);
      await expect
        .poll(() => c.redis.client.hget(`rq:job:${retried}`, 'status'), { timeout: 20_000 })
        .toBe('finished');
      const runs =
        c.ledger
          .read()
          .entries.get(retried)
          ?.starts.map(({ at }) => at) ?? [];
      expect(runs).toHaveLength(2);
      expect((runs[1] ?? 0) - (runs[0] ?? 0)).toBeGreaterThan(900);

      // longer than a lease, while both sweep
      const long = await Promise.all(Array.from({ length: 4 }, () => put(c, 'firstRun', ['sleep', 5_000])));
      await expect.poll(() => c.q.startedRegistry.count(), { timeout: 20_000 }).toBe(4);
      await expectScores(c, 'rq:wip:default', 60, 64);
      const dies = c.pick([fast, slow]);
      const lives = dies === fast ? slow : fast;
      await c.kill(dies);
      const killed = performance.now();
      await lives.said(/Taken back from a worker that is gone/);
      const seconds = (performance.now() - killed) / 1000;
      expect(seconds, 'not before the lease was over').toBeGreaterThan(1.5);
      expect(seconds).toBeLessThan(15);
      await expect.poll(() => c.q.startedRegistry.count(), { timeout: 30_000 }).toBe(0);
      await expect.poll(() => c.q.count(), { timeout: 30_000 }).toBe(0);

      const { entries } = c.ledger.read();
      for (const id of long) {
        const starts = entries.get(id)?.starts.map(({ pid }) => pid);
        expect(starts).toEqual(starts?.[0] === dies.pid ? [dies.pid, lives.pid] : [lives.pid]);
      }
      c.note = `${dies === fast ? 'the one ahead' : 'the one behind'} was killed`;
      await timesAreOfRedis(c, began);
    },
  );
});

/** What is written down of jobs and workers lies between the beginning of the case and now. */
async function timesAreOfRedis(c: FaultCase, began: number): Promise<void> {
  const keys = [...(await c.redis.client.keys('rq:job:*')), ...(await c.redis.client.smembers('rq:workers'))];
  let seen = 0;
  for (const key of keys) {
    const hash = await c.redis.client.hgetall(key);
    for (const [field, value] of Object.entries(hash)) {
      if (!/(_at|birth|_heartbeat)$/.test(field)) continue;
      seen++;
      const seconds = Date.parse(value) / 1000;
      expect(seconds, `${field} of ${key}`).toBeGreaterThan(began - 5);
      expect(seconds, `${field} of ${key}`).toBeLessThan((await redisTime(c)) + 5);
    }
  }
  expect(seen).toBeGreaterThan(keys.length * 2);
}
