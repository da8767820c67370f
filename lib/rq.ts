/** All queues and workers of one Redis: what `rq` shows, and what holds for all of them. */
import { clean, type CleanOptions, type CleanReport } from './clean.ts';
import { Link, type ConnectionOption } from './connection.ts';
import type { CronJob } from './cron.ts';
import { examine, type DoctorOptions } from './doctor.ts';
import { parseDuration, type Duration } from './duration.ts';
import type { Finding } from './finding.ts';
import { Job } from './job.ts';
import { Keys } from './keys.ts';
import { measure, type MemoryOptions, type MemoryReport } from './memory.ts';
import { OperatorStore } from './operator-store.ts';
import { checkJobId, checkName, checkOptions, isQueueName, quote } from './options.ts';
import { FAILURES, failureOf, type Failure, type Overview, type QueueOverview } from './overview.ts';
import { Queue } from './queue.ts';
import { shownRate } from './rate.ts';
import { textOf, timeOf, type Fields } from './record.ts';
import { SiteStore } from './site-store.ts';
import { Store } from './store.ts';

export interface RqOptions {
  /** As for `Queue`. */
  readonly connection?: ConnectionOption;
  /** What every key begins with; `rq` by default. */
  readonly prefix?: string;
}

/** A worker as it is registered, ours or Python's. */
export interface WorkerInfo {
  readonly name: string;
  readonly queues: readonly string[];
  /** `started`, `idle`, `busy` or `suspended`. */
  readonly state: string;
  readonly hostname: string;
  readonly ipAddress: string;
  readonly pid: number | undefined;
  /** Of rq-node, or of Python RQ, and then `pythonVersion` says so. */
  readonly version: string;
  readonly pythonVersion: string | undefined;
  readonly birth: Date | undefined;
  readonly lastHeartbeat: Date | undefined;
  /** Id of the job that has run longest; `undefined` where none runs. */
  readonly currentJobId: string | undefined;
  readonly finished: number;
  readonly failed: number;
  /** Seconds that its jobs have run. */
  readonly workingTime: number;
}

/** How many jobs a queue has in each place. */
export interface QueueCounts {
  readonly name: string;
  readonly queued: number;
  readonly started: number;
  readonly finished: number;
  readonly failed: number;
  readonly deferred: number;
  readonly scheduled: number;
  readonly canceled: number;
  /** Those that wait aside, for a slot of their key. */
  readonly parked: number;
}

/**
 * @example
 * await using rq = new Rq();
 * for (const queue of await rq.queues()) console.log(queue.name, await queue.count());
 */
export class Rq implements AsyncDisposable {
  readonly #link: Link;
  readonly #store: Store;
  readonly #operator: OperatorStore;
  readonly #site: SiteStore;
  readonly #prefix: string | undefined;
  readonly #queues: Map<string, Queue> = new Map();

  constructor(options?: RqOptions) {
    const { connection, prefix } = checkOptions(options, ['connection', 'prefix'], 'Rq');
    this.#prefix = prefix === undefined ? undefined : checkName(prefix, 'prefix');
    this.#link = Link.to(connection);
    const keys = new Keys(this.#prefix);
    this.#store = new Store(this.#link, keys);
    this.#operator = new OperatorStore(this.#link, keys);
    this.#site = new SiteStore(this.#link, keys);
  }

  /** Where Redis is: host and port, or the socket's path. */
  get address(): string {
    return this.#link.address;
  }

  /** A queue over this connection, whether it exists or not. */
  queue(name: string): Queue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      const prefix = this.#prefix === undefined ? {} : { prefix: this.#prefix };
      queue = new Queue(name, { connection: this.#link.redis, ...prefix });
      this.#queues.set(name, queue);
    }
    return queue;
  }

  /** The names of the queues that jobs were ever put on, in order; Python takes names that `queue()` refuses. */
  async queueNames(): Promise<string[]> {
    return (await this.#site.queueNames()).toSorted();
  }

  /** The queues that jobs were ever put on, by name, but for those whose names are not for us. */
  async queues(): Promise<Queue[]> {
    return (await this.queueNames()).filter(isQueueName).map(name => this.queue(name));
  }

  /** The crons of all queues, by queue: also where no job has come yet. */
  async crons(): Promise<CronJob[]> {
    const names = (await this.#operator.cronQueues()).filter(isQueueName);
    return (await Promise.all(names.map(name => this.queue(name).crons()))).flat();
  }

  async counts(name: string): Promise<QueueCounts> {
    const keys = this.#store.keys.queue(name);
    const size = async (key: string, expires: boolean): Promise<number> =>
      (await this.#store.queues.registry(key, expires, 0, 0))[0];
    const [queued, started, finished, failed, deferred, scheduled, canceled, parked] = await Promise.all([
      this.#store.queues.count(keys),
      size(keys.started, false),
      size(keys.finished, true),
      size(keys.failed, true),
      size(keys.deferred, false),
      size(keys.scheduled, false),
      size(keys.canceled, false),
      size(keys.parked, false),
    ]);
    return { name, queued, started, finished, failed, deferred, scheduled, canceled, parked };
  }

  /** What a queue holds, how its backlog moves, and whether it is paused or limited. */
  async queueOverview(name: string): Promise<QueueOverview> {
    const keys = this.#store.keys.queue(name);
    const [counts, stats, { paused, rate }] = await Promise.all([
      this.counts(name),
      this.#store.queues.stats(keys),
      this.#store.queues.limits(keys),
    ]);
    return {
      ...counts,
      ...stats,
      paused: paused !== undefined,
      rate: rate === undefined ? undefined : shownRate(rate),
    };
  }

  /** One look at all queues, workers, and the latest failures. */
  async overview(): Promise<Overview> {
    const names = await this.queueNames();
    const [suspended, queues, workers] = await Promise.all([
      this.isSuspended(),
      Promise.all(names.map(name => this.queueOverview(name))),
      this.workers(),
    ]);
    const failing = queues
      .filter(({ failed }) => failed > 0)
      .map(({ name, failed }) => this.#failures(name, failed));
    const failures = (await Promise.all(failing))
      .flat()
      .toSorted((a, b) => (b.at?.getTime() ?? 0) - (a.at?.getTime() ?? 0))
      .slice(0, FAILURES);
    return { at: new Date(), suspended, queues, workers, failures };
  }

  async #failures(name: string, failed: number): Promise<Failure[]> {
    const { failed: key } = this.#store.keys.queue(name);
    // what expires last failed last, as a rule
    const [, ids] = await this.#store.queues.registry(key, false, Math.max(0, failed - FAILURES), failed);
    const jobs = await Promise.all(ids.map(id => this.fetchJob(id).catch(() => undefined)));
    return Promise.all(jobs.flatMap(job => (job === undefined ? [] : [failureOf(job)])));
  }

  /**
   * Deletes jobs that have ended, by `status` and `olderThan`; jobs that nothing leads to any more, and ids without a job. In bounded
   * steps, between which a `signal` ends it. An orphan is seen twice, 10 s apart, and was changed by nobody for the `grace`: a
   * worker may have it in its hands.
   * @throws {TypeError | RangeError} for what is no status, queue name or duration.
   */
  async clean(options?: CleanOptions): Promise<CleanReport> {
    return clean(this.#operator, await this.queueNames(), options);
  }

  /** Bytes that jobs take, by queue and by where they are: from a sample of each, measured by Redis. */
  async memory(options?: MemoryOptions & { readonly queues?: readonly string[] }): Promise<MemoryReport> {
    const { queues, ...others } = options ?? {};
    return measure(this.#operator, queues ?? (await this.queueNames()), others);
  }

  /** Looks at Redis for what this library needs, and for what people get wrong. */
  async doctor(options?: DoctorOptions): Promise<Finding[]> {
    return examine(this.#operator, options);
  }

  /** The registered workers, by name. */
  async workers(): Promise<WorkerInfo[]> {
    const found = await this.#site.workers();
    return found
      .map(([name, fields]) => toWorker(name, fields))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The job of this id; `undefined` where there is none. */
  async fetchJob<T = unknown>(id: string): Promise<Job<T> | undefined> {
    const fields = await this.#store.fetch(checkJobId(id));
    return fields === undefined ? undefined : new Job<T>(this.#store, id, fields);
  }

  /** Has all workers, Python's too, take no new job: until `resume()`, or for a time of 1 second or more. */
  async suspend(duration?: Duration): Promise<void> {
    const seconds = duration === undefined ? undefined : parseDuration(duration, 'duration');
    if (seconds !== undefined && seconds < 1)
      throw new RangeError(`duration must be at least 1 second, not ${quote(duration)}`);
    await this.#site.suspend(seconds);
  }

  async resume(): Promise<void> {
    await this.#site.resume();
  }

  async isSuspended(): Promise<boolean> {
    return this.#site.isSuspended();
  }

  /** Closes what this opened; safe twice. */
  async close(): Promise<void> {
    for (const queue of this.#queues.values()) await queue.close();
    this.#store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function toWorker(name: string, fields: Fields): WorkerInfo {
  const pid = Number(textOf(fields, 'pid'));
  return {
    name,
    queues: (textOf(fields, 'queues') ?? '').split(',').filter(queue => queue !== ''),
    state: textOf(fields, 'state') ?? '?',
    hostname: textOf(fields, 'hostname') ?? '',
    ipAddress: textOf(fields, 'ip_address') ?? '',
    pid: Number.isSafeInteger(pid) && pid > 0 ? pid : undefined,
    version: textOf(fields, 'version') ?? '',
    pythonVersion: textOf(fields, 'python_version'),
    birth: timeOf(fields, 'birth'),
    lastHeartbeat: timeOf(fields, 'last_heartbeat'),
    currentJobId: textOf(fields, 'current_job'),
    finished: Number(textOf(fields, 'successful_job_count') ?? 0) || 0,
    failed: Number(textOf(fields, 'failed_job_count') ?? 0) || 0,
    workingTime: Number(textOf(fields, 'total_working_time') ?? 0) || 0,
  };
}
