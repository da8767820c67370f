/** A worker: connects, registers, runs jobs until it is told to stop, and leaves nothing behind. */
import { EventEmitter } from 'node:events';
import { randomUUID } from 'node:crypto';
import { Link, type ConnectionOption } from '../connection.ts';
import {
  BACKOFF_MS,
  CONCURRENCY,
  GRACE,
  LEASE,
  LEAST_LEASE,
  QUEUE,
  RESULT_TTL,
  SHUTDOWN_TIMEOUT,
} from '../defaults.ts';
import { parseDuration, storedTtl, type Duration } from '../duration.ts';
import { ConnectionError, RqError } from '../errors.ts';
import { register, type FunctionSource, type FunctionTable, type TaskFunction } from '../functions.ts';
import { Keys } from '../keys.ts';
import { checkCount, checkFlag, checkKnown, checkName, checkOptions, messageOf, quote } from '../options.ts';
import type { Ended } from '../outcome.ts';
import type { Run } from '../run.ts';
import { Store } from '../store.ts';
import { WorkerStore, type DequeueStrategy } from '../worker-store.ts';
import { checkRedis } from './checks.ts';
import { Commands } from './command.ts';
import { RunEvent, type WorkerEvents } from './events.ts';
import { Heartbeat } from './heartbeat.ts';
import { Janitor } from './janitor.ts';
import { logTo, type Logger } from './log.ts';
import { Loop } from './loop.ts';

export interface WorkerOptions {
  /** As for `Queue`. A client that is handed in is only asked where Redis is: the worker opens connections of its own. */
  readonly connection?: ConnectionOption;
  /** What every key begins with; `rq` by default. */
  readonly prefix?: string;
  /** The functions that jobs may call: a module, an object, or a map by name. */
  readonly functions: FunctionSource | FunctionTable;
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
  /** Order of the queues: strictly as given (`default`), each in turn (`round_robin`), or by chance (`random`). */
  readonly dequeueStrategy?: DequeueStrategy;
  /** Works on a Redis that may evict keys, and so lose jobs. `false` by default. */
  readonly allowEviction?: boolean;
  /** Anything with pino's methods; silent by default. */
  readonly logger?: Logger;
  /** Whether jobs' descriptions, and so their arguments, are logged. `true` by default. */
  readonly logDescriptions?: boolean;
}

export interface WorkOptions {
  /** Ends when the queues are empty. */
  readonly burst?: boolean;
  /** Ends after this many jobs. */
  readonly maxJobs?: number;
  /** Ends after this long without a job. */
  readonly maxIdleTime?: Duration;
}

const WORKER_OPTIONS = [
  'connection',
  'prefix',
  'functions',
  'concurrency',
  'name',
  'resultTtl',
  'shutdownTimeout',
  'grace',
  'lease',
  'dequeueStrategy',
  'allowEviction',
  'logger',
  'logDescriptions',
];
const STRATEGIES: readonly string[] = ['default', 'round_robin', 'random'];
/** Milliseconds that a worker takes to sign off with a Redis that does not answer. */
const SIGN_OFF_MS = 2_000;
/** Milliseconds that a stopping worker waits for a Redis that does not take the last outcomes. */
const FLUSH_MS = 5_000;

/**
 * Runs the jobs of one or more queues in this process. Its life: connected, registered, listening; then jobs, until
 * `stop()`, a `shutdown` command, or the end that `work()` was given.
 *
 * @example
 * const worker = new Worker(['high', 'low'], { functions: await import('./tasks.js'), concurrency: 10 });
 * process.once('SIGTERM', () => void worker.stop());
 * await worker.work();
 */
export class Worker extends EventEmitter<WorkerEvents> {
  readonly name: string;
  readonly queues: readonly string[];
  readonly #keys: Keys;
  readonly #functions: FunctionTable;
  readonly #options: WorkerOptions;
  readonly #concurrency: number;
  readonly #strategy: DequeueStrategy;
  readonly #resultTtl: number;
  readonly #shutdownTimeout: number;
  readonly #grace: number;
  readonly #lease: number;
  #working: Promise<void> | undefined;
  #stopping: 'warm' | 'cold' | undefined;
  #loop: Loop | undefined;
  #links: Link[] = [];
  #wake: (() => void) | undefined;

  /** @throws {TypeError | RangeError} for options that can't be. Nothing is connected before `work()`. */
  constructor(queues: string | readonly string[] = QUEUE, options: WorkerOptions) {
    super();
    const given = checkOptions(options, WORKER_OPTIONS, 'Worker');
    const names = typeof queues === 'string' ? [queues] : queues;
    if (!Array.isArray(names) || names.length === 0) {
      throw new TypeError(`queues must be a queue name, or an array of at least one, not ${quote(queues)}`);
    }
    this.queues = [...new Set(names.map(name => checkName(name, 'queue name')))];
    this.name =
      given.name === undefined ? randomUUID().replaceAll('-', '') : checkName(given.name, 'worker name');
    this.#keys = new Keys(given.prefix === undefined ? undefined : checkName(given.prefix, 'prefix'));
    this.#concurrency = checkCount(given.concurrency ?? CONCURRENCY, 'concurrency', 1);
    checkKnown(given.dequeueStrategy ?? 'default', STRATEGIES, 'dequeueStrategy');
    this.#strategy = given.dequeueStrategy ?? 'default';
    this.#resultTtl = storedTtl(given.resultTtl ?? RESULT_TTL, 'resultTtl');
    this.#shutdownTimeout = parseDuration(given.shutdownTimeout ?? SHUTDOWN_TIMEOUT, 'shutdownTimeout');
    this.#grace = parseDuration(given.grace ?? GRACE, 'grace');
    this.#lease = parseDuration(given.lease ?? LEASE, 'lease');
    if (this.#lease < LEAST_LEASE) {
      throw new RangeError(`lease must be ${LEAST_LEASE} seconds or more, not ${quote(given.lease)}`);
    }
    if (given.allowEviction !== undefined) checkFlag(given.allowEviction, 'allowEviction');
    this.#functions = toTable(given.functions, text => process.nextTick(() => this.emit('warning', text)));
    this.#options = given;
    if (given.logger !== undefined) logTo(this, given.logger, given.logDescriptions ?? true);
  }

  /**
   * Runs jobs; resolves once the worker has stopped. Can be called once.
   * @throws {RedisSettingError} where this Redis can't keep what is promised.
   */
  work(options?: WorkOptions): Promise<void> {
    const {
      burst = false,
      maxJobs,
      maxIdleTime,
    } = checkOptions(options, ['burst', 'maxJobs', 'maxIdleTime'], 'work');
    checkFlag(burst, 'burst');
    if (maxJobs !== undefined) checkCount(maxJobs, 'maxJobs', 1);
    const maxIdleMs = maxIdleTime === undefined ? Infinity : parseDuration(maxIdleTime, 'maxIdleTime') * 1000;
    if (this.#working !== undefined)
      throw new RqError('RQ_WORKER_USED', 'A worker works once: make a new one');
    this.#working = this.#work(burst, maxJobs ?? Infinity, maxIdleMs);
    return this.#working;
  }

  /**
   * Warm: takes no more jobs, and waits for the running ones for `shutdownTimeout`; then, or at once where it is cold,
   * they are aborted and go back to the front of their queues. Resolves when the worker has stopped; safe before it
   * started, and twice (a second call makes it cold).
   */
  async stop(kind: 'warm' | 'cold' = 'warm'): Promise<void> {
    const was = this.#stopping;
    if (was === undefined || (was === 'warm' && this.#working !== undefined)) {
      this.#stopping = was === undefined ? kind : 'cold';
      if (this.#working !== undefined) this.emit('stopping', this.#stopping);
      // what still tries to connect gives up
      for (const link of this.#links) if (!link.usable) link.close();
      this.#wake?.();
      if (this.#loop !== undefined) void this.#drain(this.#loop, this.#stopping);
    }
    await this.#working?.catch(() => {});
  }

  async #drain(loop: Loop, kind: 'warm' | 'cold'): Promise<void> {
    if (kind === 'cold') loop.giveUp(true);
    else setTimeout(() => loop.giveUp(false), this.#shutdownTimeout * 1000).unref();
    void loop.drain();
    // a Redis that answers lets the loop end by itself; for one that does not there is a limit
    for (let waited = 0; waited < FLUSH_MS && !(loop.idle && !loop.connected); waited += 100) {
      await pause(100);
      if (loop.busy > 0) waited = 0;
    }
    loop.end();
  }

  async #work(burst: boolean, maxJobs: number, maxIdleMs: number): Promise<void> {
    const link = Link.own(this.#options.connection, { persistent: true });
    const control = link.duplicate({ persistent: true });
    const commandLink = link.duplicate({ persistent: true });
    this.#links = [link, control, commandLink];
    this.#report(link);
    const jobs = new Store(control, this.#keys);
    const store = new WorkerStore(this.#keys, this.name, this.queues, this.#lease);
    const channel = this.#keys.commandChannel(this.name);
    const commands = new Commands(commandLink, channel, {
      shutdown: () => void this.stop(),
      stopJob: jobId => this.#loop?.stopJob(jobId),
      warn: text => this.emit('warning', text),
    });
    const heartbeat = new Heartbeat(store, control, {
      state: () => this.#state(),
      runs: () => this.#loop?.runs() ?? [],
      lost: executionId => this.#loop?.lose(executionId),
      failed: error => this.#failed(error),
    });
    const janitor = new Janitor(store, control, {
      swept: (queue, { recovered, abandoned }) => {
        if (recovered.length > 0) this.emit('recovered', queue, recovered);
        if (abandoned.length > 0) this.emit('abandoned', queue, abandoned);
      },
      failed: (_, error) => this.#failed(error),
    });
    const needs = {
      connections: this.#links.length - 1 + this.queues.length,
      allowEviction: this.#options.allowEviction ?? false,
    };
    try {
      await this.#insist(link, () => checkRedis(link.redis, needs));
      await this.#insist(control, () => heartbeat.start());
      if (this.#stopping === undefined) this.emit('started', this.name);
      await this.#insist(commandLink, () => commands.start());
      if (this.#stopping !== undefined) return;
      this.emit('subscribing', channel);
      this.emit('listening', this.queues);
      for (const queue of this.queues) this.emit('cleaning', queue);
      await janitor.start();
      if (this.#stopping !== undefined) return;
      const loop = this.#makeLoop(store, jobs, link, heartbeat, { burst, maxJobs, maxIdleMs });
      this.#loop = loop;
      loop.start();
      await loop.finished;
    } finally {
      await Promise.race([janitor.stop().then(() => heartbeat.stop()), pause(SIGN_OFF_MS)]);
      jobs.close();
      for (const each of this.#links) each.close();
      this.emit('stopped');
    }
  }

  /** Says when the connection that jobs come over is lost, and when it is back. */
  #report(link: Link): void {
    let lost = false;
    link.redis.on('close', () => {
      if (lost || this.#stopping !== undefined) return;
      lost = true;
      const why = link.lastError === undefined ? '' : `: ${link.lastError.message}`;
      this.emit('disconnected', new ConnectionError(`No connection to Redis at ${link.address}${why}`));
    });
    link.redis.on('ready', () => {
      if (lost) this.emit('reconnected');
      lost = false;
    });
  }

  /** Takes a step of the start over a connection, again and again while it is the connection that fails. */
  async #insist(link: Link, step: () => Promise<void>): Promise<void> {
    while (this.#stopping === undefined) {
      try {
        await link.ready();
        return await step();
      } catch (error) {
        const refused =
          error instanceof Error && error.name === 'ReplyError' && !error.message.startsWith('LOADING');
        if (refused || (error instanceof RqError && !(error instanceof ConnectionError))) throw error;
        await new Promise<void>(resolve => {
          this.#wake = resolve;
          setTimeout(resolve, BACKOFF_MS[0]);
        });
      }
    }
  }

  #makeLoop(
    store: WorkerStore,
    jobs: Store,
    link: Link,
    heartbeat: Heartbeat,
    until: { readonly burst: boolean; readonly maxJobs: number; readonly maxIdleMs: number },
  ): Loop {
    const options = {
      ...until,
      functions: this.#functions,
      concurrency: this.#concurrency,
      strategy: this.#strategy,
      resultTtl: this.#resultTtl,
      grace: this.#grace,
    };
    return new Loop(store, jobs, link, options, {
      started: run => this.listenerCount('jobStarted') > 0 && this.emit('jobStarted', new RunEvent(run)),
      ended: run => {
        heartbeat.count(run.ended.status === 'finished', run.seconds);
        this.#ended(run, run.ended, run.seconds);
      },
      lost: run => this.emit('jobLost', new RunEvent(run)),
      returned: run => this.emit('jobReturned', new RunEvent(run)),
      overdue: run => this.emit('jobOverdue', new RunEvent(run)),
      dropped: (queue, jobId, reason) => this.emit('jobDropped', { jobId, queue, reason }),
      suspended: is => this.emit(is ? 'suspended' : 'resumed'),
      failed: error => this.#failed(error),
      registered: () => heartbeat.fresh,
    });
  }

  #ended(run: Run, { status, ttl, text, error }: Ended, seconds: number): void {
    const event = status === 'finished' ? 'jobFinished' : status === 'failed' ? 'jobFailed' : 'jobStopped';
    if (this.listenerCount(event) === 0) return;
    this.emit(event, new RunEvent(run, { seconds, ttl, error, text: status === 'finished' ? '' : text }));
  }

  #failed(error: unknown): void {
    // a lost connection has an event of its own
    const lost =
      error instanceof Error &&
      /^(Connection is closed|Stream isn't writeable|Reached the max retries)/.test(error.message);
    if (lost || this.listenerCount('error') === 0) return;
    this.emit('error', error instanceof Error ? error : new Error(String(error)));
  }

  #state(): { state: 'started' | 'idle' | 'busy' | 'suspended'; currentJob: string } {
    const loop = this.#loop;
    if (loop === undefined) return { state: 'started', currentJob: '' };
    if (loop.busy > 0) return { state: 'busy', currentJob: loop.currentJob() };
    return { state: loop.suspended ? 'suspended' : 'idle', currentJob: '' };
  }
}

function toTable(functions: FunctionSource | FunctionTable, warn: (text: string) => void): FunctionTable {
  if (functions instanceof Map) return functions as FunctionTable;
  const table = new Map<string, TaskFunction>();
  try {
    register(table, functions as FunctionSource, { warn });
  } catch (error) {
    throw new TypeError(`functions can't be registered: ${messageOf(error)}`, { cause: error });
  }
  return table;
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms).unref());
}
