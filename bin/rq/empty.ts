/** `rq empty`: deletes the waiting jobs of queues. */
import type { Command } from 'commander';
import {
  Complaint,
  FAILED,
  USAGE,
  checkQueues,
  confirmed,
  print,
  printJson,
  redisCommand,
  safe,
  withRq,
  type Shared,
} from '../cli.ts';
import { Progress } from '../progress.ts';

interface Flags extends Shared {
  readonly all?: boolean;
}

export function emptyCommand(): Command {
  return redisCommand('empty', 'Deletes the waiting jobs of queues. Those that run, or have ended, stay.')
    .argument('[queues...]', 'names of queues')
    .option('-a, --all', 'all queues')
    .option('-y, --yes', 'does not ask')
    .option('--json', 'prints JSON')
    .action(empty);
}

async function empty(names: readonly string[], flags: Flags): Promise<void> {
  if ((names.length === 0) === (flags.all !== true))
    throw new Complaint('Say which queues: their names, or --all', USAGE);
  await withRq(flags, async rq => {
    await checkQueues(rq, names);
    const queues = flags.all === true ? await rq.queues() : names.map(name => rq.queue(name));
    // those that wait aside are deleted as well
    const counts = await Promise.all(queues.flatMap(queue => [queue.count(), queue.parkedRegistry.count()]));
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (queues.length === 0 && flags.json !== true) return print('Nothing to do');
    const of = queues.map(({ name }) => name).join(', ');
    if (total > 0 && !(await confirmed(`Delete ${total} waiting jobs of ${safe(of)}?`, flags))) {
      process.exitCode = FAILED;
      return;
    }
    using progress = new Progress('Deleted', total);
    const deleted: Record<string, number> = {};
    for (const queue of queues) {
      if (progress.interrupted) break;
      deleted[queue.name] = await queue.empty({ signal: progress.signal, onProgress: n => progress.add(n) });
      progress.hide();
      if (flags.json !== true) print(`${deleted[queue.name]} jobs removed from ${queue.name} queue`);
    }
    if (flags.json === true) printJson({ deleted, interrupted: progress.interrupted });
    else if (progress.interrupted) print('Interrupted: the rest was left alone');
    if (progress.interrupted) process.exitCode = FAILED;
  });
}
