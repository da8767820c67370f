/** One job for one and the same call: the option `unique`, and what stands for a call. */
import { createHash } from 'node:crypto';
import { storedDuration, type Duration } from './duration.ts';
import { isObject } from './record.ts';
import { checkOptions, quote } from './options.ts';

/** One job for each function and its arguments, on one queue. */
export interface UniqueOptions {
  readonly on: 'args';
  /** Counted from the enqueue, whatever becomes of the job. By default, until it has ended. At least 1 second. */
  readonly for?: Duration;
  /**
   * What a call does that comes second: it throws `DuplicateJobError`; it returns the job that is there; or it replaces
   * it: what waits is canceled, and the new one takes its place; what runs goes on, and the new one is queued. `throw` by default.
   */
  readonly else?: 'throw' | 'return' | 'replace';
}

const ELSE: ReadonlySet<unknown> = new Set(['throw', 'return', 'replace']);
const ACCEPTED =
  "true (with a jobId), false, or { on: 'args', for?: a duration, else?: 'throw' | 'return' | 'replace' }";

/**
 * The option as the enqueue script takes it: '' for none, `id`, or `<else>:<seconds>` where the call counts, of which 0
 * seconds are those until the job has ended.
 * @throws {TypeError | RangeError} that quotes what came.
 */
export function uniquePlan(given: unknown, jobId: string | undefined): string {
  if (given === undefined || given === false) return '';
  if (given === true) {
    if (jobId !== undefined) return 'id';
    throw new TypeError(
      "unique: true needs a jobId; for one job per function and arguments, unique is { on: 'args' }",
    );
  }
  if (!isObject(given)) throw new TypeError(`unique must be ${ACCEPTED}, not ${quote(given)}`);
  const options = checkOptions(given as unknown as UniqueOptions, ['on', 'for', 'else'], 'unique');
  if (options.on !== 'args') throw new TypeError(`unique.on must be 'args', not ${quote(options.on)}`);
  const { else: otherwise = 'throw', for: lasting } = options;
  if (!ELSE.has(otherwise))
    throw new TypeError(`unique.else must be 'throw', 'return' or 'replace', not ${quote(otherwise)}`);
  if (lasting === undefined) return `${otherwise}:0`;
  return `${otherwise}:${storedDuration(lasting, 'unique.for', false)}`;
}

/** Whether a plan is about the call, and not about its id. */
export function isOfCall(plan: string): boolean {
  return plan.includes(':');
}

/**
 * What stands for a call: a hash of its `data`, in which the order of an object's names makes no difference, and of the
 * ids of the jobs among the arguments.
 */
export function callHash(data: string, jobs: Iterable<string>): string {
  const text = [JSON.stringify(JSON.parse(data), inOrder), ...jobs].join('\n');
  return createHash('sha256').update(text).digest('base64url');
}

function inOrder(_: string, value: unknown): unknown {
  if (!isObject(value)) return value;
  // without a prototype, so that no name has a meaning of its own
  const sorted = Object.create(null) as Record<string, unknown>;
  for (const name of Object.keys(value).toSorted()) sorted[name] = value[name];
  return sorted;
}
