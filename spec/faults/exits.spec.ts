import { describe, expect } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { diedAt, failingWorker, PHASES, runProducer, sample, walk, type Point } from '../support/exits.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { startWorker } from '../support/worker-process.ts';

const WORKER = ['heartbeat', 'sweep', 'advance', 'blmove', 'queue_due', 'unregister'];
const PRODUCER = ['enqueue', 'cancel', 'delete', 'requeue', 'read_state'];

/** Every point, and the first and second call of each name; or a few by chance. Gives what was struck, and how often. */
async function atPoints(
  c: FaultCase,
  { names, most }: { readonly names: readonly string[]; readonly most: number },
  strike: (point: Point) => Promise<string | undefined>,
): Promise<Map<string, number>> {
  const named = PHASES.flatMap(phase =>
    names.flatMap((name): Point[] => [`${phase}:1:${name}`, `${phase}:2:${name}`]),
  );
  const chosen = ALL
    ? named
    : PHASES.flatMap((phase): Point[] => [
        c.pick(named.filter(point => point.startsWith(phase))),
        `${phase}:${c.between(1, most)}`,
        `${phase}:${c.between(1, most)}`,
      ]);
  const struck = await sample([...new Set(chosen)], strike);
  if (!ALL) return struck;
  // what comes when differs from run to run: the names make sure that none is left out
  for (const [what, count] of await walk(strike)) struck.set(what, (struck.get(what) ?? 0) + count);
  expect([...struck.keys()]).toEqual(expect.arrayContaining(everyPhase(names)));
  return struck;
}

function everyPhase(names: readonly string[]): string[] {
  return PHASES.flatMap(phase => names.map(name => `${phase} ${name}`));
}

function total(struck: ReadonlyMap<string, number>): number {
  return [...struck.values()].reduce((sum, n) => sum + n, 0);
}

describe('a process that ends between two round trips', () => {
  const queues: string[] = [];

  faultCase(
    'as a worker, at any point: other workers do what it had',
    { queues, timeout: 900_000 },
    async c => {
      const jobs: string[] = [];
      const strike = async (point: Point): Promise<string | undefined> => {
        const name = `at-${point.replaceAll(':', '-')}`;
        queues.push(name);
        const q = new Queue(name, { connection: c.redis.client });
        const put = async (kind: string, fn: string, args: readonly unknown[], options: object = {}) => {
          const jobId = `${name}-${kind}`;
          await q.enqueue(fn, args, { jobId, resultTtl: -1, ...options });
          c.ledger.told(jobId, 'acknowledged', 'resultTtl' in options ? 'dropped' : 'kept');
          jobs.push(jobId);
        };
        const { file } = c.ledger;
        await Promise.all([
          put('plain', 'ledger', [file, null, 0]),
          put('longer', 'ledger', [file, null, 100]),
          put('dropped', 'ledger', [file, null, 0], { resultTtl: 0 }),
          put('retried', 'firstRun', [file, 'fail', 0], { retry: { max: 2 } }),
          put('scheduled', 'firstRun', [file, 'fail', 0], { retry: { max: 2, interval: 1 } }),
          put('last', 'ledger', [file, null, 0]),
        ]);
        const args = ['--lease', '3', '--concurrency', '4', '--max-idle-time', ALL ? '2500ms' : '1s'];
        const worker = failingWorker(c, point, name, ...args);
        const exit = await worker.exit();
        const at = diedAt(worker.err);
        // not noted as a fault: nobody else listens on its queue before all have been struck
        expect(exit).toEqual(
          at === undefined ? { code: 0, signal: null } : { code: null, signal: 'SIGKILL' },
        );
        return at;
      };
      const struck = await atPoints(c, { names: WORKER, most: 36 }, strike);
      await c.rest(queues, 120_000);

      c.note = `${total(struck)} points`;
      expect(total(struck)).toBeGreaterThanOrEqual(ALL ? 90 : 5);
      // one worker died, so each job was given back at most once, and comes to its end
      const ends = c.ledger.counts('end');
      for (const id of jobs) {
        const [status, recoveries] = await c.redis.client.hmget(`rq:job:${id}`, 'status', 'recoveries');
        expect([id, status]).toEqual([id, id.endsWith('-dropped') ? null : 'finished']);
        expect(Number(recoveries), `recoveries of ${id}`).toBeLessThanOrEqual(1);
        expect(ends.get(id), `ends of ${id}`).toBeGreaterThan(0);
      }
    },
  );

  faultCase('as a producer, at any point: what it was told holds', { timeout: 600_000 }, async c => {
    const told = new Map<string, string[]>();
    const strike = async (point: Point): Promise<string | undefined> => {
      const { said, diedAt: at } = await runProducer(c, point, point.replaceAll(':', '-'));
      for (const line of said) {
        const [phase, verb, id = ''] = line.split(' ');
        told.set(id, [...(told.get(id) ?? []), `${phase} ${verb}`]);
        if (verb === 'enqueue') c.ledger.told(id, phase === 'done' ? 'acknowledged' : 'unknown');
        // also where it was not told: then the job may be gone
        if (verb === 'delete') c.ledger.deleted(id);
      }
      return at;
    };
    const struck = await atPoints(c, { names: PRODUCER, most: 14 }, strike);
    await c.rest(['default'], 60_000);

    c.note = `${total(struck)} points`;
    expect(total(struck)).toBeGreaterThanOrEqual(ALL ? 40 : 5);
    for (const [id, words] of told) {
      const status = (await c.redis.client.hget(`rq:job:${id}`, 'status')) ?? 'gone';
      expect(LEFT_BY[words.at(-1) ?? ''], `${id}, ${words.join(', ')}`).toContain(status);
    }
    // a producer that dies costs no run
    for (const [id, starts] of c.ledger.counts('start')) expect([id, starts]).toEqual([id, 1]);
  });

  faultCase(
    'as a worker with a lease of 30 s, just renewed: its runs, and the id it has just taken, run elsewhere within 40 s',
    { onlyWithAll: true, timeout: 240_000 },
    async c => {
      const runs = await Promise.all([long(c), long(c)]);
      // dies with the reply of its second blocking read, for which it has a slot left, and whose claim was sent with it
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
      expect(await c.q.startedRegistry.count()).toBe(3);
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

/** How a job may stand at rest, by the last that its producer said of it. */
const LEFT_BY: Readonly<Record<string, readonly string[]>> = {
  'begin enqueue': ['gone', 'finished'],
  'done enqueue': ['finished'],
  'begin cancel': ['finished', 'canceled'],
  'done cancel': ['canceled'],
  'begin requeue': ['finished', 'canceled'],
  'done requeue': ['finished'],
  'begin delete': ['gone', 'finished'],
  'done delete': ['gone'],
};

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
