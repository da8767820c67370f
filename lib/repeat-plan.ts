/** How often a job that finished runs again, and how long it waits before: RQ's fields, which both sides carry out. */
import { storedWait, type Duration } from './duration.ts';
import { checkCount, checkOptions, quote } from './options.ts';

export interface RepeatOptions {
  /** Runs after the first: 1 or more; with a list of intervals 1000 at most. */
  readonly times: number;
  /**
   * The wait before each, from the end of the run before; a list gives one for each, its last one for all that follow. 0, at
   * once, by default. Seconds, or a number with a unit; whole seconds are stored, as in RQ, so 0 or 1 s and more.
   */
  readonly interval?: Duration | readonly Duration[];
}

/** A plan as RQ stores it. */
export interface RepeatPlan {
  readonly repeatsLeft: number;
  readonly intervals: readonly number[];
}

/** Repeats that a list of waits may be given for: all of them are written down. */
const MOST = 1000;

/** @throws {TypeError | RangeError} that quotes what came. */
export function repeatPlan(given: unknown): RepeatPlan {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new TypeError(`repeat must be { times, interval }, not ${quote(given)}`);
  const { times, interval = 0 } = checkOptions(given as RepeatOptions, ['times', 'interval'], 'repeat');
  const repeatsLeft = checkCount(times, 'repeat.times', 1);
  if (!Array.isArray(interval)) return { repeatsLeft, intervals: [storedWait(interval, 'repeat.interval')] };
  const list = (interval as readonly unknown[]).map((each, i) => storedWait(each, `repeat.interval[${i}]`));
  const last = list.at(-1);
  if (last === undefined)
    throw new RangeError('repeat.interval must be a duration, or a list of at least one');
  if (list.length > repeatsLeft) {
    throw new RangeError(`repeat.interval has ${list.length} waits for ${repeatsLeft} repeats`);
  }
  if (repeatsLeft > MOST) {
    throw new RangeError(`repeat.times must be ${MOST} or less with a list of intervals, not ${repeatsLeft}`);
  }
  // RQ counts from the end: the first wait is the list's `times`-th, or its last one where it is shorter
  const each = [...list, ...Array.from({ length: repeatsLeft - list.length }, () => last)];
  return { repeatsLeft, intervals: each.toReversed() };
}
