/** When a job is due: a date, or a time from now by Redis' clock. */
import { parseDuration, type Duration } from './duration.ts';
import { quote } from './options.ts';

/** Seconds, or a number with a unit: `'500ms'`, `'30s'`, `'2d'`. */
export type DueIn = Duration;

/** Unix seconds, as the enqueue script takes them. @throws {TypeError | RangeError} for what is no date, or an invalid one. */
export function dueAt(date: unknown): string {
  if (!(date instanceof Date)) throw new TypeError(`A job is scheduled for a Date, not ${quote(date)}`);
  const ms = date.getTime();
  if (Number.isNaN(ms)) throw new RangeError('A job is scheduled for a Date, not an invalid one');
  return (ms / 1000).toFixed(3);
}

/** Seconds from now, as the enqueue script takes them. @throws {TypeError | RangeError} that quotes what came. */
export function dueIn(duration: unknown): string {
  return `+${parseDuration(duration, 'The time to wait')}`;
}
