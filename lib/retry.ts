/** Whether a job that failed runs again: what its function threw, and the names of errors that its fields hold. */
import { parseDuration, type Duration } from './duration.ts';
import { InvalidJobError, RqError } from './errors.ts';
import { checkCount, checkOptions, quote } from './options.ts';
import { textOf, type Fields } from './record.ts';

const RETRY = 'RQ_RETRY';
const NON_RETRYABLE = 'RQ_NON_RETRYABLE';
/** How often one job may ask, where it does not say. */
const MOST = 3;

/**
 * Thrown by a function, as Python's return RQ's `Retry`: the job runs again after `delay`, whatever its `retry` plan says,
 * which is left as it is. Once it has asked `max` times, the job fails. RQ counts in the same field, `number_of_retries`, so `max` holds for both languages
 * together.
 *
 * @example
 * if (response.status === 429) throw new Retry({ delay: '30s', max: 10 });
 */
export class Retry extends RqError {
  /** Whole seconds until the next run. */
  readonly delay: number;
  readonly max: number;

  /** `delay` is 0 by default, or at least 1 s; `max` is 3 by default. `cause` is kept with the run's error. */
  constructor(options?: { readonly delay?: Duration; readonly max?: number; readonly cause?: unknown }) {
    const { delay = 0, max = MOST, cause } = checkOptions(options, ['delay', 'max', 'cause'], 'Retry');
    const seconds = parseDuration(delay, 'delay');
    if (seconds > 0 && seconds < 1)
      throw new RangeError(`delay must be 0 or at least 1 second, not ${quote(delay)}`);
    checkCount(max, 'max', 1);
    const when = seconds === 0 ? 'at once' : `in ${Math.ceil(seconds)} s`;
    super(RETRY, `The job asked to run again ${when}`, cause === undefined ? undefined : { cause });
    this.delay = Math.ceil(seconds);
    this.max = max;
  }
}

/** Thrown by a function: the job fails at once, whatever retries are left. */
export class NonRetryableError extends RqError {
  constructor(message: string = '', options?: ErrorOptions) {
    super(NON_RETRYABLE, message, options);
  }
}

/** Whether a thrown value says that there is no use in trying again, whichever copy of this package its class is from. */
export function isNonRetryable(error: unknown): boolean {
  return error instanceof Error && read(error, 'code') === NON_RETRYABLE;
}

/** What a thrown value asks for, whichever copy of this package its class is from; `undefined` where it asks for nothing. */
export function retryAsked(error: unknown): { readonly delay: number; readonly max: number } | undefined {
  if (!(error instanceof Error) || read(error, 'code') !== RETRY) return undefined;
  const [delay, max] = [read(error, 'delay'), read(error, 'max')];
  return Number.isSafeInteger(delay) && Number.isSafeInteger(max)
    ? { delay: Number(delay), max: Number(max) }
    : undefined;
}

/** Whether a job may be run again at all once a run of it has begun: the field `redeliver`. */
export function isRedeliverable(fields: Fields): boolean {
  return textOf(fields, 'redeliver') !== '0';
}

/** What follows a failure, as `Ended.again` says it. */
export function whatFollows(error: unknown, fields: Fields): string {
  if (!isRedeliverable(fields) || isNonRetryable(error) || error instanceof InvalidJobError) return 'never';
  const asked = retryAsked(error);
  if (asked !== undefined) return `${asked.delay}/${asked.max}`;
  const [only, not] = [namesIn(fields, 'retry_for'), namesIn(fields, 'no_retry_for')];
  if (only === undefined && not === undefined) return 'plan';
  const names = namesOf(error);
  const hit = (listed: readonly string[]): boolean => listed.some(name => names.has(name));
  return (not !== undefined && hit(not)) || (only !== undefined && !hit(only)) ? 'never' : 'plan';
}

function namesIn(fields: Fields, field: string): readonly string[] | undefined {
  const text = textOf(fields, field);
  if (text === undefined) return undefined;
  try {
    const names: unknown = JSON.parse(text);
    return Array.isArray(names) ? names.map(String) : undefined;
  } catch {
    // somebody else's field of that name: the plan decides
    return undefined;
  }
}

/** What an error is known by: its name, its `code`, its class and those that one extends. */
function namesOf(error: unknown): ReadonlySet<string> {
  const names = new Set<string>();
  if (typeof error !== 'object' || error === null) return names;
  for (const each of [read(error, 'name'), read(error, 'code')])
    if (typeof each === 'string') names.add(each);
  for (let made: unknown = error; typeof made === 'object' && made !== null;) {
    made = Object.getPrototypeOf(made);
    const name = read(read(made, 'constructor'), 'name');
    if (typeof name === 'string' && name !== 'Object') names.add(name);
  }
  return names;
}

/** A property of whatever was thrown, which may be anything: reading it may throw as well. */
function read(of: unknown, name: string): unknown {
  try {
    return (of as Readonly<Record<string, unknown>>)[name];
  } catch {
    return undefined;
  }
}
