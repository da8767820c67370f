/** What a worker is told, checked and with its defaults. */
import { randomUUID } from 'node:crypto';
import type { ConnectionOption } from '../connection.ts';
import {
  CONCURRENCY,
  GRACE,
  LEASE,
  LEAST_LEASE,
  MAX_RECOVERIES,
  RESULT_TTL,
  SHUTDOWN_TIMEOUT,
} from '../defaults.ts';
import { checkedCall } from '../call.ts';
import { prepareCrons, type CronEntry, type ListedCron } from '../cron.ts';
import { queueDefaults } from '../enqueue-options.ts';
import { checkMetrics, type MetricsOptions } from '../metrics/options.ts';
import { parseDuration, storedTtl, type Duration } from '../duration.ts';
import { register, type FunctionSource, type FunctionTable, type TaskFunction } from '../functions.ts';
import { checkCount, checkFlag, checkKnown, checkName, checkOptions, messageOf, quote } from '../options.ts';
import { storedRate, type Rate } from '../rate.ts';
import type { DequeueStrategy } from '../advance.ts';
import { checkErrorHooks, type ErrorHook } from './error-hooks.ts';
import { checkLogger, type Logger } from './log.ts';

export interface WorkerOptions {
  /** As for `Queue`. A client that is handed in is only asked where Redis is: the worker opens connections of its own. */
  readonly connection?: ConnectionOption;
  /** What every key begins with; `rq` by default. */
  readonly prefix?: string;
  /** The functions that jobs may call: a module, an object, or a map by name. */
  readonly functions: FunctionSource | FunctionTable;
  /** Crons that are set when the worker starts, as `Queue.cron` sets them; on its first queue where they name none. */
  readonly crons?: readonly CronEntry[];
  /** Jobs that run at the same time; 1 by default. */
  readonly concurrency?: number;
  /** Random by default, and to be unique among living workers: of `A-Z a-z 0-9 _ . -`. */
  readonly name?: string;
  /** For jobs that do not say; 500 s by default, 0 keeps none, -1 keeps them for ever. */
  readonly resultTtl?: Duration;
  /** How long `stop()` waits for running jobs before they are aborted and given back; 25 s by default. */
  readonly shutdownTimeout?: Duration;
  /** How long a function may go on after its signal was aborted before it is left behind; 5 s by default. */
  readonly grace?: Duration;
  /**
   * How long a run is this worker's without word of it; 30 s by default, 3 s at least. When a worker dies, its jobs are
   * back on their queues this long, and a sweep of 5 s, later.
   */
  readonly lease?: Duration;
  /**
   * How often a job whose worker was lost goes back to its queue; the next loss fails it with `AbandonedJobError`. 3 by
   * default. What counts is what the worker was told that finds the loss.
   */
  readonly maxRecoveries?: number;
  /**
   * Jobs that are taken ahead of free slots, and leased as if they ran. By default as many as begin within 5 ms, by the
   * longest run of late, and no more than 100; 0 for none. More pay where Redis is far away and jobs are short; beside
   * long jobs those taken ahead wait, while another worker may be free.
   */
  readonly prefetch?: number;
  /**
   * Order of the queues: strictly as given (`default`), each in turn (`round_robin`), by chance (`random`), or by chance with
   * `weights` (`weighted`).
   */
  readonly dequeueStrategy?: DequeueStrategy;
  /** How often each queue is drawn beside the others: whole numbers from 1, 1 by default. Makes the strategy `weighted`. */
  readonly weights?: Readonly<Record<string, number>>;
  /**
   * Most jobs of a queue that begin in a time, by queue: `{ mails: '10/m' }`. Counted over all workers, and of no effect where
   * `queue.setRateLimit` has set another one for all.
   */
  readonly rateLimits?: Readonly<Record<string, Rate>>;
  /** Works on a Redis that may evict keys, and so lose jobs. `false` by default. */
  readonly allowEviction?: boolean;
  /** Anything with pino's methods; silent by default. */
  readonly logger?: Logger;
  /** Whether jobs' descriptions, and so their arguments, are logged. `true` by default. */
  readonly logDescriptions?: boolean;
  /**
   * Is called for each run that failed, be it retried or not, with what was thrown, and with the job: one hook, or several.
   * A hook that throws, or is slow, is logged, and changes nothing.
   */
  readonly onError?: ErrorHook | readonly ErrorHook[];
  /** Serves metrics for Prometheus, and the worker's health, over HTTP; not at all by default, and then nothing is counted. */
  readonly metrics?: MetricsOptions;
}

/** The same with nothing left to decide; durations are seconds. */
export interface WorkerSettings {
  readonly queues: readonly string[];
  readonly name: string;
  readonly connection: ConnectionOption | undefined;
  readonly prefix: string | undefined;
  readonly functions: FunctionTable;
  readonly crons: readonly ListedCron[];
  readonly concurrency: number;
  readonly prefetch: number | undefined;
  readonly weights: ReadonlyMap<string, number> | undefined;
  /** As Redis holds them. */
  readonly rates: ReadonlyMap<string, string>;
  readonly strategy: DequeueStrategy;
  readonly resultTtl: number;
  readonly shutdownTimeout: number;
  readonly grace: number;
  readonly lease: number;
  readonly maxRecoveries: number;
  readonly allowEviction: boolean;
  readonly logger: Logger | undefined;
  readonly logDescriptions: boolean;
  readonly onError: readonly ErrorHook[];
  readonly metrics: Required<MetricsOptions> | undefined;
}

const WORKER_OPTIONS = [
  'connection',
  'prefix',
  'functions',
  'crons',
  'concurrency',
  'name',
  'resultTtl',
  'shutdownTimeout',
  'grace',
  'lease',
  'maxRecoveries',
  'prefetch',
  'dequeueStrategy',
  'weights',
  'rateLimits',
  'allowEviction',
  'logger',
  'logDescriptions',
  'onError',
  'metrics',
];
/** The sum of all has to fit into what Lua's random numbers can be of. */
const MOST_WEIGHT = 100_000;
const STRATEGIES: readonly string[] = ['default', 'round_robin', 'random', 'weighted'];

/** @throws {TypeError | RangeError} that quotes what came and says what is accepted. */
export function checkWorker(
  queues: string | readonly string[],
  options: WorkerOptions,
  warn: (text: string) => void,
): WorkerSettings {
  const given = checkOptions(options, WORKER_OPTIONS, 'Worker');
  const names = typeof queues === 'string' ? [queues] : queues;
  if (!Array.isArray(names) || names.length === 0) {
    throw new TypeError(`queues must be a queue name, or an array of at least one, not ${quote(queues)}`);
  }
  const { weights, rateLimits } = given;
  const strategy = given.dequeueStrategy ?? (weights === undefined ? 'default' : 'weighted');
  checkKnown(strategy, STRATEGIES, 'dequeueStrategy');
  if (weights !== undefined && strategy !== 'weighted')
    throw new TypeError(`weights go with dequeueStrategy 'weighted', not ${quote(strategy)}`);
  if (weights === undefined && strategy === 'weighted')
    throw new TypeError("dequeueStrategy 'weighted' needs weights: { high: 5, low: 1 }");
  const lease = parseDuration(given.lease ?? LEASE, 'lease');
  if (lease < LEAST_LEASE) {
    throw new RangeError(`lease must be ${LEAST_LEASE} seconds or more, not ${quote(given.lease)}`);
  }
  const queue = checkName(names[0], 'queue name');
  return {
    queues: [...new Set(names.map(name => checkName(name, 'queue name')))],
    name: given.name === undefined ? randomUUID().replaceAll('-', '') : checkName(given.name, 'worker name'),
    connection: given.connection,
    prefix: given.prefix === undefined ? undefined : checkName(given.prefix, 'prefix'),
    functions: toTable(given.functions, warn),
    crons: given.crons === undefined ? [] : checkCrons(given.crons, queue),
    concurrency: checkCount(given.concurrency ?? CONCURRENCY, 'concurrency', 1),
    prefetch: given.prefetch === undefined ? undefined : checkCount(given.prefetch, 'prefetch', 0),
    weights: weights === undefined ? undefined : byQueue('weights', weights, names, checkWeight),
    rates: rateLimits === undefined ? new Map() : byQueue('rateLimits', rateLimits, names, storedRate),
    strategy,
    resultTtl: storedTtl(given.resultTtl ?? RESULT_TTL, 'resultTtl'),
    shutdownTimeout: parseDuration(given.shutdownTimeout ?? SHUTDOWN_TIMEOUT, 'shutdownTimeout'),
    grace: parseDuration(given.grace ?? GRACE, 'grace'),
    lease,
    maxRecoveries: checkCount(given.maxRecoveries ?? MAX_RECOVERIES, 'maxRecoveries', 0),
    allowEviction: checkFlag(given.allowEviction ?? false, 'allowEviction'),
    logger: given.logger === undefined ? undefined : checkLogger(given.logger),
    logDescriptions: checkFlag(given.logDescriptions ?? true, 'logDescriptions'),
    onError: checkErrorHooks(given.onError),
    metrics: given.metrics === undefined ? undefined : checkMetrics(given.metrics),
  };
}

/** Checks crons, which are on `queue` where they name none. @throws {TypeError | RangeError} that says which one is wrong. */
export function checkCrons(crons: readonly CronEntry[], queue: string): readonly ListedCron[] {
  const defaults = queueDefaults(undefined, undefined);
  return prepareCrons(crons, queue, (fn, args = [], options) =>
    checkedCall(fn, args, options, defaults, '')(),
  );
}

/** An option that says something of queues, of those the worker listens on. */
function byQueue<T>(
  option: string,
  values: unknown,
  queues: readonly unknown[],
  check: (value: unknown, what: string) => T,
): Map<string, T> {
  const plain: unknown = values !== null && typeof values === 'object' && Object.getPrototypeOf(values);
  if (plain !== Object.prototype && plain !== null)
    throw new TypeError(`${option} must be an object with a value for each queue, not ${quote(values)}`);
  const entries = Object.entries(values as object);
  for (const [name] of entries) {
    if (!queues.includes(name))
      throw new TypeError(
        `${option} names the queue ${quote(name)}, and the worker listens on ${queues.join(', ')}`,
      );
  }
  return new Map(entries.map(([name, value]) => [name, check(value, `${option}.${name}`)]));
}

function checkWeight(value: unknown, what: string): number {
  const weight = checkCount(value, what, 1);
  if (weight > MOST_WEIGHT)
    throw new RangeError(`${what} must be a whole number of 1 to ${MOST_WEIGHT}, not ${quote(value)}`);
  return weight;
}

function toTable(functions: FunctionSource | FunctionTable, warn: (text: string) => void): FunctionTable {
  if (functions instanceof Map) {
    for (const [name, fn] of functions as ReadonlyMap<unknown, unknown>) {
      if (typeof name !== 'string' || typeof fn !== 'function') {
        throw new TypeError(`functions must map names to functions, not ${quote(name)} to ${quote(fn)}`);
      }
    }
    return functions as FunctionTable;
  }
  const table = new Map<string, TaskFunction>();
  try {
    register(table, functions as FunctionSource, { warn });
  } catch (error) {
    throw new TypeError(`functions can't be registered: ${messageOf(error)}`, { cause: error });
  }
  return table;
}
