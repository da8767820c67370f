/** `rq rate`: how many jobs of a queue may begin in a time. */
import type { Command } from 'commander';
import { checkQueues, print, printJson, redisCommand, withRq, type Shared } from '../cli.ts';

interface Flags extends Shared {
  readonly new?: boolean;
}

export function rateCommand(): Command {
  return redisCommand('rate', 'Shows, or sets for all workers, how many jobs of a queue may begin in a time.')
    .argument('<queue>', 'name of a queue')
    .argument('[rate]', "such as 10/m, 60/s or 5/30s; 'none' takes it away")
    .option('--new', 'also of a queue that no job was put on yet')
    .option('--json', 'prints JSON')
    .action((name: string, rate: string | undefined, flags: Flags) =>
      withRq(flags, async rq => {
        if (flags.new !== true) await checkQueues(rq, [name]);
        const queue = rq.queue(name);
        if (rate !== undefined) await queue.setRateLimit(rate === 'none' ? undefined : rate);
        const now = await queue.getRateLimit();
        if (flags.json === true) printJson({ queue: name, rate: now ?? null });
        else print(`${name} ${now ?? 'none'}`);
      }),
    );
}
