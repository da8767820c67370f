/** `rq suspend` and `rq resume`: for all workers, Python's too. */
import type { Command } from 'commander';
import { print, redisCommand, withRq, type Shared } from '../cli.ts';

export function suspendCommand(): Command {
  return redisCommand('suspend', 'Has all workers take no new job. Those that run go on.')
    .option('--duration <duration>', 'for so long (seconds, or 30s, 5m, …); without end by default')
    .action((flags: Shared & { readonly duration?: string }) =>
      withRq(flags, async rq => {
        await rq.suspend(flags.duration);
        const how = flags.duration === undefined ? "until 'rq resume'" : `for ${flags.duration}`;
        print(`Suspending workers ${how}. No new jobs will be started`);
      }),
    );
}

export function resumeCommand(): Command {
  return redisCommand('resume', 'Has workers that were suspended go on.').action((flags: Shared) =>
    withRq(flags, async rq => {
      await rq.resume();
      print('Resuming workers');
    }),
  );
}
