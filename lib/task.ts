/** Functions that know how they are queued, wherever Redis is. */
import type { ResultOf } from './arguments.ts';
import { QUEUE } from './defaults.ts';
import { withDelay, type Task } from './delay.ts';
import { setTaskOptions, type TaskFunction, type TaskOptions } from './functions.ts';
import { Queue } from './queue.ts';

const defaultQueues: Map<string, Queue> = new Map();

/**
 * Gives a function its defaults, so that one place says how it is queued, and a `delay` that puts calls of it on the queue
 * `options.queue` of `RQ_REDIS_URL`, over one connection for each queue. The function itself is given back.
 */
export function task<F extends TaskFunction>(fn: F, options: TaskOptions<ResultOf<F>> = {}): Task<F> {
  setTaskOptions(fn, options);
  const name = options.queue ?? QUEUE;
  return withDelay(fn, (called, args) => {
    let queue = defaultQueues.get(name);
    if (queue === undefined) defaultQueues.set(name, (queue = new Queue(name)));
    return queue.enqueue(called, args);
  });
}
