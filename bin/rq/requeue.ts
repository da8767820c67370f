/** `rq requeue`: failed jobs back to their queue. */
import type { Command } from 'commander';
import { NoSuchJobError, type Queue } from '../../lib/index.ts';
import { Complaint, FAILED, USAGE, print, printJson, redisCommand, withRq, type Shared } from '../cli.ts';
import { Progress } from '../progress.ts';

/** Jobs that are sent back at a time. */
const BATCH = 500;

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
      return withRq(flags, rq => requeue(rq.queue(flags.queue), ids, flags));
    });
}

async function requeue(queue: Queue, ids: readonly string[], flags: Flags): Promise<void> {
  const all = flags.all === true ? await queue.failedRegistry.getJobIds() : ids;
  if (flags.json !== true) print(`Requeueing ${all.length} jobs from failed queue`);
  const failed: string[] = [];
  using progress = new Progress('Requeued', all.length);
  for (let first = 0; first < all.length && !progress.interrupted; first += BATCH) {
    const part = all.slice(first, first + BATCH);
    await Promise.all(
      part.map(async id => {
        try {
          await queue.failedRegistry.requeue(id);
        } catch (error) {
          // who was asked for all does not mind one that expired meanwhile
          if (!(error instanceof NoSuchJobError && flags.all === true)) failed.push(id);
        }
      }),
    );
    progress.add(part.length);
  }
  const left = all.length - progress.done;
  if (flags.json === true) printJson({ requeued: progress.done - failed.length, failed, left });
  else {
    if (failed.length > 0)
      print(`Unable to requeue ${failed.length} jobs from failed job registry: ${failed.join(', ')}`);
    if (left > 0) print(`Interrupted: ${left} jobs were left alone`);
  }
  if (failed.length > 0 || left > 0) process.exitCode = FAILED;
}
