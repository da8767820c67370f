/** All queues and workers of one Redis: what `rq` shows, and what holds for all of them. */
import { Link, type ConnectionOption } from './connection.ts';
import { parseDuration, type Duration } from './duration.ts';
import { Job } from './job.ts';
import { Keys } from './keys.ts';
import { checkJobId, checkName, checkOptions } from './options.ts';
import { Queue } from './queue.ts';
import { textOf, timeOf, type Fields } from './record.ts';
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
}

/**
 * @example
 * await using rq = new Rq();
 * for (const queue of await rq.queues()) console.log(queue.name, await queue.count());
 */
export class Rq implements AsyncDisposable {
  readonly #link: Link;
  readonly #store: Store;
  readonly #prefix: string | undefined;
  readonly #queues: Map<string, Queue> = new Map();

  constructor(options?: RqOptions) {
    const { connection, prefix } = checkOptions(options, ['connection', 'prefix'], 'Rq');
    this.#prefix = prefix === undefined ? undefined : checkName(prefix, 'prefix');
    this.#link = Link.to(connection);
    this.#store = new Store(this.#link, new Keys(this.#prefix));
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

  /** The queues that jobs were ever put on, by name. */
  async queues(): Promise<Queue[]> {
    const names = await this.#store.queueNames();
    return names.toSorted().map(name => this.queue(name));
  }

  async counts(name: string): Promise<QueueCounts> {
    const queue = this.queue(name);
    const [queued, started, finished, failed, deferred, scheduled, canceled] = await Promise.all([
      queue.count(),
      queue.startedRegistry.count(),
      queue.finishedRegistry.count(),
      queue.failedRegistry.count(),
      queue.deferredRegistry.count(),
      queue.scheduledRegistry.count(),
      queue.canceledRegistry.count(),
    ]);
    return { name, queued, started, finished, failed, deferred, scheduled, canceled };
  }

  /** The registered workers, by name. */
  async workers(): Promise<WorkerInfo[]> {
    const found = await this.#store.workers();
    return found
      .map(([name, fields]) => toWorker(name, fields))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The job of this id; `undefined` where there is none. */
  async fetchJob<T = unknown>(id: string): Promise<Job<T> | undefined> {
    const fields = await this.#store.fetch(checkJobId(id));
    return fields === undefined ? undefined : new Job<T>(this.#store, id, fields);
  }

  /** Has all workers, Python's too, take no new job: until `resume()`, or for a time. */
  async suspend(duration?: Duration): Promise<void> {
    await this.#store.suspend(duration === undefined ? undefined : parseDuration(duration, 'duration'));
  }

  async resume(): Promise<void> {
    await this.#store.resume();
  }

  async isSuspended(): Promise<boolean> {
    return this.#store.isSuspended();
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
