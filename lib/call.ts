/** A call of a function, made into a job with what `task` noted for the function. */
import type { EnqueueOptions, QueueDefaults } from './enqueue-options.ts';
import { functionName, taskOptions, type TaskFunction } from './functions.ts';
import { check, type Make } from './prepare.ts';

/** As `check`. An option that is named and undefined leaves the task's own in force. */
export function checkedCall(
  fn: TaskFunction | string,
  args: readonly unknown[],
  options: EnqueueOptions | undefined,
  defaults: QueueDefaults,
  home: string,
  nextId?: () => string,
): Make {
  const name = functionName(fn);
  const given = typeof fn === 'function' ? taskOptions(fn) : undefined;
  if (given === undefined) return check(name, args, options, defaults, home, nextId);
  const { name: _, queue: __, ...own } = given;
  const named = Object.entries(options ?? {}).filter(([, value]) => value !== undefined);
  return check(name, args, { ...own, ...Object.fromEntries(named) }, defaults, home, nextId);
}
