/** `rq pause` and `rq unpause`: one queue. */
import type { Command } from 'commander';
import { checkQueues, print, redisCommand, withRq, type Shared } from '../cli.ts';

interface Flags extends Shared {
  readonly new?: boolean;
}

export function pauseCommand(): Command {
  return redisCommand('pause', "Has workers take nothing from a queue. Python's workers don't look at it.")
    .argument('<queues...>', 'names of queues')
    .option('--new', 'also queues that no job was put on yet')
    .action((queues: readonly string[], flags: Flags) =>
      withRq(flags, async rq => {
        if (flags.new !== true) await checkQueues(rq, queues);
        for (const name of queues) {
          await rq.queue(name).pause();
          print(`Paused ${name}`);
        }
      }),
    );
}

export function unpauseCommand(): Command {
  return redisCommand('unpause', 'Has workers go on with a queue that was paused.')
    .argument('<queues...>', 'names of queues')
    .option('--new', 'also queues that no job was put on yet')
    .action((queues: readonly string[], flags: Flags) =>
      withRq(flags, async rq => {
        if (flags.new !== true) await checkQueues(rq, queues);
        for (const name of queues) {
          await rq.queue(name).resume();
          print(`Resumed ${name}`);
        }
      }),
    );
}
