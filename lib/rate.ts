/** Rates: how many jobs of a queue may begin in a time, over all workers. */
import { quote } from './options.ts';

/** A number of jobs, a slash, and a time: `'10/m'`, `'60/s'`, `'1000/h'`, `'5/30s'`. */
export type Rate = string;

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;
const FORM = /^(\d{1,9})\/(\d{0,9})(ms|s|m|h|d)$/;
/** Runs that one rate may count: each is remembered for the rate's time. */
const MOST = 100_000;
const LONGEST_MS = 86_400_000;
const ACCEPTED = `a number of 1 to ${MOST}, a slash, and a time of up to a day: '10/m', '60/s', '5/30s'`;

/** A rate as Redis holds it: `<number>/<milliseconds>`. @throws {TypeError | RangeError} that quotes what came. */
export function storedRate(rate: unknown, what: string = 'rate'): string {
  const [, count = '', times = '', unit = ''] = FORM.exec(typeof rate === 'string' ? rate : '') ?? [];
  if (count === '') throw new TypeError(`${what} must be ${ACCEPTED}, not ${quote(rate)}`);
  const ms = (times === '' ? 1 : Number(times)) * (UNITS.find(([name]) => name === unit)?.[1] ?? NaN);
  if (Number(count) < 1 || Number(count) > MOST || !(ms >= 1 && ms <= LONGEST_MS))
    throw new RangeError(`${what} must be ${ACCEPTED}, not ${quote(rate)}`);
  return `${Number(count)}/${ms}`;
}

/** The same in the form that is handed in, in the largest unit that fits; `undefined` for what is no rate. */
export function shownRate(stored: string): Rate | undefined {
  const [, count = '', text = ''] = /^(\d+)\/(\d+)$/.exec(stored) ?? [];
  const ms = Number(text);
  const [unit, size] = UNITS.find(([, each]) => ms >= each && ms % each === 0) ?? [];
  // what somebody else wrote limits nothing
  if (unit === undefined || size === undefined) return undefined;
  return `${count}/${ms === size ? '' : ms / size}${unit}`;
}
