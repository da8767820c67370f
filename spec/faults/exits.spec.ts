import { describe, expect } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { diedAt, failingWorker, PHASES, runProducer, sample, walk, type Phase } from '../support/exits.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';

type Point = `${Phase}:${number}`;

/** Every point; or a few by chance, each phase with one of them while the process starts. */
function atPoints(
  c: FaultCase,
  [starting, most]: readonly [number, number],
  strike: (point: Point) => Promise<string | undefined>,
): Promise<Map<string, number>> {
  if (ALL) return walk(strike);
  const points = PHASES.flatMap((phase): Point[] => [
    `${phase}:${c.between(1, starting)}`,
    `${phase}:${c.between(starting + 1, most)}`,
    `${phase}:${c.between(starting + 1, most)}`,
  ]);
  return sample([...new Set(points)], strike);
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
        const name = `at-${point.replace(':', '-')}`;
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
        if (at !== undefined) c.ledger.struck(worker.pid);
        expect(exit).toEqual(
          at === undefined ? { code: 0, signal: null } : { code: null, signal: 'SIGKILL' },
        );
        return at;
      };
      const struck = await atPoints(c, [13, 36], strike);
      await c.rest(queues, 120_000);

      c.note = `${total(struck)} points`;
      expect(total(struck)).toBeGreaterThanOrEqual(ALL ? 90 : 5);
      for (const phase of ALL ? PHASES : []) {
        for (const at of ['heartbeat', 'sweep', 'advance', 'blmove', 'queue_due', 'unregister'])
          expect(struck.get(`${phase} ${at}`), `${phase} ${at}`).toBeGreaterThan(0);
      }
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
      const { said, diedAt: at } = await runProducer(c, point, point.replace(':', '-'));
      for (const line of said) {
        const [phase, verb, id = ''] = line.split(' ');
        told.set(id, [...(told.get(id) ?? []), `${phase} ${verb}`]);
        if (verb === 'enqueue') c.ledger.told(id, phase === 'done' ? 'acknowledged' : 'unknown');
        // also where it was not told: then the job may be gone
        if (verb === 'delete') c.ledger.deleted(id);
      }
      return at;
    };
    const struck = await atPoints(c, [3, 14], strike);
    await c.rest(['default'], 60_000);

    c.note = `${total(struck)} points`;
    expect(total(struck)).toBeGreaterThanOrEqual(ALL ? 40 : 5);
    for (const phase of ALL ? PHASES : []) {
      for (const at of ['enqueue', 'cancel', 'delete', 'requeue', 'read_state'])
        expect(struck.get(`${phase} ${at}`), `${phase} ${at}`).toBeGreaterThan(0);
    }
    for (const [id, words] of told) {
      const status = (await c.redis.client.hget(`rq:job:${id}`, 'status')) ?? 'gone';
      expect(LEFT_BY[words.at(-1) ?? ''], `${id}, ${words.join(', ')}`).toContain(status);
    }
    // a producer that dies costs no run
    for (const [id, starts] of c.ledger.counts('start')) expect([id, starts]).toEqual([id, 1]);
  });
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
