/** `rq rate`: how many jobs of a queue may begin in a time. */
import type { Command } from 'commander';
import { print, redisCommand, withRq, type Shared } from '../cli.ts';

export function rateCommand(): Command {
  return redisCommand('rate', 'Shows, or sets for all workers, how many jobs of a queue may begin in a time.')
    .argument('<queue>', 'name of a queue')
    .argument('[rate]', "such as 10/m, 60/s or 5/30s; 'none' takes it away")
    .action((name: string, rate: string | undefined, flags: Shared) =>
      withRq(flags, async rq => {
        const queue = rq.queue(name);
        if (rate !== undefined) await queue.setRateLimit(rate === 'none' ? undefined : rate);
        print(`${name} ${(await queue.getRateLimit()) ?? 'none'}`);
      }),
    );
}
