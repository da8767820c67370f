/** A queue: where jobs are put and looked up. */
import { Link, type ConnectionOption } from './connection.ts';
import { QUEUE } from './defaults.ts';
import type { Duration } from './duration.ts';
import {
  prepare,
  queueDefaults,
  type EnqueueOptions,
  type Prepared,
  type QueueDefaults,
} from './enqueue-options.ts';
import { InvalidJobError, OutcomeUnknownError } from './errors.ts';
import {
  functionName,
  setTaskOptions,
  taskOptions,
  type TaskFunction,
  type TaskOptions,
} from './functions.ts';
import { Job } from './job.ts';
import { Keys, type QueueKeys } from './keys.ts';
import { checkCount, checkFlag, checkJobId, checkName, checkOptions, quote } from './options.ts';
import type { NewJob } from './new-job.ts';
import type { Fields } from './record.ts';
import { Registry } from './registry.ts';
import { runNow } from './run-now.ts';
import { Store } from './store.ts';

/** What a job's handle gives for what its function gives: nothing becomes `null`, as in JSON. */
export type ResultOf<F extends TaskFunction> = Nullish<Awaited<ReturnType<F>>>;
type Nullish<T> = T extends undefined | void ? null : T;

/** The arguments of a function, all but the last where that is given as `kwargs`. */
type AllButLast<A extends readonly unknown[]> = A extends [...infer Rest, unknown] ? Rest : never;
type WithKwargs = EnqueueOptions & { readonly kwargs: Readonly<Record<string, unknown>> };

/** What follows a function in a call of `enqueue`. */
export type EnqueueRest<F> = F extends TaskFunction
  ? [] extends Parameters<F>
    ? | [args?: Parameters<F>, options?: EnqueueOptions]
      | [args: AllButLast<Parameters<F>>, options: WithKwargs]
    : [args: Parameters<F>, options?: EnqueueOptions] | [args: AllButLast<Parameters<F>>, options: WithKwargs]
  : [args?: readonly unknown[], options?: EnqueueOptions];

/** A call of `enqueueMany`: a function or its name, its arguments, its options. */
export type EnqueueCall<F> = readonly [fn: F, ...rest: EnqueueRest<F>];

type JobOf<F> = Job<F extends TaskFunction ? ResultOf<F> : unknown>;

/** A function that knows how it is queued. */
export type Task<F extends TaskFunction> = F & {
  /** Enqueues a call of the function. */
  readonly delay: (...args: Parameters<F>) => Promise<Job<ResultOf<F>>>;
};

export interface QueueOptions {
  /**
   * An ioredis client, a URL, or ioredis' options; `RQ_REDIS_URL` or `redis://127.0.0.1:6379` by default. A client that
   * is handed in stays open; what the queue opens, `close()` closes.
   */
  readonly connection?: ConnectionOption;
  /** What every key begins with. `rq` by default: Python RQ knows no other. */
  readonly prefix?: string;
  /** For jobs whose call does not say. 180 s by default. */
  readonly defaultTimeout?: Duration;
  /** For jobs whose call does not say. 500 s by default, or what the job's worker was told. */
  readonly defaultResultTtl?: Duration;
  /** `false` runs each job at once, in the caller, for tests: `enqueue` resolves when it has ended. `true` by default. */
  readonly isAsync?: boolean;
}

/**
 * A queue in Redis.
 *
 * What is wrong with a call is thrown before anything is sent (`TypeError`, `RangeError`). A call gives up after 5 s
 * without a connection (`ConnectionError`: nothing was sent) or without a reply (`OutcomeUnknownError`).
 *
 * @example
 * await using q = new Queue('emails');
 * await q.enqueue(sendEmail, ['a@example.com'], { timeout: '1m' });
 */
export class Queue implements AsyncDisposable {
  readonly name: string;
  readonly startedRegistry: Registry;
  readonly finishedRegistry: Registry;
  readonly failedRegistry: Registry;
  readonly deferredRegistry: Registry;
  readonly scheduledRegistry: Registry;
  readonly canceledRegistry: Registry;
  readonly #link: Link;
  readonly #store: Store;
  readonly #keys: QueueKeys;
  readonly #defaults: QueueDefaults;
  readonly #isAsync: boolean;

  /** `name` is of `A-Z a-z 0-9 _ . -`, 128 characters at most; `default` by default. */
  constructor(name: string = QUEUE, options?: QueueOptions) {
    const { connection, prefix, defaultTimeout, defaultResultTtl, isAsync } = checkOptions(
      options,
      ['connection', 'prefix', 'defaultTimeout', 'defaultResultTtl', 'isAsync'],
      'Queue',
    );
    this.name = checkName(name, 'queue name');
    const keys = new Keys(prefix === undefined ? undefined : checkName(prefix, 'prefix'));
    this.#defaults = queueDefaults(defaultTimeout, defaultResultTtl);
    this.#isAsync = isAsync === undefined || checkFlag(isAsync, 'isAsync');
    this.#link = Link.to(connection);
    this.#store = new Store(this.#link, keys);
    this.#keys = keys.queue(name);
    this.startedRegistry = new Registry(this.#store, this.#keys, 'started');
    this.finishedRegistry = new Registry(this.#store, this.#keys, 'finished');
    this.failedRegistry = new Registry(this.#store, this.#keys, 'failed');
    this.deferredRegistry = new Registry(this.#store, this.#keys, 'deferred');
    this.scheduledRegistry = new Registry(this.#store, this.#keys, 'scheduled');
    this.canceledRegistry = new Registry(this.#store, this.#keys, 'canceled');
  }

  /**
   * Puts a call on the queue, of a function or of the name one is registered under. Arguments are JSON and nothing else.
   * Calls made in the same tick share a round trip.
   *
   * @throws {DuplicateJobError} where `jobId` names a job that has not ended.
   * @throws {ConnectionError} nothing was sent. @throws {OutcomeUnknownError} repeat it with the same `jobId`.
   */
  enqueue<F extends TaskFunction>(fn: F, ...rest: EnqueueRest<F>): Promise<Job<ResultOf<F>>>;
  enqueue<T = unknown>(name: string, args?: readonly unknown[], options?: EnqueueOptions): Promise<Job<T>>;
  async enqueue(
    fn: TaskFunction | string,
    args?: readonly unknown[],
    options?: EnqueueOptions,
  ): Promise<Job> {
    return this.#put(fn, this.#prepare(fn, args, options));
  }

  /** Puts several calls on the queue, in their order. All are checked before any is sent. */
  async enqueueMany<const F extends readonly (TaskFunction | string)[]>(
    calls: readonly [...{ [I in keyof F]: EnqueueCall<F[I]> }],
  ): Promise<{ -readonly [I in keyof F]: JobOf<F[I]> }> {
    if (!Array.isArray(calls))
      throw new TypeError(`enqueueMany needs an array of calls, not ${quote(calls)}`);
    const prepared = (calls as readonly unknown[]).map((call, i) => {
      if (!Array.isArray(call))
        throw new TypeError(`calls[${i}] must be [fn, args?, options?], not ${quote(call)}`);
      const [fn, args, options] = call as [
        TaskFunction | string,
        args?: readonly unknown[],
        options?: EnqueueOptions,
      ];
      return { fn, it: this.#prepare(fn, args, options) };
    });
    const jobs = await Promise.all(prepared.map(({ fn, it }) => this.#put(fn, it)));
    return jobs as { -readonly [I in keyof F]: JobOf<F[I]> };
  }

  /** Gives a function its defaults, and a `delay` that puts calls of it on this queue. */
  task<F extends TaskFunction>(fn: F, options: TaskOptions = {}): Task<F> {
    setTaskOptions(fn, { ...options, queue: this.name });
    return withDelay(fn, () => this);
  }

  /** The job of this id, whichever queue it was put on; `undefined` where there is none. */
  async fetchJob<T = unknown>(id: string): Promise<Job<T> | undefined> {
    const fields = await this.#store.fetch(checkJobId(id));
    return fields === undefined ? undefined : new Job<T>(this.#store, id, fields);
  }

  /** Ids of waiting jobs, next one first. All of them by default. */
  async getJobIds(offset: number = 0, limit: number = Infinity): Promise<string[]> {
    checkCount(offset, 'offset', 0);
    if (limit !== Infinity) checkCount(limit, 'limit', 0);
    return this.#store.ids(this.#keys, offset, limit);
  }

  /** Waiting jobs, next one first, without those that expired meanwhile. */
  async getJobs(offset: number = 0, limit: number = Infinity): Promise<Job[]> {
    const ids = await this.getJobIds(offset, limit);
    const jobs = await Promise.allSettled(ids.map(id => this.fetchJob(id)));
    // a key of another type is no job
    const broken = jobs.find(it => it.status === 'rejected' && !(it.reason instanceof InvalidJobError));
    if (broken?.status === 'rejected') throw broken.reason;
    return jobs.flatMap(it => (it.status === 'fulfilled' && it.value !== undefined ? [it.value] : []));
  }

  /** Number of waiting jobs. */
  async count(): Promise<number> {
    return this.#store.count(this.#keys);
  }

  /** Deletes the waiting jobs; answers how many. Those that run, or have ended, stay. */
  async empty(): Promise<number> {
    return this.#store.empty(this.#keys);
  }

  /** Deletes the waiting jobs and the queue's name from the set of queues. A job that is put on it later brings it back. */
  async delete(): Promise<void> {
    await this.empty();
    await this.#store.forget(this.#keys);
  }

  /** Closes what this queue opened; safe twice. Calls under way are rejected. */
  async close(): Promise<void> {
    this.#store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #prepare(fn: TaskFunction | string, args: readonly unknown[] = [], options?: EnqueueOptions): Prepared {
    const name = functionName(fn);
    const defaults = typeof fn === 'function' ? taskOptions(fn) : undefined;
    if (defaults === undefined) return prepare(name, args, options, this.#defaults);
    const { name: _, queue: __, ...given } = defaults;
    // an option that is named and undefined leaves the task's own in force
    const named = Object.entries(options ?? {}).filter(([, value]) => value !== undefined);
    return prepare(name, args, { ...given, ...Object.fromEntries(named) }, this.#defaults);
  }

  async #put(fn: TaskFunction | string, prepared: Prepared): Promise<Job> {
    const { job } = prepared;
    if (!this.#isAsync) return this.#runNow(fn, prepared);
    try {
      await this.#store.enqueue(this.#keys, job);
    } catch (error) {
      // calls that shared a round trip share their error, but not their job
      if (!(error instanceof OutcomeUnknownError)) throw error;
      throw new OutcomeUnknownError(error.message, { cause: error.cause, jobId: job.id });
    }
    return new Job(this.#store, job.id, new LocalFields(this.name, job));
  }

  async #runNow(fn: TaskFunction | string, prepared: Prepared): Promise<Job> {
    if (typeof fn === 'string') {
      throw new TypeError(
        `A queue with isAsync: false runs functions itself: hand it the function, not its name ${quote(fn)}`,
      );
    }
    await this.#link.ready();
    const { job } = prepared;
    const status = await runNow(this.#link.redis, this.#store, this.#keys, prepared, fn);
    const fields = await this.#store.fetch(job.id);
    return new Job(this.#store, job.id, fields ?? new LocalFields(this.name, job, status));
  }
}

const defaultQueues: Map<string, Queue> = new Map();

/**
 * Gives a function its defaults, so that one place says how it is queued, and a `delay` that puts calls of it on the queue
 * `options.queue` of `RQ_REDIS_URL`, over one connection for each queue. The function itself is given back.
 */
export function task<F extends TaskFunction>(fn: F, options: TaskOptions = {}): Task<F> {
  setTaskOptions(fn, options);
  const name = options.queue ?? QUEUE;
  return withDelay(fn, () => {
    let queue = defaultQueues.get(name);
    if (queue === undefined) defaultQueues.set(name, (queue = new Queue(name)));
    return queue;
  });
}

function withDelay<F extends TaskFunction>(fn: F, queue: () => Queue): Task<F> {
  const delay = (...args: Parameters<F>): Promise<Job<ResultOf<F>>> =>
    (queue().enqueue as (fn: F, args: Parameters<F>) => Promise<Job<ResultOf<F>>>).call(queue(), fn, args);
  return Object.assign(fn, { delay });
}

/** A new job's fields as far as the caller knows them; the times are this process' until `refresh()`. */
class LocalFields implements Fields {
  readonly #origin: string;
  readonly #job: NewJob;
  readonly #status: string;
  readonly #made = Date.now();

  constructor(origin: string, job: NewJob, status: string = 'queued') {
    this.#status = status;
    this.#origin = origin;
    this.#job = job;
  }

  get(name: string): string | undefined {
    switch (name) {
      case 'status':
        return this.#status;
      case 'origin':
        return this.#origin;
      case 'created_at':
      case 'enqueued_at':
        return new Date(this.#made).toISOString();
      case 'data':
        return this.#job.data;
      case 'description':
        return this.#job.description;
      default: {
        const { settings } = this.#job;
        for (let i = 0; i < settings.length; i += 2) if (settings[i] === name) return settings[i + 1];
        return undefined;
      }
    }
  }
}
