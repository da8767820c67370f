/** How often a job that failed runs again, and how long it waits before: RQ's fields, which both sides carry out. */
import { storedWait, type Duration } from './duration.ts';
import { checkCount, checkFlag, checkKnown, checkOptions, quote } from './options.ts';

/** The same wait before each retry, or one for each; or waits that grow. Durations are seconds, or strings with a unit. */
export type RetryOptions =
  | {
      /** Runs after the first that failed: 1 or more. */
      readonly max: number;
      /** The wait before each; a list gives one for each retry. At once by default. Whole seconds, as in RQ. */
      readonly interval?: Duration | readonly Duration[];
    }
  | {
      readonly max: number;
      /** Each wait is twice the one before. */
      readonly backoff: 'exponential';
      /** The first wait; 10 s by default. */
      readonly delay?: Duration;
      /** The longest; 10 min by default. */
      readonly maxDelay?: Duration;
      /** Whether each wait is drawn between its half and its whole, so that jobs do not come back all at once. Default: true. */
      readonly jitter?: boolean;
    };

/** A plan as RQ stores it. */
export interface RetryPlan {
  readonly retriesLeft: number;
  /** One wait for each retry, in seconds. */
  readonly intervals: readonly number[];
}

/** Retries that one plan may hold: its waits are all written down. */
const MOST = 1000;
const INTERVAL = ['max', 'interval'];
const BACKOFF = ['max', 'backoff', 'delay', 'maxDelay', 'jitter'];

/** @throws {TypeError | RangeError} that quotes what came. */
export function retryPlan(given: unknown): RetryPlan {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(
      `retry must be { max, interval } or { max, backoff, delay, maxDelay, jitter }, not ${quote(given)}`,
    );
  }
  const options = checkOptions(
    given as Readonly<Record<string, unknown>>,
    'backoff' in given ? BACKOFF : INTERVAL,
    'retry',
  );
  const max = checkCount(options['max'], 'retry.max', 1);
  if (max > MOST) throw new RangeError(`retry.max must be ${MOST} or less, not ${quote(max)}`);
  return {
    retriesLeft: max,
    intervals: 'backoff' in options ? growing(max, options) : fixed(max, options['interval']),
  };
}

function fixed(max: number, interval: unknown): number[] {
  const list = Array.isArray(interval) ? (interval as unknown[]) : [interval ?? 0];
  if (list.length === 0) throw new RangeError('retry.interval must be a duration, or a list of at least one');
  if (list.length > max) {
    throw new RangeError(
      `retry.interval has ${list.length} waits for ${max} retries: give one for each, or fewer`,
    );
  }
  const waits = list.map((item, i) =>
    storedWait(item, Array.isArray(interval) ? `retry.interval[${i}]` : 'retry.interval'),
  );
  // RQ counts a short list from its end: written out, each retry has the wait that it was given, and the last one again
  return Array.from({ length: max }, (_, i) => waits[Math.min(i, waits.length - 1)] ?? 0);
}

function growing(max: number, options: Readonly<Record<string, unknown>>): number[] {
  checkKnown(String(options['backoff']), ['exponential'], 'retry.backoff');
  const first = storedWait(options['delay'] ?? 10, 'retry.delay');
  const most = storedWait(options['maxDelay'] ?? 600, 'retry.maxDelay');
  const jitter = checkFlag(options['jitter'] ?? true, 'retry.jitter');
  if (most < first)
    throw new RangeError(`retry.maxDelay must not be less than retry.delay, which is ${first} s`);
  return Array.from({ length: max }, (_, i) => {
    const whole = Math.min(most, first * 2 ** Math.min(i, 40));
    return Math.max(first > 0 ? 1 : 0, Math.round(jitter ? whole * (0.5 + Math.random() / 2) : whole));
  });
}
