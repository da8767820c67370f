/** A call of a function, made into a job with what `task` noted for the function. */
import type { EnqueueOptions, QueueDefaults } from './enqueue-options.ts';
import { functionName, taskOptions, type TaskFunction } from './functions.ts';
import { prepare, type Prepared } from './prepare.ts';

/** As `prepare`. An option that is named and undefined leaves the task's own in force. */
export function prepareCall(
  fn: TaskFunction | string,
  args: readonly unknown[],
  options: EnqueueOptions | undefined,
  defaults: QueueDefaults,
  home: string,
): Prepared {
  const name = functionName(fn);
  const given = typeof fn === 'function' ? taskOptions(fn) : undefined;
  if (given === undefined) return prepare(name, args, options, defaults, home);
  const { name: _, queue: __, ...own } = given;
  const named = Object.entries(options ?? {}).filter(([, value]) => value !== undefined);
  return prepare(name, args, { ...own, ...Object.fromEntries(named) }, defaults, home);
}
