/** Rates: how many jobs of a queue may begin in a time, over all workers. */
import { parseDuration } from './duration.ts';
import { quote } from './options.ts';

/** A number of jobs, a slash, and a time: `'10/m'`, `'60/s'`, `'1000/h'`, `'5/30s'`. */
export type Rate = string;

const FORM = /^(\d{1,9})\/(\d*(?:ms|s|m|h|d))$/;
/** Runs that one rate may count: each is remembered for the rate's time. */
const MOST = 100_000;
const ACCEPTED = `a number of 1 to ${MOST}, a slash, and a time of up to a day: '10/m', '60/s', '5/30s'`;

/** A rate as Redis holds it: `<number>/<milliseconds>`. @throws {TypeError | RangeError} that quotes what came. */
export function storedRate(rate: unknown, what: string = 'rate'): string {
  const [, count = '', time = ''] = FORM.exec(typeof rate === 'string' ? rate : '') ?? [];
  if (count === '') throw new TypeError(`${what} must be ${ACCEPTED}, not ${quote(rate)}`);
  const ms = parseDuration(/^\d/.test(time) ? time : `1${time}`, what) * 1000;
  if (Number(count) < 1 || Number(count) > MOST || ms < 1 || ms > 86_400_000)
    throw new RangeError(`${what} must be ${ACCEPTED}, not ${quote(rate)}`);
  return `${Number(count)}/${Math.round(ms)}`;
}

/** The same in the form that is handed in: whole units where it can be. */
export function shownRate(stored: string): Rate {
  const [count = '', text = ''] = stored.split('/');
  const ms = Number(text);
  const [unit, size] = (
    [
      ['d', 86_400_000],
      ['h', 3_600_000],
      ['m', 60_000],
      ['s', 1000],
    ] as const
  ).find(([, each]) => ms % each === 0) ?? ['ms', 1];
  return `${count}/${ms === size ? '' : ms / size}${unit}`;
}
