/** `delay`: how a function that knows its queue is called through it. */
import type { Args, ResultOf } from './arguments.ts';
import type { TaskFunction } from './functions.ts';
import type { Job } from './job.ts';

/** A function that knows how it is queued. */
export type Task<F extends TaskFunction> = F & {
  /** Enqueues a call of the function. */
  readonly delay: (...args: Args<Parameters<F>>) => Promise<Job<ResultOf<F>>>;
};

/** Gives a function its `delay`, through whatever enqueues it. */
export function withDelay<F extends TaskFunction>(
  fn: F,
  enqueue: (fn: TaskFunction, args: readonly unknown[]) => Promise<Job>,
): Task<F> {
  const delay = (...args: readonly unknown[]): Promise<Job> => enqueue(fn, args);
  return Object.assign(fn, { delay }) as Task<F>;
}
