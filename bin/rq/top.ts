/** `rq top`: queues, workers and the latest failures on one screen, drawn anew each second. */
import { InvalidArgumentError, type Command } from 'commander';
import type { Failure, Overview, QueueOverview, Rq, WorkerInfo } from '../../lib/index.ts';
import { messageOf } from '../../lib/options.ts';
import {
  Complaint,
  USAGE,
  ago,
  colour,
  print,
  printJson,
  redisCommand,
  safe,
  span,
  withRq,
  type Shared,
} from '../cli.ts';
import { clip, columns } from '../table.ts';
import { overviewJson } from './info.ts';

interface Flags extends Shared {
  readonly interval: number;
  readonly once?: boolean;
}

export function topCommand(): Command {
  return redisCommand('top', 'Shows queues, workers and failures on one screen, live. q or Ctrl-C ends it.')
    .option('-i, --interval <seconds>', 'between two looks', secondsFrom, 1)
    .option('--once', 'prints one frame')
    .option('--json', 'prints one frame as JSON')
    .action((flags: Flags) => withRq(flags, rq => top(rq, flags)));
}

function secondsFrom(text: string): number {
  const seconds = Number(text);
  if (!(seconds >= 0.1 && seconds <= 86_400))
    throw new InvalidArgumentError('It must be a number of seconds, 0.1 or more.');
  return seconds;
}

async function top(rq: Rq, flags: Flags): Promise<void> {
  if (flags.json === true) return printJson(overviewJson(await rq.overview()));
  if (flags.once === true) {
    for (const line of frameOf(
      rq.address,
      await rq.overview(),
      process.stdout.isTTY ? sizeOf(process.stdout).width : 160,
      Infinity,
    ))
      print(line);
    return;
  }
  if (!process.stdout.isTTY || !process.stdin.isTTY)
    throw new Complaint('rq top draws on a terminal, and this is none: say --once or --json', USAGE);
  const screen = new Screen();
  try {
    // the first look tells where there is no Redis, before anything is drawn
    let seen: Overview = await rq.overview();
    let trouble = '';
    screen.open(() => draw());
    const draw = (): void => {
      const { width, rows } = sizeOf(process.stdout);
      const lines = frameOf(rq.address, seen, width, rows - 1);
      screen.draw(trouble === '' ? lines : [...lines, colour('red', clip(safe(trouble), width))]);
    };
    while (!screen.ended) {
      draw();
      await screen.wait(flags.interval * 1000);
      if (screen.ended) break;
      try {
        // q ends it at once, also while Redis is awaited
        seen = (await Promise.race([rq.overview(), screen.end])) ?? seen;
        trouble = '';
      } catch (error) {
        trouble = messageOf(error);
      }
    }
  } finally {
    screen.close();
  }
}

/** Some terminals don't say how large they are. */
function sizeOf({ columns: width, rows }: NodeJS.WriteStream): {
  readonly width: number;
  readonly rows: number;
} {
  return { width: width > 0 ? width : 80, rows: rows > 0 ? rows : 24 };
}

/** A terminal's other screen, with the keys that are pressed there. */
class Screen {
  readonly end: Promise<undefined>;
  ended = false;
  #end = (): void => {};
  #opened = false;
  #onResize = (): void => {};
  readonly #onKey = (keys: Buffer | string): void => {
    // raw, so Ctrl-C and Ctrl-D come as what they are
    if (/[qQ\u0003\u0004]/.test(String(keys))) this.#end();
  };

  constructor() {
    this.end = new Promise(resolve => {
      this.#end = () => {
        this.ended = true;
        resolve(undefined);
      };
    });
  }

  open(onResize: () => void): void {
    this.#opened = true;
    this.#onResize = onResize;
    process.stdout.write('\x1b[?1049h\x1b[?25l\x1b[?7l');
    process.stdin.setRawMode(true).resume().on('data', this.#onKey);
    process.stdout.on('resize', this.#onResize);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, this.#end);
  }

  draw(lines: readonly string[]): void {
    process.stdout.write(`\x1b[H${lines.map(line => `${line}\x1b[K`).join('\n')}\x1b[J`);
  }

  async wait(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([this.end, new Promise(resolve => (timer = setTimeout(resolve, ms)))]);
    clearTimeout(timer);
  }

  close(): void {
    if (!this.#opened) return;
    this.#opened = false;
    process.stdout.off('resize', this.#onResize);
    process.stdin.off('data', this.#onKey).setRawMode(false).pause();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, this.#end);
    process.stdout.write('\x1b[?7h\x1b[?25h\x1b[?1049l');
  }
}

/** The lines of a screen of so many columns and rows. */
function frameOf(address: string, overview: Overview, width: number, rows: number): string[] {
  const { at, suspended, queues, workers, failures } = overview;
  const state = suspended ? '  all workers are suspended' : '';
  const head = clip(`rq top  ${safe(address)}  ${at.toLocaleTimeString('en-GB')}${state}`, width);
  // a third for each part; what one does not need the next one has
  const free = rows - 7;
  const forFailures = Math.min(Math.max(1, failures.length), Math.max(1, Math.floor(free / 4)));
  const forWorkers = Math.min(Math.max(1, workers.length), Math.max(1, Math.floor((free - forFailures) / 2)));
  const forQueues = Math.max(1, free - forFailures - forWorkers);
  return [
    colour(suspended ? 'yellow' : 'bold', head),
    '',
    ...part(QUEUE_HEAD, queues.map(queueRow), [1, 2, 3, 4, 5, 6, 7, 8], forQueues, width, 'queues'),
    '',
    ...part(WORKER_HEAD, workers.map(workerRow), [3, 4, 5], forWorkers, width, 'workers'),
    '',
    ...part(FAILURE_HEAD, failures.map(failureRow), [], forFailures, width, 'failures'),
  ].slice(0, rows);
}

const QUEUE_HEAD = [
  'QUEUE',
  'WAITING',
  'IN/S',
  'OUT/S',
  'OLDEST',
  'RUNNING',
  'FAILED',
  'SCHEDULED',
  'DEFERRED',
  'STATE',
];
const WORKER_HEAD = ['WORKER', 'STATE', 'QUEUES', 'FINISHED', 'FAILED', 'HEARD', 'JOB'];
const FAILURE_HEAD = ['FAILED', 'QUEUE', 'FUNCTION', 'ERROR', 'JOB'];

function part(
  head: readonly string[],
  all: readonly (readonly string[])[],
  right: readonly number[],
  room: number,
  width: number,
  what: string,
): string[] {
  const shown = all.length > room ? all.slice(0, Math.max(0, room - 1)) : all;
  const [first = '', ...lines] = columns([head, ...shown], right).map(line => clip(line, width));
  const rest = all.length > shown.length ? [`… ${all.length - shown.length} more ${what}`] : [];
  const none = all.length === 0 ? [colour('dim', `no ${what}`)] : [];
  return [colour('inverse', first), ...lines, ...rest, ...none];
}

function rate(perSecond: number | undefined): string {
  if (perSecond === undefined) return '–';
  return perSecond >= 100 ? String(Math.round(perSecond)) : perSecond.toFixed(1);
}

function queueRow(queue: QueueOverview): string[] {
  const { name, queued, arrivals, departures, oldestAge, started, failed, scheduled, deferred, parked } =
    queue;
  const state = [
    ...(queue.paused ? ['paused'] : []),
    ...(queue.rate === undefined ? [] : [queue.rate]),
    ...(parked > 0 ? [`${parked} parked`] : []),
  ];
  const age = queued === 0 ? '' : span(oldestAge);
  const counts = [started, failed, scheduled, deferred].map(String);
  return [
    clip(safe(name), 30),
    String(queued),
    rate(arrivals),
    rate(departures),
    age,
    ...counts,
    safe(state.join(', ')),
  ];
}

function workerRow(worker: WorkerInfo): string[] {
  const { name, state, queues, finished, failed, lastHeartbeat, currentJobId = '' } = worker;
  const heard = lastHeartbeat === undefined ? '?' : ago(lastHeartbeat);
  const texts = [clip(safe(name), 34), safe(state), clip(safe(queues.join(', ')), 30)];
  return [...texts, String(finished), String(failed), heard, clip(safe(currentJobId), 36)];
}

function failureRow({ jobId, queue, functionName, error, at }: Failure): string[] {
  const when = at === undefined ? '?' : ago(at);
  return [
    when,
    clip(safe(queue), 20),
    clip(safe(functionName), 30),
    clip(safe(error), 60),
    clip(safe(jobId), 36),
  ];
}
