/** Processes that `fail-at.js` ends between two round trips to Redis, and what they were at. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { advance } from '../../lib/lua/advance.ts';
import { cancel } from '../../lib/lua/cancel.ts';
import { cronTick } from '../../lib/lua/cron-tick.ts';
import { deleteJob } from '../../lib/lua/delete.ts';
import { enqueue } from '../../lib/lua/enqueue.ts';
import { fetch } from '../../lib/lua/fetch.ts';
import { giveBack } from '../../lib/lua/give-back.ts';
import { heartbeat } from '../../lib/lua/heartbeat.ts';
import { queueDue } from '../../lib/lua/queue-due.ts';
import { readState } from '../../lib/lua/read-state.ts';
import { releaseClaims } from '../../lib/lua/release-claims.ts';
import { renew } from '../../lib/lua/renew.ts';
import { requeue } from '../../lib/lua/requeue.ts';
import { sweep } from '../../lib/lua/sweep.ts';
import { unregister } from '../../lib/lua/unregister.ts';
import type { FaultCase } from './fault-case.ts';
import { TASKS, WorkerProcess } from './worker-process.ts';

const PRELOADED = new URL('./fail-at.js', import.meta.url).href;
const PRODUCER = fileURLToPath(new URL('./walking-producer.js', import.meta.url));
const SCRIPTS: ReadonlyMap<string, string> = new Map(
  [advance, cancel, deleteJob, enqueue, fetch, giveBack, heartbeat, queueDue, readState]
    .map(({ sha, name }): [string, string] => [sha, name])
    .concat([cronTick, releaseClaims, renew, requeue, sweep, unregister].map(({ sha, name }) => [sha, name])),
);

export const PHASES = ['before', 'sent', 'after'] as const;
export type Phase = (typeof PHASES)[number];
/** As `FAIL_AT` has it, but that a script goes by its name. */
export type Point = `${Phase}:${number}` | `${Phase}:${number}:${string}`;

function failAtOf(point: Point): string {
  const [phase, nth, name] = point.split(':');
  const hash = [...SCRIPTS].find(([, script]) => script === name)?.[0];
  return [phase, nth, hash ?? name].filter(part => part !== undefined).join(':');
}

/** A worker that ends as `FAIL_AT` says. */
export function failingWorker(
  c: FaultCase,
  point: Point,
  queue: string,
  ...args: readonly string[]
): WorkerProcess {
  const given = process.env['NODE_OPTIONS'] ?? '';
  const env = { FAIL_AT: failAtOf(point), NODE_OPTIONS: `${given} --import=${PRELOADED}` };
  return c.keep(
    new WorkerProcess([queue, '--url', c.redis.url, '--functions', TASKS, '--quiet', ...args], env),
  );
}

export interface ProducerExit {
  readonly said: readonly string[];
  /** What it was at when it was ended; `undefined` where it came through. */
  readonly diedAt: string | undefined;
}

/** Runs the producer of `walking-producer.js` until it ends, or is ended. */
export async function runProducer(c: FaultCase, point: Point, prefix: string): Promise<ProducerExit> {
  const args = ['--import', PRELOADED, PRODUCER, c.redis.url, c.ledger.file, prefix];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, FAIL_AT: failAtOf(point) },
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  const at = diedAt(err);
  if (at === undefined ? code !== 0 : signal !== 'SIGKILL') throw new Error(`The producer failed:\n${err}`);
  return { said: out.split('\n').filter(line => line !== ''), diedAt: at };
}

/** The command, or the script, at which a process was ended. */
export function diedAt(err: string): string | undefined {
  const [, command, script = ''] = /^fail at \S+ (\S+) (\S*)/m.exec(err) ?? [];
  return command?.startsWith('eval') ? (SCRIPTS.get(script) ?? script) : command;
}

/**
 * Tries points until two in a row are past the end of the process: a few lanes, as each takes a while. `strike` answers what
 * the process was at, `undefined` where it survived.
 */
export async function walk(
  strike: (point: Point) => Promise<string | undefined>,
): Promise<Map<string, number>> {
  const struck = new Map<string, number>();
  const lanes = 2;
  await Promise.all(
    PHASES.flatMap(phase =>
      Array.from({ length: lanes }, async (_, lane) => {
        for (let n = lane + 1, survived = 0; survived < 2; n += lanes) {
          const at = await strike(`${phase}:${n}`);
          survived = at === undefined ? survived + 1 : 0;
          if (at !== undefined) count(struck, `${phase} ${at}`);
        }
      }),
    ),
  );
  return struck;
}

/** Tries the points that are named, a few at a time. */
export async function sample(
  points: readonly Point[],
  strike: (point: Point) => Promise<string | undefined>,
): Promise<Map<string, number>> {
  const struck = new Map<string, number>();
  const left = [...points];
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (let point = left.shift(); point !== undefined; point = left.shift()) {
        const at = await strike(point);
        if (at !== undefined) count(struck, `${point.split(':', 1)[0]} ${at}`);
      }
    }),
  );
  return struck;
}

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}
