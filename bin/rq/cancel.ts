/** `rq cancel` and `rq stop`: single jobs. */
import type { Command } from 'commander';
import { JobError, type Job, type Rq } from '../../lib/index.ts';
import { messageOf } from '../../lib/options.ts';
import { Complaint, print, redisCommand, withRq, type Shared } from '../cli.ts';

export function cancelCommand(): Command {
  return redisCommand('cancel', 'Keeps jobs from running. One that runs is fenced off.')
    .argument('<ids...>', 'ids of jobs')
    .option('--enqueue-dependents', 'jobs that wait for them wait no more')
    .option('--cancel-dependents', 'jobs that wait for them are canceled as well')
    .action(
      (
        ids: readonly string[],
        flags: Shared & { readonly enqueueDependents?: boolean; readonly cancelDependents?: boolean },
      ) => {
        const { enqueueDependents = false, cancelDependents = false } = flags;
        return each(flags, ids, 'Canceled', job => job.cancel({ enqueueDependents, cancelDependents }));
      },
    );
}

export function stopCommand(): Command {
  return redisCommand('stop', 'Ends jobs that run, here or in Python.')
    .argument('<ids...>', 'ids of jobs')
    .action((ids: readonly string[], flags: Shared) => each(flags, ids, 'Asked to stop', job => job.stop()));
}

function each(
  flags: Shared,
  ids: readonly string[],
  done: string,
  act: (job: Job) => Promise<void>,
): Promise<void> {
  return withRq(flags, async rq => {
    const refused: string[] = [];
    for (const id of ids) {
      try {
        await act(await theJob(rq, id));
        print(`${done}: ${id}`);
      } catch (error) {
        // the others are not to wait for somebody to type the rest again
        if (!(error instanceof Complaint || error instanceof JobError)) throw error;
        refused.push(messageOf(error));
      }
    }
    if (refused.length > 0) throw new Complaint(refused.join('; '));
  });
}

/** @throws {Complaint} where there is none of this id. */
export async function theJob(rq: Rq, id: string): Promise<Job> {
  const job = await rq.fetchJob(id);
  if (job === undefined) throw new Complaint(`There is no job ${id}: it expired, was deleted, or never was`);
  return job;
}
