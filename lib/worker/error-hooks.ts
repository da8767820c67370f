/** Hooks that are told of each run that failed: for services that collect errors. */
import { messageOf, quote } from '../options.ts';
import { isThenable } from '../run.ts';
import type { JobFailedEvent } from './events.ts';

/** Is called with what was thrown, as it was thrown, and with the job. What it gives back is waited for when the worker stops. */
export type ErrorHook = (error: unknown, job: JobFailedEvent) => unknown;

/** Milliseconds after which a hook is said to be slow. */
const SLOW_MS = 5_000;

/** @throws {TypeError} where one is no function. */
export function checkErrorHooks(given: ErrorHook | readonly ErrorHook[] | undefined): readonly ErrorHook[] {
  const hooks: readonly unknown[] = given === undefined ? [] : Array.isArray(given) ? given : [given];
  for (const hook of hooks) {
    if (typeof hook !== 'function')
      throw new TypeError(`onError must be a function (error, job), or a list of them, not ${quote(hook)}`);
  }
  return hooks as readonly ErrorHook[];
}

/** Whatever a hook does, the job has ended as it did, the other hooks are called, and the worker goes on. */
export class ErrorHooks {
  readonly #hooks: readonly ErrorHook[];
  readonly #failed: (error: Error) => void;
  readonly #warn: (text: string) => void;
  readonly #pending: Set<Promise<void>> = new Set();

  constructor(hooks: readonly ErrorHook[], failed: (error: Error) => void, warn: (text: string) => void) {
    this.#hooks = hooks;
    this.#failed = failed;
    this.#warn = warn;
  }

  tell(job: JobFailedEvent): void {
    for (const hook of this.#hooks) {
      const began = performance.now();
      try {
        const given = hook(job.error, job);
        if (isThenable(given)) this.#await(given, job.jobId);
      } catch (error) {
        this.#threw(error, job.jobId);
      }
      if (performance.now() - began >= SLOW_MS) this.#slow(job.jobId);
    }
  }

  /** Resolves when what the hooks began is over. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  #await(given: PromiseLike<unknown>, jobId: string): void {
    const slow = setTimeout(() => this.#slow(jobId), SLOW_MS).unref();
    const over = Promise.resolve(given)
      .then(
        () => {},
        (error: unknown) => this.#threw(error, jobId),
      )
      .finally(() => {
        clearTimeout(slow);
        this.#pending.delete(over);
      });
    this.#pending.add(over);
  }

  #threw(cause: unknown, jobId: string): void {
    const error = new Error(`A hook of onError failed with job ${jobId}: ${messageOf(cause)}`, { cause });
    // where it went wrong is in the hook
    if (cause instanceof Error && typeof cause.stack === 'string') error.stack = cause.stack;
    this.#failed(error);
  }

  #slow(jobId: string): void {
    this.#warn(`A hook of onError has taken more than ${SLOW_MS / 1000} s with job ${jobId}`);
  }
}
