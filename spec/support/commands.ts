/** What producers and workers send, by names: a script has its own, also where it is sent as its text. */
import type { Redis } from 'ioredis';
import { advance } from '../../lib/lua/advance.ts';
import { cancel } from '../../lib/lua/cancel.ts';
import { cronTick } from '../../lib/lua/cron-tick.ts';
import { checkRights } from '../../lib/lua/check-rights.ts';
import { cleanEnded } from '../../lib/lua/clean-ended.ts';
import { cleanOrphans } from '../../lib/lua/clean-orphans.ts';
import { deleteJob } from '../../lib/lua/delete.ts';
import { dropIds } from '../../lib/lua/drop-ids.ts';
import { empty } from '../../lib/lua/empty.ts';
import { enqueue } from '../../lib/lua/enqueue.ts';
import { fetch } from '../../lib/lua/fetch.ts';
import { forget } from '../../lib/lua/forget.ts';
import { giveBack } from '../../lib/lua/give-back.ts';
import { heartbeat } from '../../lib/lua/heartbeat.ts';
import { listCrons } from '../../lib/lua/list-crons.ts';
import { listRegistry } from '../../lib/lua/list-registry.ts';
import { queueDue } from '../../lib/lua/queue-due.ts';
import { readResults } from '../../lib/lua/read-results.ts';
import { readState } from '../../lib/lua/read-state.ts';
import { readStats } from '../../lib/lua/read-stats.ts';
import { releaseClaims } from '../../lib/lua/release-claims.ts';
import { removeCron } from '../../lib/lua/remove-cron.ts';
import { renew } from '../../lib/lua/renew.ts';
import { requestStop } from '../../lib/lua/request-stop.ts';
import { requeue } from '../../lib/lua/requeue.ts';
import { reschedule } from '../../lib/lua/reschedule.ts';
import { saveMeta } from '../../lib/lua/save-meta.ts';
import { saveProgress } from '../../lib/lua/save-progress.ts';
import { setCron } from '../../lib/lua/set-cron.ts';
import { sweep } from '../../lib/lua/sweep.ts';
import { unregister } from '../../lib/lua/unregister.ts';

type Named = readonly { readonly name: string; readonly sha: string; readonly source: string }[];

/** The scripts that a worker sends. */
export const WORKERS: Named = [
  advance,
  cronTick,
  giveBack,
  heartbeat,
  queueDue,
  releaseClaims,
  renew,
  saveMeta,
  saveProgress,
  sweep,
  unregister,
];
/** Those that a producer, or who holds a handle on a job, sends. */
export const PRODUCERS: Named = [
  cancel,
  deleteJob,
  empty,
  enqueue,
  fetch,
  forget,
  listCrons,
  listRegistry,
  readResults,
  readState,
  readStats,
  removeCron,
  requestStop,
  requeue,
  reschedule,
  saveMeta,
  setCron,
];

/** Those of who looks after a Redis. */
export const OPERATORS: Named = [checkRights, cleanEnded, cleanOrphans, dropIds];

const NAMES: ReadonlyMap<string, string> = new Map(
  [...WORKERS, ...PRODUCERS, ...OPERATORS].map(({ sha, name }) => [sha, name]),
);
const WITH_SUBCOMMANDS: ReadonlySet<string> = new Set(['CLIENT', 'CONFIG', 'SCRIPT', 'PUBSUB']);

/** `advance` for the script of this name, `EVAL advance` for its text, else `BLMOVE`, `CLIENT ID` and so on. */
export function commandName([first = '', second = '']: readonly string[]): string {
  const command = first.toUpperCase();
  if (command === 'EVALSHA') return NAMES.get(second) ?? `EVALSHA ${second}`;
  if (command === 'EVAL') return `EVAL ${/^-- (.*)$/m.exec(second)?.[1] ?? ''}`;
  return WITH_SUBCOMMANDS.has(command) ? `${command} ${second.toUpperCase()}` : command;
}

/** Or the lost reply would be the one that says that Redis does not know the script. */
export async function loadScripts(redis: Redis): Promise<void> {
  for (const { source } of [...WORKERS, ...PRODUCERS, ...OPERATORS]) await redis.script('LOAD', source);
}
