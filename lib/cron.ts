/** Jobs that come again and again by a pattern: what is kept of each in Redis, and what a caller gets to see of it. */
import { createHash } from 'node:crypto';
import { checkPattern, checkTimezone } from './cron-pattern.ts';
import { TIMEZONE } from './defaults.ts';
import { ENQUEUE_OPTIONS, type EnqueueOptions } from './enqueue-options.ts';
import { functionName, type TaskFunction } from './functions.ts';
import type { NewJob } from './new-job.ts';
import { checkKnown, checkName, checkOptions, quote } from './options.ts';
import type { Prepared } from './prepare.ts';
import { isObject } from './record.ts';

/** What becomes of ticks that no worker was there for, for more than a minute. */
export type Missed = 'once' | 'skip';

/** How the jobs of a cron are queued, and when. */
export interface CronOptions<R = unknown> extends Omit<EnqueueOptions<R>, 'jobId' | 'dependsOn' | 'unique'> {
  /** Its name on its queue: without spaces, 200 characters at most. The function's by default. */
  readonly name?: string;
  /** The time zone that the pattern is of, such as `Europe/Berlin`. `UTC` by default, wherever the caller is. */
  readonly timezone?: string;
  /**
   * What becomes of ticks that no worker was there for, for more than a minute: one job for all of them (`once`, the
   * default), or none (`skip`).
   */
  readonly missed?: Missed;
}

/** A cron of a list, as a worker is given it. */
export interface CronEntry extends CronOptions {
  readonly pattern: string;
  /** A function, or the name of one. */
  readonly fn: TaskFunction | string;
  readonly args?: readonly unknown[];
  /** Name of its queue: the worker's first by default. */
  readonly queue?: string;
}

/** A cron as it stood when it was asked for. */
export interface CronJob {
  readonly name: string;
  readonly queue: string;
  readonly pattern: string;
  readonly timezone: string;
  readonly missed: Missed;
  /** The call: `report("weekly")`. */
  readonly description: string;
  /** When it comes next; `undefined` where it never does again. */
  readonly nextRunAt: Date | undefined;
  /** When it last came, and a job was queued; the id of that job. */
  readonly lastRunAt: Date | undefined;
  readonly lastJobId: string | undefined;
}

/** What is kept of a cron. */
export interface CronDefinition {
  readonly pattern: string;
  readonly timezone: string;
  readonly missed: Missed;
  /** Its jobs, all but their ids. */
  readonly data: string;
  readonly description: string;
  readonly settings: readonly string[];
  readonly ttl: number;
  readonly at_front: boolean;
}

/** A cron that has been checked. */
export interface NewCron {
  readonly name: string;
  readonly definition: CronDefinition;
}

export const CRON_OPTIONS: readonly string[] = [
  'name',
  'timezone',
  'missed',
  ...ENQUEUE_OPTIONS.filter(name => !['jobId', 'dependsOn', 'unique'].includes(name)),
];
const ENTRY_OPTIONS = ['pattern', 'fn', 'args', 'queue', ...CRON_OPTIONS];
const MISSED: readonly string[] = ['once', 'skip'];
const CRON_NAME = /^[^\s\u0000-\u001f\u007f-\u009f]{1,200}$/;
/** Settings of a definition that may be one of ours: more would not go through a script. */
const MOST_SETTINGS = 1000;
/** Seconds: Redis takes no more than some number, and no duration of ours is as long. */
const MOST_TTL = 1e9;

/** Makes a job of a call. */
export type Prepare = (
  fn: TaskFunction | string,
  args: readonly unknown[] | undefined,
  options: EnqueueOptions,
) => Prepared;

/** @throws {TypeError | RangeError} for what is no pattern, no time zone, or can't be queued. */
export function prepareCron(
  pattern: string,
  fn: TaskFunction | string,
  args: readonly unknown[] | undefined,
  options: CronOptions | undefined,
  prepare: Prepare,
): NewCron {
  const { name, timezone = TIMEZONE, missed = 'once', ...rest } = checkOptions(options, CRON_OPTIONS, 'cron');
  const checked = checkCronName(name ?? functionName(fn));
  checkTimezone(timezone);
  const fields = checkPattern(pattern, timezone);
  checkKnown(missed, MISSED, 'value of missed');
  const { job } = prepare(fn, args, rest);
  if (job.dependencies.length > 0) {
    throw new TypeError(
      `The jobs of a cron can't wait for others: the arguments hold ${job.dependencies.map(id => `job ${id}`).join(', ')}`,
    );
  }
  return { name: checked, definition: definitionOf(job, fields, timezone, missed) };
}

function definitionOf(job: NewJob, pattern: string, timezone: string, missed: Missed): CronDefinition {
  const { data, description, settings, ttl, atFront } = job;
  return { pattern, timezone, missed, data, description, settings, ttl, at_front: atFront };
}

export function checkCronName(name: unknown): string {
  if (typeof name === 'string' && CRON_NAME.test(name)) return name;
  throw new TypeError(`A cron's name must be 1 to 200 characters without spaces, not ${quote(name)}`);
}

/** A cron of a list that has been checked. */
export interface ListedCron {
  readonly queue: string;
  readonly cron: NewCron;
}

/** Checks a list; `queue` is that of entries which name none. @throws {TypeError | RangeError} that says which one is wrong. */
export function prepareCrons(entries: unknown, queue: string, prepare: Prepare): readonly ListedCron[] {
  if (!Array.isArray(entries)) throw new TypeError(`crons must be an array, not ${quote(entries)}`);
  const taken = new Set<string>();
  return entries.map((entry: unknown, i) => {
    try {
      const listed = prepareEntry(entry, queue, prepare);
      const key = `${listed.queue} ${listed.cron.name}`;
      if (taken.has(key)) {
        const what = `crons of queue ${listed.queue} are named ${quote(listed.cron.name)}`;
        throw new TypeError(`Two ${what}: give one of them a name of its own`);
      }
      taken.add(key);
      return listed;
    } catch (error) {
      if (error instanceof Error) error.message = `crons[${i}]: ${error.message}`;
      throw error;
    }
  });
}

function prepareEntry(entry: unknown, queue: string, prepare: Prepare): ListedCron {
  if (!isObject(entry)) throw new TypeError(`a cron must be { pattern, fn, … }, not ${quote(entry)}`);
  const given = checkOptions(entry as unknown as CronEntry, ENTRY_OPTIONS, 'a cron');
  const { pattern, fn, args, queue: own = queue, ...options } = given;
  return {
    queue: checkName(own, 'queue name'),
    cron: prepareCron(pattern, fn, args, options, prepare),
  };
}

/** The text that is kept in Redis: what Redis would replace in it is replaced before. */
export function toText(definition: CronDefinition): string {
  return JSON.stringify(definition, (_, value: unknown) =>
    typeof value === 'string' ? value.toWellFormed() : value,
  );
}

/** @throws {TypeError | RangeError} for a text that is none of ours. */
export function readDefinition(text: string): CronDefinition {
  const held: unknown = JSON.parse(text);
  if (!isObject(held)) throw new TypeError('it is no JSON object');
  const { pattern, timezone, missed, data, description, settings, ttl, at_front: atFront } = held;
  const zone = checkTimezone(timezone);
  if (typeof pattern !== 'string') throw new TypeError(`its pattern is ${quote(pattern)}`);
  if (missed !== 'once' && missed !== 'skip') throw new TypeError(`its missed is ${quote(missed)}`);
  if (typeof data !== 'string' || typeof description !== 'string')
    throw new TypeError('its data and its description are no texts');
  if (!isSettings(settings)) throw new TypeError('its settings are no list of names and values');
  if (typeof ttl !== 'number' || !Number.isInteger(ttl) || ttl < 0 || ttl > MOST_TTL)
    throw new TypeError(`its ttl is ${quote(ttl)}`);
  return { pattern, timezone: zone, missed, data, description, settings, ttl, at_front: atFront === true };
}

function isSettings(value: unknown): value is string[] {
  if (!Array.isArray(value) || value.length % 2 !== 0 || value.length > MOST_SETTINGS) return false;
  return value.every(each => typeof each === 'string');
}

/**
 * The id of the job of a tick, the same whoever makes it. It begins with the name and the time; the digest keeps apart what
 * has the same name on another queue, or differs in characters that an id can't have.
 */
export function tickId(queue: string, name: string, tick: number): string {
  const shown = name.replace(/[^A-Za-z0-9_-]/g, '-').slice(0, 64);
  const time = new Date(tick * 1000).toISOString().replace(/[-:]|\.\d+/g, '');
  const digest = createHash('sha256').update(`${queue}:${name}`).digest('hex').slice(0, 8);
  return `cron-${shown}-${time}-${digest}`;
}

/** A cron as its caller sees it; times are unix seconds. */
export function cronJob(
  queue: string,
  { name, definition }: NewCron,
  next: number | undefined,
  last: number | undefined,
): CronJob {
  const { pattern, timezone, missed, description } = definition;
  return {
    name,
    queue,
    pattern,
    timezone,
    missed,
    description,
    nextRunAt: dateOf(next),
    lastRunAt: dateOf(last),
    lastJobId: last === undefined ? undefined : tickId(queue, name, last),
  };
}

function dateOf(seconds: number | undefined): Date | undefined {
  return seconds === undefined || !Number.isFinite(seconds) ? undefined : new Date(seconds * 1000);
}
