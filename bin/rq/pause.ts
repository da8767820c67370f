/** `rq pause` and `rq unpause`: one queue. */
import type { Command } from 'commander';
import type { Queue } from '../../lib/index.ts';
import { checkQueues, print, redisCommand, withRq, type Shared } from '../cli.ts';

interface Flags extends Shared {
  readonly new?: boolean;
}

export function pauseCommand(): Command {
  const what = "Has workers take nothing from a queue. Python's workers don't look at it.";
  return queuesCommand('pause', what, 'Paused', queue => queue.pause());
}

export function unpauseCommand(): Command {
  const what = 'Has workers go on with a queue that was paused.';
  return queuesCommand('unpause', what, 'Resumed', queue => queue.resume());
}

function queuesCommand(
  name: string,
  what: string,
  done: string,
  act: (queue: Queue) => Promise<void>,
): Command {
  return redisCommand(name, what)
    .argument('<queues...>', 'names of queues')
    .option('--new', 'also queues that no job was put on yet')
    .action((queues: readonly string[], flags: Flags) =>
      withRq(flags, async rq => {
        if (flags.new !== true) await checkQueues(rq, queues);
        for (const queue of queues) {
          await act(rq.queue(queue));
          print(`${done} ${queue}`);
        }
      }),
    );
}
