/** `rq cron`: lists crons, sets those of a module, removes one. */
import type { Command } from 'commander';
import { loadCrons, type CronJob, type Rq } from '../../lib/index.ts';
import { Complaint, USAGE, print, printJson, redisCommand, safe, withRq, type Shared } from '../cli.ts';

interface Flags extends Shared {
  readonly queue?: string;
  readonly remove?: string;
}

export function cronCommand(): Command {
  return redisCommand(
    'cron',
    'Lists crons, or sets those of modules. Workers queue their jobs: no other process is needed.',
  )
    .argument('[modules...]', 'modules whose lists of crons are set, as with rq worker --cron')
    .option('-q, --queue <name>', 'queue of crons that name none (default: default); of those to list: all')
    .option('--remove <name>', 'removes the cron of this name from --queue')
    .option('--json', 'prints JSON')
    .action(cron);
}

async function cron(modules: readonly string[], flags: Flags): Promise<void> {
  if (flags.remove !== undefined && modules.length > 0)
    throw new Complaint('--remove and modules exclude each other', USAGE);
  const queue = flags.queue ?? 'default';
  const entries = await loadCrons(modules, queue);
  await withRq(flags, async rq => {
    if (flags.remove !== undefined) {
      if (!(await rq.queue(queue).removeCron(flags.remove)))
        throw new Complaint(`There is no cron ${safe(flags.remove)} on queue ${queue}`);
      return print(`Removed ${safe(flags.remove)} from ${queue}`);
    }
    const set: CronJob[] = [];
    for (const { pattern, fn, args = [], queue: own = queue, ...options } of entries) {
      const target = rq.queue(own);
      set.push(
        typeof fn === 'string'
          ? await target.cron(pattern, fn, args, options)
          : await target.cron(pattern, fn, args as never, options),
      );
    }
    show(modules.length > 0 ? set : await listed(rq, flags.queue), flags);
  });
}

function listed(rq: Rq, only: string | undefined): Promise<CronJob[]> {
  return only === undefined ? rq.crons() : rq.queue(only).crons();
}

function show(crons: readonly CronJob[], flags: Flags): void {
  if (flags.json === true) return printJson(crons);
  for (const { queue, name, pattern, timezone, nextRunAt } of crons) {
    const next = nextRunAt === undefined ? 'never again' : nextRunAt.toISOString();
    print(safe(`${queue}: ${name}  ${pattern}  ${timezone}  next ${next}`));
  }
  print(`${crons.length} crons`);
}
