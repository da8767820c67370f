/** Cron patterns and time zones: which there are, and when one comes next. */
import { Cron } from 'croner';
import { escapeControls, messageOf, quote } from './options.ts';

/** Characters of the longest pattern that is read. */
const LONGEST = 256;
const ACCEPTED =
  "minute, hour, day of month, month and day of week ('0 9 * * 1-5'), seconds before them where there are six fields, " +
  'or @hourly, @daily, @weekly, @monthly, @yearly';

/** The pattern with one space between its fields. @throws {TypeError | RangeError} that quotes what came. */
export function checkPattern(pattern: unknown, timezone: string): string {
  if (typeof pattern !== 'string' || pattern.length > LONGEST)
    throw new TypeError(`A cron pattern must be ${ACCEPTED}; not ${quote(pattern)}`);
  const fields = pattern.trim().split(/\s+/).join(' ');
  let next: number | undefined;
  try {
    // what has a colon is a date to croner, and no pattern
    if (fields.includes(':')) throw new TypeError('it is a time');
    next = nextTick(fields, timezone, Date.now() / 1000);
  } catch (error) {
    // it repeats what came
    const why = escapeControls(messageOf(error).replace(/^CronPattern: /, ''));
    throw new TypeError(`A cron pattern must be ${ACCEPTED}; not ${quote(pattern)}: ${why}`, {
      cause: error,
    });
  }
  if (next === undefined)
    throw new RangeError(
      `The cron pattern ${quote(pattern)} never comes: there is no such day, or it is past`,
    );
  return fields;
}

/** @throws {TypeError | RangeError} that quotes what came. */
export function checkTimezone(timezone: unknown): string {
  const accepted = "timezone must be the name of one, such as 'Europe/Berlin' or 'UTC'";
  if (typeof timezone !== 'string') throw new TypeError(`${accepted}, not ${quote(timezone)}`);
  try {
    // an offset such as +02:00 is none to croner, and to some versions of Node
    if (!/^[A-Za-z]/.test(timezone)) throw new RangeError('no name');
    Intl.DateTimeFormat('en', { timeZone: timezone });
  } catch (error) {
    throw new RangeError(`${accepted}, not ${quote(timezone)}`, { cause: error });
  }
  return timezone;
}

/**
 * Unix seconds of the first time after a moment; `undefined` where there is none. Where a pattern has a single time of day,
 * one that the clocks leave out comes when that hour is over, and one that they have twice comes once.
 */
export function nextTick(pattern: string, timezone: string, after: number): number | undefined {
  const next = new Cron(pattern, { timezone, paused: true }).nextRun(new Date(after * 1000));
  return next === null ? undefined : Math.floor(next.getTime() / 1000);
}
