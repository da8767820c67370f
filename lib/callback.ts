/** Functions that are called once a job has ended: the options `onSuccess`, `onFailure` and `onStopped`. */
import type { CurrentJob } from './current-job.ts';
import { CALLBACK_TIMEOUT } from './defaults.ts';
import { storedDuration, type Duration } from './duration.ts';
import { checkOptions, quote } from './options.ts';

/** A registered function or its name; or with how long it may take: 60 s by default, as in RQ. */
export type Callback<F> = F | string | { readonly fn: F | string; readonly timeout?: Duration };

/** As methods, so that what takes a more special result or error than is known here fits as well. */
interface Callbacks<R> {
  success(job: CurrentJob, result: R): unknown;
  failure(job: CurrentJob, error: unknown): unknown;
  stopped(job: CurrentJob): unknown;
}

/**
 * The worker that ran the job calls them, at most once, after Redis has accepted how the job ended. What goes wrong with
 * them is logged, and changes nothing.
 */
export interface CallbackOptions<R = unknown> {
  /** Called with the job and its result. */
  readonly onSuccess?: Callback<Callbacks<R>['success']>;
  /** Called with the job and what was thrown, once it failed for good: not where it is retried. */
  readonly onFailure?: Callback<Callbacks<R>['failure']>;
  /** Called with the job, once it was stopped (`job.stop()`). */
  readonly onStopped?: Callback<Callbacks<R>['stopped']>;
}

/** The options, by the names they have in the job's field `callbacks`. */
export const CALLBACKS = { success: 'onSuccess', failure: 'onFailure', stopped: 'onStopped' } as const;
export type CallbackOption = (typeof CALLBACKS)[keyof typeof CALLBACKS];

type AnyFunction = (...args: never[]) => unknown;

/** What the job's field `callbacks` holds, and those functions that were given as such. */
export interface CallbackPlan {
  readonly field: string;
  readonly functions: ReadonlyMap<string, AnyFunction>;
}

/**
 * `nameOf` gives the name that a function, or a name, is registered under.
 * @throws {TypeError | RangeError} that quotes what came.
 */
export function callbackPlan(
  options: CallbackOptions,
  nameOf: (fn: AnyFunction | string) => string,
): CallbackPlan | undefined {
  const plan: Record<string, { readonly name: string; readonly timeout: number }> = {};
  const functions = new Map<string, AnyFunction>();
  for (const [kind, option] of Object.entries(CALLBACKS)) {
    const given: unknown = options[option];
    if (given === undefined) continue;
    const bare = typeof given === 'string' || typeof given === 'function';
    if (!bare && (typeof given !== 'object' || given === null || Array.isArray(given)))
      throw new TypeError(`${option} must be a function, its name, or { fn, timeout }, not ${quote(given)}`);
    const { fn, timeout = CALLBACK_TIMEOUT } = bare
      ? { fn: given as AnyFunction | string }
      : checkOptions(given as { fn: AnyFunction | string; timeout?: Duration }, ['fn', 'timeout'], option);
    const seconds = storedDuration(timeout, `${option}.timeout`, false);
    const name = nameOf(fn);
    plan[kind] = { name, timeout: seconds };
    if (typeof fn === 'function') functions.set(name, fn);
  }
  return Object.keys(plan).length === 0 ? undefined : { field: JSON.stringify(plan), functions };
}
