/** `rq info`: queues and workers, as RQ shows them. */
import { InvalidArgumentError, type Command } from 'commander';
import type { Overview, QueueCounts, QueueOverview, Rq, WorkerInfo } from '../../lib/index.ts';
import {
  Complaint,
  USAGE,
  checkQueues,
  colour,
  countFrom,
  print,
  printJson,
  redisCommand,
  safe,
  withRq,
  type Shared,
} from '../cli.ts';
import { showMemory } from './memory.ts';

interface Flags extends Shared {
  readonly interval?: number;
  readonly raw?: boolean;
  readonly onlyQueues?: boolean;
  readonly onlyWorkers?: boolean;
  readonly byQueue?: boolean;
  readonly memory?: boolean;
  readonly samples?: number;
}

/** Full scales of the bars, as in RQ. */
const SCALES = [20, 50, 100, 200, 400, 600, 800, 1000];

export function infoCommand(): Command {
  return redisCommand('info', 'Shows queues, how many jobs they have, and workers.')
    .argument('[queues...]', 'names of queues; all by default')
    .option('-i, --interval <seconds>', 'again every so many seconds', secondsFrom)
    .option('-r, --raw', 'numbers only, no bars')
    .option('-Q, --only-queues', 'queues only')
    .option('-W, --only-workers', 'workers only')
    .option('-R, --by-queue', 'workers by queue')
    .option('--memory', 'bytes that jobs take, by queue and registry, from a sample of them')
    .option('--samples <n>', 'with --memory: jobs that are measured of each (default: 100)', countFrom(1))
    .option('--json', 'prints JSON, with how the backlog of each queue moves')
    .action(info);
}

function secondsFrom(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 86_400))
    throw new InvalidArgumentError('It must be a number of seconds above 0.');
  return seconds;
}

async function info(names: readonly string[], flags: Flags): Promise<void> {
  if (flags.onlyQueues === true && flags.onlyWorkers === true)
    throw new Complaint('--only-queues and --only-workers exclude each other', USAGE);
  if (flags.samples !== undefined && flags.memory !== true)
    throw new Complaint('--samples goes with --memory', USAGE);
  const interrupted = new AbortController();
  await withRq(flags, async rq => {
    await checkQueues(rq, names);
    if (flags.interval !== undefined) process.once('SIGINT', () => interrupted.abort());
    for (;;) {
      if (flags.interval !== undefined && process.stdout.isTTY) process.stdout.write('\x1b[2J\x1b[H');
      const shown = names.length > 0 ? names : await rq.queueNames();
      if (flags.memory === true) await showMemory(rq, shown, flags);
      else await show(rq, shown, names.length > 0, flags);
      if (flags.interval === undefined) return;
      await pause(flags.interval * 1000, interrupted.signal);
      if (interrupted.signal.aborted) return;
    }
  });
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>(resolve => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
    if (signal.aborted) resolve();
  });
}

async function show(rq: Rq, names: readonly string[], chosen: boolean, flags: Flags): Promise<void> {
  const all = flags.onlyQueues === true ? [] : await rq.workers();
  const workers = chosen ? all.filter(worker => worker.queues.some(queue => names.includes(queue))) : all;
  if (flags.json === true) {
    const queues =
      flags.onlyWorkers === true ? [] : await Promise.all(names.map(name => rq.queueOverview(name)));
    return printJson({
      suspended: await rq.isSuspended(),
      ...(flags.onlyWorkers === true ? {} : { queues: queues.map(queueJson) }),
      ...(flags.onlyQueues === true ? {} : { workers }),
    });
  }
  const queues = flags.onlyWorkers === true ? [] : await Promise.all(names.map(name => rq.counts(name)));
  if (flags.onlyWorkers !== true) showQueues(queues, flags);
  if (flags.onlyWorkers !== true && flags.onlyQueues !== true && flags.raw !== true) print();
  if (flags.onlyQueues !== true) {
    if (flags.byQueue === true) showByQueue(names, workers);
    else for (const worker of workers) print(workerLine(worker, flags));
    if (flags.raw !== true) print(`${workers.length} workers, ${names.length} queues`);
  }
  if (flags.raw !== true && flags.onlyWorkers !== true && flags.onlyQueues !== true) {
    print();
    print(`Updated: ${new Date().toISOString()}`);
  }
}

/** With `null` for what is not known: a key that is not there looks like a typing error. */
function queueJson({ arrivals, departures, rate, ...queue }: QueueOverview): object {
  return { ...queue, arrivals: arrivals ?? null, departures: departures ?? null, rate: rate ?? null };
}

export function overviewJson({ queues, ...overview }: Overview): object {
  return { ...overview, queues: queues.map(queueJson) };
}

function showQueues(queues: readonly QueueCounts[], { raw }: Flags): void {
  const most = Math.max(0, ...queues.map(({ queued }) => queued));
  const scale = SCALES.find(each => each >= most) ?? most;
  const width = Math.min(20, (process.stdout.columns ?? 80) - 20);
  for (const { name, queued, started, finished, failed } of queues) {
    const bar = colour('green', `|${'█'.repeat(Math.max(0, Math.floor((width / scale) * queued)))}`);
    const head = raw === true ? `queue ${safe(name)}` : `${safe(name).padEnd(12)} ${bar}`;
    print(`${head} ${queued}, ${started} executing, ${finished} finished, ${failed} failed`);
  }
  const total = queues.reduce((sum, { queued }) => sum + queued, 0);
  if (raw !== true) print(`${queues.length} queues, ${total} jobs total`);
}

function workerLine(worker: WorkerInfo, { raw }: Flags): string {
  const { name, hostname, ipAddress, pid, state, queues, finished, failed } = worker;
  const who = safe(`${name} (${hostname} ${ipAddress} ${pid ?? ''})`);
  const head = raw === true ? `worker ${who} ${safe(state)}` : `${who}: ${symbolOf(state)}`;
  return `${head} ${safe(queues.join(', '))}. jobs: ${finished} finished, ${failed} failed`;
}

function symbolOf(state: string): string {
  if (state === 'busy') return colour('red', 'busy');
  if (state === 'idle') return colour('green', 'idle');
  return state === 'suspended' ? colour('yellow', state) : safe(state);
}

function showByQueue(names: readonly string[], workers: readonly WorkerInfo[]): void {
  const width = Math.max(0, ...names.map(name => safe(name).length)) + 1;
  for (const name of names) {
    const here = workers.filter(({ queues }) => queues.includes(name));
    const each = here.map(worker => `${safe(worker.name)} (${symbolOf(worker.state)})`);
    print(`${`${safe(name)}:`.padEnd(width)} ${each.length === 0 ? '–' : each.join(', ')}`);
  }
}
