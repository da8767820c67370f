/** A queue: where jobs are put and looked up. */
import { randomUUID } from 'node:crypto';
import type {
  Chain,
  ChainJob,
  ChainStep,
  CronRest,
  EnqueueCall,
  EnqueueRest,
  JobOf,
  ResultOf,
  ResultsOf,
} from './arguments.ts';
import { Link, type ConnectionOption } from './connection.ts';
import { checkCronName, prepareCron, type CronJob, type CronOptions } from './cron.ts';
import { dropCron, readCrons, writeCron } from './cron-store.ts';
import { QUEUE } from './defaults.ts';
import type { Duration } from './duration.ts';
import { withDelay, type Task } from './delay.ts';
import { queueDefaults, type EnqueueOptions } from './enqueue-options.ts';
import { Enqueuer } from './enqueuer.ts';
import { InvalidJobError } from './errors.ts';
import { setTaskOptions, type TaskFunction, type TaskOptions } from './functions.ts';
import { Group } from './group.ts';
import { Job } from './job.ts';
import { Keys, type QueueKeys } from './keys.ts';
import { checkCount, checkFlag, checkJobId, checkName, checkOptions, quote } from './options.ts';
import type { Prepared } from './prepare.ts';
import { Pending } from './reference.ts';
import type { NewJob } from './new-job.ts';
import { shownRate, storedRate, type Rate } from './rate.ts';
import { Registry } from './registry.ts';
import { dueAt, dueIn, type DueIn } from './schedule.ts';
import { ScheduledRegistry } from './scheduled-registry.ts';
import { Sender } from './sender.ts';
import type { QueueStats } from './stats.ts';
import { Store } from './store.ts';

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

export interface EmptyOptions {
  readonly signal?: AbortSignal;
  /** Is called with the number of jobs that a step has deleted. */
  readonly onProgress?: (deleted: number) => void;
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
  readonly scheduledRegistry: ScheduledRegistry;
  readonly canceledRegistry: Registry;
  /** Jobs that wait aside, for a slot of the key of their `limit`: they are not in the list, and `count()` passes over them. */
  readonly parkedRegistry: Registry;
  readonly #store: Store;
  readonly #sender: Sender;
  readonly #keys: QueueKeys;
  readonly #enqueuer: Enqueuer;

  /** `name` is of `A-Z a-z 0-9 _ . -`, 128 characters at most; `default` by default. */
  constructor(name: string = QUEUE, options?: QueueOptions) {
    const { connection, prefix, defaultTimeout, defaultResultTtl, isAsync } = checkOptions(
      options,
      ['connection', 'prefix', 'defaultTimeout', 'defaultResultTtl', 'isAsync'],
      'Queue',
    );
    this.name = checkName(name, 'queue name');
    const keys = new Keys(prefix === undefined ? undefined : checkName(prefix, 'prefix'));
    const defaults = queueDefaults(defaultTimeout, defaultResultTtl);
    const runsLater = isAsync === undefined || checkFlag(isAsync, 'isAsync');
    const link = Link.to(connection);
    this.#store = new Store(link, keys);
    this.#sender = new Sender(link);
    this.#keys = keys.queue(name);
    this.#enqueuer = new Enqueuer(link, this.#store, this.#keys, defaults, runsLater);
    this.startedRegistry = new Registry(this.#store, this.#keys, 'started');
    this.finishedRegistry = new Registry(this.#store, this.#keys, 'finished');
    this.failedRegistry = new Registry(this.#store, this.#keys, 'failed');
    this.deferredRegistry = new Registry(this.#store, this.#keys, 'deferred');
    this.scheduledRegistry = new ScheduledRegistry(this.#store, this.#keys);
    this.canceledRegistry = new Registry(this.#store, this.#keys, 'canceled');
    this.parkedRegistry = new Registry(this.#store, this.#keys, 'parked');
  }

  /**
   * Puts a call on the queue, of a function or of the name one is registered under. Arguments are JSON and nothing else.
   * Calls made in the same tick share a round trip, and so do those that are made while two others are under way: they wait
   * until one of these is answered, 20 ms at most.
   *
   * @throws {DuplicateJobError} where `jobId` names a job that has not ended.
   * @throws {DependencyFailedError} where a job among its arguments is gone. @throws {DependencyCycleError} where it would
   * wait for itself, through others.
   * @throws {ConnectionError} nothing was sent. @throws {OutcomeUnknownError} repeat it with the same `jobId`.
   */
  enqueue<F extends TaskFunction>(fn: F, ...rest: EnqueueRest<F>): Promise<Job<ResultOf<F>>>;
  enqueue<T = unknown>(name: string, args?: readonly unknown[], options?: EnqueueOptions): Promise<Job<T>>;
  // not async: what is busiest here has one promise fewer
  enqueue(fn: TaskFunction | string, args?: readonly unknown[], options?: EnqueueOptions): Promise<Job> {
    try {
      return this.#enqueuer.put(fn, this.#enqueuer.prepare(fn, args, options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Puts several calls on the queue, in their order. All are checked before any is sent. */
  async enqueueMany<const F extends readonly (TaskFunction | string)[]>(
    calls: readonly [...{ [I in keyof F]: EnqueueCall<F[I]> }],
  ): Promise<{ -readonly [I in keyof F]: JobOf<F[I]> }> {
    if (!Array.isArray(calls))
      throw new TypeError(`enqueueMany needs an array of calls, not ${quote(calls)}`);
    const checked = (calls as readonly unknown[]).map((call, i) => {
      const [fn, args, options] = checkCall(call, i);
      return { fn, make: this.#enqueuer.check(fn, args, options) };
    });
    const jobs = await this.#enqueuer.putMany(checked);
    return jobs as { -readonly [I in keyof F]: JobOf<F[I]> };
  }

  /**
   * Puts a call on the queue for when its time has come, by Redis' clock: a worker that listens to the queue sees to it, within
   * a second. A date that is past is now. `atFront` and `ttl` count from then on.
   * @throws {TypeError | RangeError} for what is no date, and for jobs in `dependsOn` or among the arguments: a job waits for
   * its time or for others. @throws as `enqueue` does.
   */
  enqueueAt<F extends TaskFunction>(date: Date, fn: F, ...rest: EnqueueRest<F>): Promise<Job<ResultOf<F>>>;
  enqueueAt<T = unknown>(
    date: Date,
    name: string,
    args?: readonly unknown[],
    options?: EnqueueOptions,
  ): Promise<Job<T>>;
  async enqueueAt(
    date: Date,
    fn: TaskFunction | string,
    args?: readonly unknown[],
    options?: EnqueueOptions,
  ): Promise<Job> {
    return this.#enqueuer.schedule(dueAt(date), fn, args, options);
  }

  /**
   * The same after a time from now, by Redis' clock: seconds, or a number with a unit; ten years at most.
   * @throws as `enqueueAt` does.
   */
  enqueueIn<F extends TaskFunction>(wait: DueIn, fn: F, ...rest: EnqueueRest<F>): Promise<Job<ResultOf<F>>>;
  enqueueIn<T = unknown>(
    wait: DueIn,
    name: string,
    args?: readonly unknown[],
    options?: EnqueueOptions,
  ): Promise<Job<T>>;
  async enqueueIn(
    wait: DueIn,
    fn: TaskFunction | string,
    args?: readonly unknown[],
    options?: EnqueueOptions,
  ): Promise<Job> {
    return this.#enqueuer.schedule(dueIn(wait), fn, args, options);
  }

  /**
   * Puts calls on the queue, in one step, of which each gets the result of the one before as its first argument, followed by
   * those it is called with. Gives the last job; its `dependencyIds` lead back to the others. The types of eight steps are
   * checked; there may be more.
   * @throws {DuplicateJobError} where a step's `jobId` is taken: nothing is queued then.
   * @throws {TypeError} where there is no step, or with `isAsync: false`; else as `enqueue` does.
   */
  async chain<const S extends readonly ChainStep[]>(steps: S & Chain<S>): Promise<ChainJob<S>> {
    if (!Array.isArray(steps)) throw new TypeError(`chain needs an array of calls, not ${quote(steps)}`);
    if (steps.length === 0) throw new TypeError('chain needs at least one call');
    const prepared: Prepared[] = [];
    for (const [i, step] of (steps as readonly unknown[]).entries()) {
      const [fn, args = [], options] = checkCall(step, i, 'steps');
      if (!Array.isArray(args)) throw new TypeError(`args must be an array, not ${quote(args)}`);
      const before = prepared.at(-1);
      const all = before === undefined ? args : [new Pending(before.job.id, this.#store.home), ...args];
      prepared.push(this.#enqueuer.check(fn, all as unknown[], options)());
    }
    return (await this.#enqueuer.putTogether(prepared)).at(-1) as ChainJob<S>;
  }

  /**
   * Has a call put on the queue at each time that a pattern names, by a worker that listens to it: one job a time, however many
   * workers there are. The same name again changes it; with the same pattern and time zone it keeps its next time.
   * @throws {TypeError | RangeError} for what is no pattern or time zone, and for a pattern that never comes.
   */
  cron<F extends TaskFunction>(pattern: string, fn: F, ...rest: CronRest<F>): Promise<CronJob>;
  cron(pattern: string, name: string, args?: readonly unknown[], options?: CronOptions): Promise<CronJob>;
  async cron(
    pattern: string,
    fn: TaskFunction | string,
    args?: readonly unknown[],
    options?: CronOptions,
  ): Promise<CronJob> {
    const cron = prepareCron(pattern, fn, args, options, (...call) => this.#enqueuer.check(...call)());
    const set = await this.#sender.send('set a cron', 'repeatable', redis =>
      writeCron(redis, this.#keys, cron),
    );
    if (set === undefined)
      throw new RangeError(`The cron pattern ${quote(pattern)} never comes, by the clock of Redis`);
    return set;
  }

  /** The crons of this queue, those that come next first. */
  async crons(): Promise<CronJob[]> {
    return this.#sender.send('list crons', 'read', redis => readCrons(redis, this.#keys));
  }

  /** Has a cron come no more; answers whether there was one. The jobs that it has queued stay. */
  async removeCron(name: string): Promise<boolean> {
    checkCronName(name);
    return this.#sender.send('remove a cron', 'repeatable', redis => dropCron(redis, this.#keys, name));
  }

  /**
   * Puts calls on the queue, in one step, under one name: their results can be waited for together. The name is generated by
   * default; under one that there is already, the jobs join those of before.
   * @throws {DuplicateJobError} where a `jobId` is taken: nothing is queued then.
   * @throws {TypeError} where there is no call, or with `isAsync: false`; else as `enqueue` does.
   */
  async group<const F extends readonly (TaskFunction | string)[]>(
    calls: readonly [...{ [I in keyof F]: EnqueueCall<F[I]> }],
    options?: { readonly name?: string },
  ): Promise<Group<ResultsOf<F>>> {
    const { name = randomUUID().replaceAll('-', '') } = checkOptions(options, ['name'], 'group');
    checkName(name, 'group name');
    if (!Array.isArray(calls)) throw new TypeError(`group needs an array of calls, not ${quote(calls)}`);
    if (calls.length === 0) throw new TypeError('group needs at least one call');
    const members = (calls as readonly unknown[]).map((call, i) => {
      const prepared = this.#enqueuer.check(...checkCall(call, i))();
      return { call: prepared.call, job: inGroup(prepared.job, name) };
    });
    const jobs = await this.#enqueuer.putTogether(members);
    const jobIds = jobs.map(({ id }) => id);
    return new Group(this.#store, name, jobIds, jobs);
  }

  /** The group of this name, whichever queues its jobs were put on; `undefined` where there is none. Jobs that are gone may be among its ids. */
  async fetchGroup<R extends readonly unknown[] = unknown[]>(name: string): Promise<Group<R> | undefined> {
    const found = await this.#store.group(checkName(name, 'group name'));
    // generated ids begin with the time
    return found.length === 0 ? undefined : new Group<R>(this.#store, name, found.toSorted());
  }

  /** Gives a function its defaults, and a `delay` that puts calls of it on this queue. */
  task<F extends TaskFunction>(fn: F, options: TaskOptions<ResultOf<F>> = {}): Task<F> {
    setTaskOptions(fn, { ...options, queue: this.name });
    return withDelay(fn, (called, args) => this.enqueue(called, args));
  }

  /** The job of this id, whichever queue it was put on; `undefined` where there is none. */
  async fetchJob<T = unknown>(id: string): Promise<Job<T> | undefined> {
    const fields = await this.#store.fetch(checkJobId(id));
    return fields === undefined ? undefined : new Job<T>(this.#store, id, fields);
  }

  /** Ids of waiting jobs, next one first, without those that wait aside (`parkedRegistry`). All of them by default. */
  async getJobIds(offset: number = 0, limit: number = Infinity): Promise<string[]> {
    checkCount(offset, 'offset', 0);
    if (limit !== Infinity) checkCount(limit, 'limit', 0);
    return this.#store.queues.ids(this.#keys, offset, limit);
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

  /** Number of waiting jobs, without those that wait aside (`parkedRegistry`). */
  async count(): Promise<number> {
    return this.#store.queues.count(this.#keys);
  }

  /**
   * Deletes the waiting jobs, those that wait aside among them; answers how many. Those that run, or have ended, stay. It goes on in steps of at most 1,000 jobs,
   * each of which is told to `onProgress`, and between which an aborted `signal` ends it.
   */
  async empty(options?: EmptyOptions): Promise<number> {
    const { signal, onProgress } = checkOptions(options, ['signal', 'onProgress'], 'empty');
    return this.#store.queues.empty(this.#keys, signal, onProgress);
  }

  /**
   * Deletes the waiting jobs and the queue's name from the set of queues. A job that is put on it later brings it back; a
   * pause and a rate stay set for it.
   */
  async delete(): Promise<void> {
    await this.empty();
    await this.#store.queues.forget(this.#keys);
  }

  /** How its backlog stands: to scale workers on. */
  async stats(): Promise<QueueStats> {
    return this.#store.queues.stats(this.#keys);
  }

  /** Has no worker of this library take jobs from it until `resume()`; those that run go on. Safe twice. */
  async pause(): Promise<void> {
    await this.#store.queues.setLimit(this.#keys, 'paused', new Date().toISOString());
  }

  /** Workers go on with it, within a second. Safe where it is not paused. */
  async resume(): Promise<void> {
    await this.#store.queues.setLimit(this.#keys, 'paused', undefined);
  }

  async isPaused(): Promise<boolean> {
    return (await this.#store.queues.limits(this.#keys)).paused !== undefined;
  }

  /**
   * Lets at most so many of its jobs begin in a time, over all workers: `'10/m'`, `'60/s'`, `'5/30s'`; `undefined` takes the
   * limit away. Workers keep to it from their next look on. Counted by Redis' clock, in any window of that length.
   */
  async setRateLimit(rate: Rate | undefined): Promise<void> {
    await this.#store.queues.setLimit(this.#keys, 'rate', rate === undefined ? undefined : storedRate(rate));
  }

  /** The rate set for all workers; `undefined` where there is none. */
  async getRateLimit(): Promise<Rate | undefined> {
    const { rate } = await this.#store.queues.limits(this.#keys);
    return rate === undefined ? undefined : shownRate(rate);
  }

  /** Closes what this queue opened; safe twice. Calls under way are rejected. */
  async close(): Promise<void> {
    this.#store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function checkCall(
  call: unknown,
  i: number,
  list: string = 'calls',
): [fn: TaskFunction | string, args?: readonly unknown[], options?: EnqueueOptions] {
  if (!Array.isArray(call))
    throw new TypeError(`${list}[${i}] must be [fn, args?, options?], not ${quote(call)}`);
  return call as [TaskFunction | string];
}

function inGroup(job: NewJob, group: string): NewJob {
  return { ...job, group, settings: [...job.settings, 'group_id', group] };
}
