/** Checks of what a caller hands in: each says what came and what is accepted. */
import { closestMatch } from 'leven';

const LONGEST_QUOTE = 80;

/** A value as it looks in a message: bounded, with control characters escaped. */
export function quote(value: unknown): string {
  let text: string;
  if (typeof value === 'string') text = JSON.stringify(value);
  else if (typeof value === 'function') text = `function ${value.name === '' ? '(unnamed)' : value.name}`;
  else if (typeof value === 'object' && value !== null) {
    const name = classNameOf(value);
    text = Array.isArray(value) ? 'an array' : name !== '' ? `an object (${name})` : 'an object';
  } else text = typeof value === 'bigint' ? `${value}n` : String(value);
  text = escapeControls(text);
  return text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text;
}

function classNameOf(value: object): string {
  try {
    const name: unknown = value.constructor?.name;
    return typeof name === 'string' ? name : '';
  } catch {
    return '';
  }
}

/** What steers a terminal, breaks a line, turns the direction of a text or is not seen; but for the joiners that scripts need. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029]|(?![\u200c\u200d])\p{Cf}/gu;

/** A text that somebody else wrote, as it can be printed: with every control character and the like written as an escape. */
export function escapeControls(text: string): string {
  return text.replace(UNPRINTABLE, c => {
    const hex = (c.codePointAt(0) ?? 0).toString(16);
    if (hex.length <= 2) return `\\x${hex.padStart(2, '0')}`;
    return hex.length <= 4 ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`;
  });
}

/** The same for a JSON text, in JSON's escapes: it leaves many of them as they are. */
export function escapeJson(json: string): string {
  return json.replace(UNPRINTABLE, chars => {
    // between values, as it can't be within one
    if (chars === '\n') return chars;
    const units = Array.from({ length: chars.length }, (_, i) => chars.charCodeAt(i));
    return units.map(unit => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
  });
}

/** What an error says, whatever was thrown. */
export function messageOf(error: unknown): string {
  try {
    if (error instanceof Error) return error.message === '' ? error.name : error.message;
    return String(error);
  } catch {
    return 'something without a text form was thrown';
  }
}

/** @throws {TypeError} where a name is not one of `known`, with the nearest one that is. */
export function checkKnown(name: unknown, known: readonly string[], what: string): void {
  if (typeof name === 'string' && known.includes(name)) return;
  // what is no text has no nearest one
  const given = typeof name === 'string' ? name : '';
  const near = closestMatch(given, known, { maxDistance: Math.max(2, Math.floor(given.length / 3)) });
  const accepted = `accepted are ${known.join(', ')}`;
  const hint = near === undefined ? accepted : `did you mean ${quote(near)}? (${accepted})`;
  throw new TypeError(`Unknown ${what} ${quote(name)}: ${hint}`);
}

/** An options object whose every name is known; `undefined` stands for an empty one. */
export function checkOptions<T extends object>(
  options: T | undefined,
  known: readonly string[],
  of: string,
): T {
  if (options === undefined) return {} as T;
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`The options of ${of} must be an object, not ${quote(options)}`);
  }
  for (const name of Object.keys(options)) checkKnown(name, known, `option of ${of}`);
  return options;
}

const QUEUE_NAME = /^[A-Za-z0-9_.-]{1,128}$/;
const JOB_ID = /^[A-Za-z0-9_-]{1,128}$/;

/** A queue's or a worker's name. */
export function checkName(name: unknown, what: string): string {
  if (isQueueName(name)) return name;
  throw new TypeError(`A ${what} must be 1 to 128 of A-Z a-z 0-9 _ . - and not ${quote(name)}`);
}

export function isQueueName(name: unknown): name is string {
  return typeof name === 'string' && QUEUE_NAME.test(name);
}

/** A job's id. RQ takes no dot in it. */
export function checkJobId(id: unknown): string {
  if (isJobId(id)) return id;
  throw new TypeError(`A job id must be 1 to 128 of A-Z a-z 0-9 _ - and not ${quote(id)}`);
}

export function isJobId(id: unknown): id is string {
  return typeof id === 'string' && JOB_ID.test(id);
}

/** A whole number of `least` or more. */
export function checkCount(value: unknown, what: string, least: number): number {
  if (typeof value !== 'number') throw new TypeError(`${what} must be a whole number, not ${quote(value)}`);
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(`${what} must be a whole number of ${least} or more, not ${quote(value)}`);
  }
  return value;
}

/** `true` or `false`, and nothing that merely looks like it. */
export function checkFlag(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw new TypeError(`${what} must be true or false, not ${quote(value)}`);
  return value;
}
