/** `rq info`: queues and workers, as RQ shows them. */
import type { Command } from 'commander';
import type { QueueCounts, Rq, WorkerInfo } from '../../lib/index.ts';
import {
  Complaint,
  USAGE,
  colour,
  print,
  printJson,
  redisCommand,
  safe,
  withRq,
  type Shared,
} from '../cli.ts';

interface Flags extends Shared {
  readonly interval?: number;
  readonly raw?: boolean;
  readonly onlyQueues?: boolean;
  readonly onlyWorkers?: boolean;
  readonly byQueue?: boolean;
}

/** Full scales of the bars, as in RQ. */
const SCALES = [0, 1, 2, 3, 4, 5, 10, 20, 25, 50, 80, 100, 200, 400, 500, 1000];

export function infoCommand(): Command {
  return redisCommand('info', 'Shows queues, how many jobs they have, and workers.')
    .argument('[queues...]', 'names of queues; all by default')
    .option('-i, --interval <seconds>', 'again every so many seconds', secondsFrom)
    .option('-r, --raw', 'numbers only, no bars')
    .option('-Q, --only-queues', 'queues only')
    .option('-W, --only-workers', 'workers only')
    .option('-R, --by-queue', 'workers by queue')
    .option('--json', 'prints JSON')
    .action(info);
}

function secondsFrom(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0))
    throw new Complaint(`--interval must be a number of seconds above 0, not ${JSON.stringify(text)}`, USAGE);
  return seconds;
}

async function info(names: readonly string[], flags: Flags): Promise<void> {
  if (flags.onlyQueues === true && flags.onlyWorkers === true)
    throw new Complaint('--only-queues and --only-workers exclude each other', USAGE);
  await withRq(flags, async rq => {
    const known = new Set((await rq.queues()).map(({ name }) => name));
    for (const name of names) if (!known.has(name)) throw new Complaint(`There is no queue ${safe(name)}`);
    for (;;) {
      if (flags.interval !== undefined && process.stdout.isTTY) process.stdout.write('\x1b[2J\x1b[H');
      await show(
        rq,
        names.length > 0 ? names : (await rq.queues()).map(({ name }) => name),
        names.length > 0,
        flags,
      );
      if (flags.interval === undefined) return;
      await new Promise(resolve => setTimeout(resolve, (flags.interval ?? 1) * 1000));
    }
  });
}

async function show(rq: Rq, names: readonly string[], chosen: boolean, flags: Flags): Promise<void> {
  const queues = flags.onlyWorkers === true ? [] : await Promise.all(names.map(name => rq.counts(name)));
  const all = flags.onlyQueues === true ? [] : await rq.workers();
  const workers = chosen ? all.filter(worker => worker.queues.some(queue => names.includes(queue))) : all;
  if (flags.json === true) {
    return printJson({
      suspended: await rq.isSuspended(),
      ...(flags.onlyWorkers === true ? {} : { queues }),
      ...(flags.onlyQueues === true ? {} : { workers }),
    });
  }
  if (flags.onlyWorkers !== true) showQueues(queues, flags);
  if (flags.onlyWorkers !== true && flags.onlyQueues !== true && flags.raw !== true) print();
  if (flags.onlyQueues !== true) {
    if (flags.byQueue === true) showByQueue(names, workers, flags);
    else for (const worker of workers) print(workerLine(worker, flags));
    if (flags.raw !== true) print(`${workers.length} workers, ${names.length} queues`);
  }
  if (flags.raw !== true) {
    print();
    print(`Updated: ${new Date().toISOString()}`);
  }
}

function showQueues(queues: readonly QueueCounts[], { raw }: Flags): void {
  const most = Math.max(0, ...queues.map(({ queued }) => queued));
  const scale = SCALES.find(each => each > 0 && each >= most) ?? most;
  const width = Math.min(20, (process.stdout.columns ?? 80) - 20);
  for (const { name, queued, started, finished, failed } of queues) {
    const bar = colour('green', `|${'█'.repeat(Math.max(0, Math.floor((width / scale) * queued)))}`);
    const head = raw === true ? `queue ${safe(name)}` : `${safe(name).padEnd(12)} ${bar}`;
    print(`${head} ${queued}, ${started} executing, ${finished} finished, ${failed} failed`);
  }
  const total = queues.reduce((sum, { queued }) => sum + queued, 0);
  if (raw !== true) print(`${queues.length} queues, ${total} jobs total`);
}

function nameOf({ name, hostname, ipAddress, pid }: WorkerInfo): string {
  return safe(`${name} (${hostname} ${ipAddress} ${pid ?? ''})`);
}

function workerLine(worker: WorkerInfo, { raw }: Flags): string {
  const { state, queues, finished, failed } = worker;
  const head =
    raw === true ? `worker ${nameOf(worker)} ${safe(state)}` : `${nameOf(worker)}: ${symbolOf(state)}`;
  return `${head} ${safe(queues.join(', '))}. jobs: ${finished} finished, ${failed} failed`;
}

function symbolOf(state: string): string {
  if (state === 'busy') return colour('red', 'busy');
  if (state === 'idle') return colour('green', 'idle');
  return colour('yellow', safe(state));
}

function showByQueue(names: readonly string[], workers: readonly WorkerInfo[], { raw }: Flags): void {
  const width = Math.max(0, ...names.map(name => name.length)) + 1;
  for (const name of names) {
    const here = workers.filter(({ queues }) => queues.includes(name));
    const each = here.map(
      worker => `${nameOf(worker)} (${raw === true ? safe(worker.state) : symbolOf(worker.state)})`,
    );
    print(`${`${safe(name)}:`.padEnd(width)} ${each.length === 0 ? '–' : each.join(', ')}`);
  }
}
