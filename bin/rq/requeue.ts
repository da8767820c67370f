/** `rq requeue`: failed jobs back to their queue. */
import type { Command } from 'commander';
import { JobError, NoSuchJobError, type Queue } from '../../lib/index.ts';
import {
  Complaint,
  FAILED,
  USAGE,
  checkQueues,
  print,
  printJson,
  redisCommand,
  safe,
  withRq,
  type Shared,
} from '../cli.ts';
import { Progress } from '../progress.ts';

/** Jobs that are sent back at a time. */
const BATCH = 500;
/** Ids that are shown of those that could not be. */
const SHOWN = 10;

interface Flags extends Shared {
  readonly queue: string;
  readonly all?: boolean;
}

export function requeueCommand(): Command {
  return redisCommand('requeue', 'Puts failed jobs back on their queue.')
    .argument('[ids...]', 'ids of jobs')
    .requiredOption('--queue <name>', 'name of the queue')
    .option('-a, --all', 'all failed jobs of the queue')
    .option('--json', 'prints JSON')
    .action((ids: readonly string[], flags: Flags) => {
      if ((ids.length === 0) === (flags.all !== true))
        throw new Complaint('Say which jobs: their ids, or --all', USAGE);
      return withRq(flags, async rq => {
        await checkQueues(rq, [flags.queue]);
        await requeue(rq.queue(flags.queue), ids, flags);
      });
    });
}

async function requeue(queue: Queue, ids: readonly string[], flags: Flags): Promise<void> {
  const all = flags.all === true ? await queue.failedRegistry.getJobIds() : ids;
  if (all.length === 0 && flags.json !== true) return print('Nothing to do');
  if (flags.json !== true) print(`Requeueing ${all.length} jobs from failed queue`);
  const failed: string[] = [];
  using progress = new Progress('Requeued', all.length);
  for (let first = 0; first < all.length && !progress.interrupted; first += BATCH) {
    const part = all.slice(first, first + BATCH);
    const done = await Promise.all(
      part.map(async id => {
        try {
          await queue.failedRegistry.requeue(id);
          return true;
        } catch (error) {
          if (!isAboutOneJob(error)) throw error;
          // who was asked for all does not mind one that expired meanwhile
          return error instanceof NoSuchJobError && flags.all === true;
        }
      }),
    );
    failed.push(...part.filter((_, i) => done[i] === false));
    progress.add(part.length);
  }
  progress.hide();
  const left = all.length - progress.done;
  if (flags.json === true) printJson({ requeued: progress.done - failed.length, failed, left });
  else {
    if (left > 0) print(`Interrupted: ${left} jobs were left alone`);
    if (failed.length > 0)
      throw new Complaint(
        `Unable to requeue ${failed.length} jobs from failed job registry: ${shown(failed)}; 'rq job' tells how each is`,
      );
  }
  if (failed.length > 0 || left > 0) process.exitCode = FAILED;
}

function isAboutOneJob(error: unknown): boolean {
  return error instanceof JobError || error instanceof TypeError;
}

function shown(ids: readonly string[]): string {
  const rest = ids.length > SHOWN ? `, … ${ids.length - SHOWN} more` : '';
  return `${ids.slice(0, SHOWN).map(safe).join(', ')}${rest}`;
}
