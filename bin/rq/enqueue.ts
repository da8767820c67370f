/** `rq enqueue`: puts one call on a queue, with RQ's syntax for arguments. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { EnqueueOptions } from '../../lib/index.ts';
import { describeCall } from '../../lib/json.ts';
import { messageOf, quote } from '../../lib/options.ts';
import {
  Complaint,
  USAGE,
  colour,
  countFrom,
  print,
  printJson,
  redisCommand,
  safe,
  withRq,
  type Shared,
} from '../cli.ts';

interface Flags extends Shared {
  readonly queue: string;
  readonly timeout?: string;
  readonly resultTtl?: string;
  readonly ttl?: string;
  readonly failureTtl?: string;
  readonly description?: string;
  readonly dependsOn?: readonly string[];
  readonly jobId?: string;
  readonly atFront?: boolean;
  readonly retryMax?: number;
  readonly retryInterval?: readonly number[];
  readonly scheduleIn?: string;
  readonly scheduleAt?: string;
  readonly quiet?: boolean;
}

const collect = (value: string, all: readonly string[] = []): string[] => [...all, value];
const collectCounts = (value: string, all: readonly number[] = []): number[] => [...all, countFrom(0)(value)];

export function enqueueCommand(): Command {
  return redisCommand('enqueue', 'Puts a call of a registered function on a queue.')
    .argument('<function>', 'its name')
    .argument(
      '[arguments...]',
      'text, k=text, :json, k:=json; @file in place of a value reads it from a file',
    )
    .option('-q, --queue <name>', 'name of the queue', 'default')
    .option('--timeout <duration>', 'how long it may run')
    .option('--result-ttl <duration>', 'how long its result is kept')
    .option('--ttl <duration>', 'how long it may wait')
    .option('--failure-ttl <duration>', 'how long it is kept after it failed')
    .option('--description <text>', 'what logs show')
    .option('--depends-on <id>', 'a job that has to finish first; repeatable', collect)
    .option('--job-id <id>', 'the id of the job')
    .option('--at-front', 'to the front of the queue')
    .option('--retry-max <n>', 'runs after the first that failed', countFrom(0))
    .option('--retry-interval <seconds>', 'wait before a retry; repeatable', collectCounts)
    .option('--schedule-in <duration>', 'queued after this time (10s, 5m, 2d)')
    .option(
      '--schedule-at <date>',
      'queued at this time (2026-01-31T12:00:00, this time zone, or with an offset)',
    )
    .option('--quiet', 'prints nothing')
    .option('--json', 'prints the job as JSON')
    .action(enqueue);
}

async function enqueue(fn: string, given: readonly string[], flags: Flags): Promise<void> {
  const { args, kwargs } = parseArguments(given);
  if (flags.scheduleIn !== undefined && flags.scheduleAt !== undefined)
    throw new Complaint('--schedule-in and --schedule-at exclude each other', USAGE);
  const { timeout, resultTtl, ttl, failureTtl, description, dependsOn, jobId, atFront, retryMax = 0 } = flags;
  const options = {
    timeout,
    resultTtl,
    ttl,
    failureTtl,
    description,
    dependsOn,
    jobId,
    atFront,
    kwargs: Object.keys(kwargs).length > 0 ? kwargs : undefined,
    retry: retryMax > 0 ? { max: retryMax, interval: flags.retryInterval ?? 0 } : undefined,
  };
  const named = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as EnqueueOptions;
  await withRq(flags, async rq => {
    const queue = rq.queue(flags.queue);
    const job =
      flags.scheduleIn !== undefined
        ? await queue.enqueueIn(flags.scheduleIn, fn, args, named)
        : flags.scheduleAt !== undefined
          ? await queue.enqueueAt(dateFrom(flags.scheduleAt), fn, args, named)
          : await queue.enqueue(fn, args, named);
    if (flags.json === true) printJson({ id: job.id, queue: flags.queue, status: job.status });
    else if (flags.quiet !== true)
      print(`Enqueued ${colour('blue', safe(describeCall(fn, args, kwargs)))} with job-id '${job.id}'.`);
  });
}

function dateFrom(text: string): Date {
  const date = new Date(text);
  const day = text.slice(0, 10);
  // a 30th of February would be a 2nd of March
  if (!/^\d{4}-\d\d-\d\dT/.test(text) || Number.isNaN(date.getTime()) || !isDay(day))
    throw new Complaint(
      `--schedule-at must be a date such as 2026-01-31T12:00:00, not ${quote(text)}`,
      USAGE,
    );
  return date;
}

function isDay(text: string): boolean {
  return new Date(`${text}T00:00:00Z`).toISOString().startsWith(text);
}

/** RQ's syntax, but for Python's literals. @throws {Complaint} that says which argument it is. */
export function parseArguments(given: readonly string[]): {
  args: unknown[];
  kwargs: Record<string, unknown>;
} {
  const args: unknown[] = [];
  const kwargs: Record<string, unknown> = {};
  for (const argument of given) {
    const { keyword, mark, text } = partsOf(argument);
    if (mark === '%') {
      throw new Complaint(
        `Argument ${quote(argument)} would be a Python literal, which can't be read here: say it as JSON, ${keyword ?? ''}:${keyword === undefined ? '' : '='}…`,
        USAGE,
      );
    }
    const read = contentOf(text, argument);
    const parsed = mark === ':' ? jsonOf(read, argument) : read;
    if (keyword === undefined) args.push(parsed);
    else if (Object.hasOwn(kwargs, keyword))
      throw new Complaint(`The keyword ${quote(keyword)} is given twice`, USAGE);
    else Object.defineProperty(kwargs, keyword, { value: parsed, enumerable: true });
  }
  return { args, kwargs };
}

/** What stands before a value, and how it is to be read: as RQ splits it, by the first equals sign. */
function partsOf(argument: string): { keyword?: string; mark: string; text: string } {
  const [first = ''] = argument;
  if (first === ':' || first === '%') return { mark: first, text: argument.slice(1) };
  const at = argument.indexOf('=');
  if (at <= 0) return { mark: '', text: argument };
  const text = argument.slice(at + 1);
  for (const mark of [':', '%']) {
    if (argument.indexOf(mark) === at - 1) return { keyword: argument.slice(0, at - 1), mark, text };
  }
  return { keyword: argument.slice(0, at), mark: '', text };
}

function contentOf(text: string, argument: string): string {
  if (!text.startsWith('@')) return text;
  try {
    return readFileSync(text.slice(1), 'utf8');
  } catch (error) {
    throw new Complaint(`The file of argument ${quote(argument)} can't be read: ${messageOf(error)}`, USAGE);
  }
}

function jsonOf(text: string, argument: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new Complaint(`Argument ${quote(argument)} is not JSON: ${messageOf(error)}`, USAGE);
  }
}
