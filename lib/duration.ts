/** Durations: seconds, or a string with a unit. */
import { quote } from './options.ts';

/** Seconds as a number, or a number with a unit: `30`, `'500ms'`, `'30s'`, `'5m'`, `'1h'`, `'2d'`. `-1` means never. */
export type Duration = number | string;

const UNITS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 };
const FORM = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/;
const ACCEPTED = "seconds (30), or a number with ms, s, m, h or d ('500ms', '30s', '5m', '1h', '2d')";
/** Ten years: what is longer is a mistake, and Redis and Python both stop somewhere beyond. */
const MOST = 10 * 365 * 86400;

/** Seconds, as written. `-1`, as a number or a string, is handed through where `never` says that it has a meaning. */
export function parseDuration(value: unknown, what: string, never = false): number {
  const accepted = never ? `${ACCEPTED}, or -1 for never` : ACCEPTED;
  let seconds: number;
  if (typeof value === 'number') seconds = value;
  else if (typeof value === 'string') {
    const [, amount, unit] = FORM.exec(value) ?? [];
    // to 15 digits: 1.1 h are 3960 s, and not the last bit of a product more
    const product = Number(amount ?? NaN) * (UNITS[unit ?? 's'] ?? NaN);
    seconds = value === '-1' ? -1 : Number(product.toPrecision(15));
  } else throw new TypeError(`${what} must be ${accepted}, not ${quote(value)}`);
  if (never && seconds === -1) return -1;
  if (!(seconds >= 0 && seconds <= MOST)) {
    throw new RangeError(`${what} must be ${accepted}, of at most 10 years, not ${quote(value)}`);
  }
  return seconds;
}

/** Whole seconds of 1 or more: what RQ can store; or -1 where `never` says so. A part of a second counts as a whole one. */
export function storedDuration(value: unknown, what: string, never = true): number {
  const seconds = parseDuration(value, what, never);
  if (seconds !== -1 && seconds < 1) {
    const least = never ? 'at least 1 second, or -1 for never' : 'at least 1 second';
    throw new RangeError(`${what} must be ${least}, not ${quote(value)}`);
  }
  return Math.ceil(seconds);
}

/** The same, with 0 for "do not keep". */
export function storedTtl(value: unknown, what: string): number {
  return parseDuration(value, what, true) === 0 ? 0 : storedDuration(value, what);
}

/** Whole seconds between two runs, 0 for none: RQ's scheduler knows no shorter ones. */
export function storedWait(value: unknown, what: string): number {
  const seconds = parseDuration(value, what);
  if (seconds > 0 && seconds < 1)
    throw new RangeError(`${what} must be 0 or at least 1 second, not ${quote(value)}`);
  return Math.ceil(seconds);
}

/** Milliseconds for a timer, which holds 24.8 days at most. */
export function timerMs(seconds: number): number {
  return Math.min(seconds * 1000, 0x7fffffff);
}
