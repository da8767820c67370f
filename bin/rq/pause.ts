/** `rq pause` and `rq unpause`: one queue. */
import type { Command } from 'commander';
import { print, redisCommand, withRq, type Shared } from '../cli.ts';

export function pauseCommand(): Command {
  return redisCommand('pause', "Has workers take nothing from a queue. Python's workers don't look at it.")
    .argument('<queues...>', 'names of queues')
    .action((queues: readonly string[], flags: Shared) =>
      withRq(flags, async rq => {
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
    .action((queues: readonly string[], flags: Shared) =>
      withRq(flags, async rq => {
        for (const name of queues) {
          await rq.queue(name).resume();
          print(`Resumed ${name}`);
        }
      }),
    );
}
