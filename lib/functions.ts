/** Names for functions: what a job calls is registered under a name, never imported by one. */
import { callbackPlan } from './callback.ts';
import { ENQUEUE_OPTIONS, checkEnqueueOptions, objectJson, type EnqueueOptions } from './enqueue-options.ts';
import { checkName, checkOptions, quote } from './options.ts';

/** A function that jobs can call, whatever it takes and gives. */
// oxlint-disable-next-line typescript/no-explicit-any -- parameters are contravariant: only any accepts every function
export type TaskFunction = (...args: any[]) => unknown;

/** Functions by the names that jobs call them by. */
export type FunctionTable = ReadonlyMap<string, TaskFunction>;

/** How a function is queued unless a call says otherwise. */
export interface TaskOptions<R = unknown> extends Omit<EnqueueOptions<R>, 'jobId' | 'kwargs' | 'dependsOn'> {
  /** The name that jobs call the function by: stable where a bundler renames. The function's own by default. */
  readonly name?: string;
  /** Name of the queue that `delay` uses; `default` by default. */
  readonly queue?: string;
}

/** Shared by all copies of this package in the process, as in `run.ts`. */
const SHARED = Symbol.for('rq-node.tasks');
const shared = globalThis as typeof globalThis & { [SHARED]?: WeakMap<TaskFunction, TaskOptions> };
const TASKS: WeakMap<TaskFunction, TaskOptions> = (shared[SHARED] ??= new WeakMap());
const TASK_OPTIONS = [
  'name',
  'queue',
  ...ENQUEUE_OPTIONS.filter(name => !['jobId', 'kwargs', 'dependsOn'].includes(name)),
];
const FUNCTION_NAME = /^[^\s\u0000-\u001f\u007f-\u009f]{1,256}$/;

/** A function's defaults, as `task` noted them. */
export function taskOptions(fn: TaskFunction): TaskOptions | undefined {
  return TASKS.get(fn);
}

/** Notes a function's defaults. @throws {TypeError | RangeError} for what could not be queued with. */
export function setTaskOptions(fn: TaskFunction, options: TaskOptions): void {
  if (typeof fn !== 'function') throw new TypeError(`task needs a function, not ${quote(fn)}`);
  const { name, queue, ...rest } = checkOptions(options, TASK_OPTIONS, 'task');
  if (name !== undefined) checkFunctionName(name);
  if (queue !== undefined) checkName(queue, 'queue name');
  checkEnqueueOptions(rest);
  callbackPlan(rest, functionName);
  if (rest.meta !== undefined) objectJson(rest.meta, 'meta');
  TASKS.set(fn, options);
}

/** The name that jobs call a function by: what `task` gave it, else its own. */
export function functionName(fn: TaskFunction | string): string {
  if (typeof fn !== 'string' && typeof fn !== 'function') {
    throw new TypeError(`A function, or the name of one, is needed, not ${quote(fn)}`);
  }
  const name = typeof fn === 'string' ? fn : (taskOptions(fn)?.name ?? fn.name);
  if (name === '' || (name === 'default' && typeof fn === 'function')) {
    throw new TypeError(
      `${quote(fn)} has no name of its own that a worker could know: give it one with task(fn, { name: '…' })`,
    );
  }
  return checkFunctionName(name);
}

export function checkFunctionName(name: string): string {
  if (typeof name === 'string' && FUNCTION_NAME.test(name)) return name;
  throw new TypeError(`A function's name must be 1 to 256 characters without spaces, not ${quote(name)}`);
}

/** A module's exported functions, or functions by name. */
export type FunctionSource = Readonly<Record<string, unknown>>;

/**
 * Registers the functions of a module under their export names, or the names that `task` gave them, each after a prefix
 * and a dot where there is a prefix. What is not a function is passed over.
 * @throws {TypeError} where a name is taken by another function, or nothing could be registered.
 */
export function register(
  table: Map<string, TaskFunction>,
  source: FunctionSource,
  {
    prefix = '',
    warn,
  }: { readonly prefix?: string; readonly warn?: ((text: string) => void) | undefined } = {},
): void {
  if (typeof source !== 'object' || source === null) {
    throw new TypeError(`functions must be a module or an object of functions, not ${quote(source)}`);
  }
  let found = 0;
  for (const [exported, value] of Object.entries(source)) {
    if (typeof value !== 'function' || isClass(value)) continue;
    const fn = value as TaskFunction;
    const given = taskOptions(fn)?.name;
    // the default export has no name of its own, unless the function has
    const own =
      exported === 'default' ? (given ?? (fn.name === 'default' ? '' : fn.name)) : (given ?? exported);
    if (own === '') continue;
    const name = checkFunctionName(prefix === '' ? own : `${prefix}.${own}`);
    const taken = table.get(name);
    if (taken !== undefined && taken !== fn)
      throw new TypeError(
        `Two functions are named '${name}': give a module a prefix (prefix=module), or a function a name (task)`,
      );
    if (given === undefined && exported !== 'default' && fn.name !== exported && fn.name !== '') {
      warn?.(
        `Function '${fn.name}' is registered under its export name '${name}': enqueue(fn) would call it '${fn.name}'. ` +
          'Give it one name with task(fn, { name })',
      );
    }
    table.set(name, fn);
    found++;
  }
  if (found === 0) throw new TypeError('It exports no function');
}

function isClass(value: object): boolean {
  return /^class\b/.test(Function.prototype.toString.call(value));
}
