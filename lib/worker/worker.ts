/** A worker: connects, registers, runs jobs until it is told to stop, and leaves nothing behind. */
import { EventEmitter } from 'node:events';
import { Link } from '../connection.ts';
import { BACKOFF_MS, QUEUE, REPLY_MS } from '../defaults.ts';
import { parseDuration, timerMs, type Duration } from '../duration.ts';
import type { ListedCron } from '../cron.ts';
import { writeCron } from '../cron-store.ts';
import { ConnectionError, RqError } from '../errors.ts';
import { Keys } from '../keys.ts';
import type { MetricsServer } from '../metrics/serve.ts';
import { checkCount, checkFlag, checkOptions, messageOf, quote } from '../options.ts';
import { textOf } from '../record.ts';
import { refusalOf, refused, saidBy } from '../refusal.ts';
import type { Run } from '../run.ts';
import { Store } from '../store.ts';
import { WorkerStore } from '../worker-store.ts';
import { Callbacks } from './callbacks.ts';
import { checkRedis } from './checks.ts';
import { Commands } from './command.ts';
import { ErrorHooks, type ErrorHook } from './error-hooks.ts';
import { RunEvent, type WorkerEvents } from './events.ts';
import { Heartbeat } from './heartbeat.ts';
import { Janitor } from './janitor.ts';
import { logTo } from './log.ts';
import { Loop } from './loop.ts';
import { checkWorker, type WorkerOptions, type WorkerSettings } from './settings.ts';

export interface WorkOptions {
  /** Ends when the queues are empty. */
  readonly burst?: boolean;
  /** Ends after this many jobs. */
  readonly maxJobs?: number;
  /** Ends after this long without a job. */
  readonly maxIdleTime?: Duration;
}

/** What is told of a run that ended, by its status. */
const ENDS = { finished: 'jobFinished', failed: 'jobFailed', stopped: 'jobStopped' } as const;
type JobEventName =
  (typeof ENDS)[keyof typeof ENDS] | 'jobStarted' | 'jobLost' | 'jobReturned' | 'jobOverdue';
/** Milliseconds that a worker takes to sign off with a Redis that does not answer. */
const SIGN_OFF_MS = 2_000;
/** Milliseconds between two times that all connections are made anew, after Redis said that it is a replica. */
const MOVE_MS = 1_000;
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
  readonly #settings: WorkerSettings;
  readonly #keys: Keys;
  readonly #link: Link;
  readonly #errorHooks: ErrorHooks | undefined;
  #working: Promise<void> | undefined;
  #stopping: 'warm' | 'cold' | undefined;
  #over = false;
  readonly #callbacks: Callbacks;
  #loop: Loop | undefined;
  #links: Link[] = [];
  #movedAt = -Infinity;
  #wake: (() => void) | undefined;

  /** @throws {TypeError | RangeError} for options that can't be. Nothing is connected before `work()`. */
  constructor(queues: string | readonly string[] = QUEUE, options: WorkerOptions) {
    super();
    this.#settings = checkWorker(queues, options, text => process.nextTick(() => this.emit('warning', text)));
    const { name, queues: names, connection, logger, logDescriptions, onError } = this.#settings;
    this.name = name;
    this.queues = names;
    this.#keys = new Keys(this.#settings.prefix);
    this.#link = Link.own(connection, { persistent: true });
    this.#callbacks = new Callbacks(this.#settings.functions, (run, { option, name: callback }, error) => {
      this.emit('callbackFailed', new RunEvent(run), { option, name: callback, error });
    });
    // before the logger, and whoever else listens: one of them that throws must not keep an error from its hooks
    if (onError.length > 0) this.#errorHooks = this.#makeErrorHooks(onError);
    if (logger !== undefined) logTo(this, logger, logDescriptions);
  }

  #makeErrorHooks(onError: readonly ErrorHook[]): ErrorHooks {
    const hooks = new ErrorHooks(
      onError,
      error => this.#failed(error),
      text => this.emit('warning', text),
    );
    this.on('jobFailed', job => hooks.tell(job)).on('jobRetried', job => hooks.tell(job));
    return hooks;
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
    const maxIdleMs =
      maxIdleTime === undefined ? Infinity : timerMs(parseDuration(maxIdleTime, 'maxIdleTime'));
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
    if (this.#over) return;
    if (was === undefined || (was === 'warm' && this.#working !== undefined)) {
      this.#stopping = was === undefined ? kind : 'cold';
      if (this.#working !== undefined) this.emit('stopping', this.#stopping);
      // what still tries to connect gives up, before there is anything to be handed in
      if (this.#loop === undefined) for (const link of this.#links) if (!link.usable) link.close();
      this.#wake?.();
      if (this.#loop !== undefined) void this.#drain(this.#loop, this.#stopping);
      // a step of the start that Redis does not answer ends with its connection
      else setTimeout(() => this.#links.forEach(link => link.close()), SIGN_OFF_MS).unref();
    }
    await this.#working?.catch(() => {});
  }

  async #drain(loop: Loop, kind: 'warm' | 'cold'): Promise<void> {
    const giveUp = (): void => {
      loop.giveUp(kind === 'cold');
      this.#callbacks.leave();
    };
    if (kind === 'cold') giveUp();
    else setTimeout(giveUp, timerMs(this.#settings.shutdownTimeout)).unref();
    void loop.drain();
    // a Redis that answers lets the loop end by itself; for one that does not there is a limit
    let since = performance.now();
    for (let limit = FLUSH_MS; performance.now() - since <= limit;) {
      await pause(50);
      if (loop.busy > 0) since = performance.now();
      limit = loop.idle ? (loop.connected ? SIGN_OFF_MS : 0) : FLUSH_MS;
    }
    loop.end();
  }

  async #work(burst: boolean, maxJobs: number, maxIdleMs: number): Promise<void> {
    const link = this.#link;
    const control = link.duplicate({ persistent: true });
    const commandLink = link.duplicate({ persistent: true });
    this.#links = [link, control, commandLink];
    this.#report(link);
    const jobs = new Store(control, this.#keys);
    const { lease, maxRecoveries, rates, weights } = this.#settings;
    const store = new WorkerStore(this.#keys, this.name, this.queues, {
      lease,
      maxRecoveries,
      rates,
      weights,
    });
    const channel = this.#keys.commandChannel(this.name);
    const commands = new Commands(commandLink, channel, {
      shutdown: () => void this.stop(),
      stopJob: jobId => this.#loop?.stopJob(jobId),
      stopAll: () => this.#loop?.stopAll(),
      dropExecution: executionId => this.#loop?.lose(executionId),
      missed: () => heartbeat.hurry(),
      warn: text => this.emit('warning', text),
    });
    const heartbeat = new Heartbeat(store, control, {
      state: () => this.#state(),
      runs: () => this.#loop?.runs() ?? [],
      lost: executionId => this.#loop?.lose(executionId),
      stop: executionId => this.#loop?.stopRun(executionId),
      failed: error => this.#failed(error),
    });
    const janitor = new Janitor(store, control, {
      swept: (queue, { recovered, abandoned }) => {
        if (recovered.length > 0) this.emit('recovered', queue, recovered);
        if (abandoned.length > 0) this.emit('abandoned', queue, abandoned);
      },
      failed: (_, error) => this.#failed(error),
      ticked: (queue, name, jobId) => this.emit('cronQueued', { name, queue, jobId }),
      warn: text => this.emit('warning', text),
    });
    const needs = {
      // the metrics have one of their own
      connections:
        this.#links.length - 1 + this.queues.length + (this.#settings.metrics === undefined ? 0 : 1),
      allowEviction: this.#settings.allowEviction,
    };
    let metrics: MetricsServer | undefined;
    try {
      // before Redis is asked for: who looks after processes asks from the start
      metrics = await this.#serveMetrics(store, link, heartbeat);
      await this.#insist(link, () => link.within(REPLY_MS, redis => checkRedis(redis, needs)));
      await this.#insist(control, () => heartbeat.start());
      if (this.#stopping === undefined) this.emit('started', this.name);
      await this.#insist(commandLink, () => commands.start());
      if (this.#stopping !== undefined) return;
      this.emit('subscribing', channel);
      this.emit('listening', this.queues);
      for (const cron of this.#settings.crons)
        await this.#insist(control, () => this.#setCron(control, cron));
      if (this.#stopping !== undefined) return;
      for (const queue of this.queues) this.emit('cleaning', queue);
      await janitor.start();
      if (this.#stopping !== undefined) return;
      const loop = this.#makeLoop(store, jobs, link, heartbeat, { burst, maxJobs, maxIdleMs });
      this.#loop = loop;
      loop.start();
      await loop.finished;
      await this.#callbacks.settled();
    } finally {
      const signedOff = janitor.stop().then(() => heartbeat.stop());
      await Promise.race([Promise.all([signedOff, this.#errorHooks?.settled()]), pause(SIGN_OFF_MS)]);
      metrics?.close();
      commands.stop();
      jobs.close();
      for (const each of this.#links) each.close();
      this.#over = true;
      this.emit('stopped');
    }
  }

  async #setCron(link: Link, { queue, cron }: ListedCron): Promise<void> {
    const set = await link.within(REPLY_MS, redis => writeCron(redis, this.#keys.queue(queue), cron));
    if (set !== undefined) this.emit('cronSet', set);
    else this.emit('warning', `Cron ${cron.name} of queue ${queue} never comes, by the clock of Redis`);
  }

  /** What nobody asked for is not even loaded. */
  async #serveMetrics(
    store: WorkerStore,
    link: Link,
    heartbeat: Heartbeat,
  ): Promise<MetricsServer | undefined> {
    const { metrics: where, functions, concurrency } = this.#settings;
    if (where === undefined) return undefined;
    const { MetricsServer: Metrics } = await import('../metrics/serve.ts');
    const subject = {
      worker: this,
      store,
      link,
      concurrency,
      isKnown: (name: string) => functions.has(name),
      running: () => this.#loop?.busy ?? 0,
      health: () => ({
        connected: link.usable,
        registered: heartbeat.fresh,
        sinceHeartbeat: heartbeat.silence,
        patience: heartbeat.patience,
        started: this.#loop !== undefined,
        stopping: this.#stopping !== undefined,
      }),
      warn: (text: string) => this.emit('warning', text),
    };
    const served = await Metrics.start(subject, where);
    this.emit('serving', served.url);
    return served;
  }

  /** Says when the connection that jobs come over is lost, and when it is back. */
  #report(link: Link): void {
    let lost = false;
    link.redis.on('close', () => {
      if (lost || this.#over || this.#stopping !== undefined) return;
      lost = true;
      const why = link.lastError === undefined ? '' : `: ${saidBy(link.lastError)}`;
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
        const answer = error instanceof ConnectionError ? error.cause : error;
        if (answer instanceof Error && answer.name === 'ReplyError' && refusalOf(answer)?.passes !== true)
          throw answer === error ? refused('let a worker start', answer) : error;
        if (error instanceof RqError && !(error instanceof ConnectionError)) throw error;
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
    const { functions, concurrency, prefetch, strategy, resultTtl, grace } = this.#settings;
    const warn = (text: string): unknown => this.emit('warning', text);
    const options = { ...until, functions, concurrency, prefetch, strategy, resultTtl, grace, warn };
    return new Loop(store, jobs, link, options, {
      started: run => {
        this.#warnOfCallbacks(run);
        this.#tell('jobStarted', run);
      },
      ended: run => {
        heartbeat.count(run.ended.status === 'finished', run.seconds);
        this.#tell(ENDS[run.ended.status], run);
        this.#callbacks.ended(run);
      },
      retried: (run, when) => {
        heartbeat.count(false, run.seconds);
        this.emit('jobRetried', new RunEvent(run), when);
      },
      lost: run => this.#tell('jobLost', run),
      returned: run => this.#tell('jobReturned', run),
      overdue: run => this.#tell('jobOverdue', run),
      dropped: (queue, jobId, reason) => this.emit('jobDropped', { jobId, queue, reason }),
      suspended: is => this.emit(is ? 'suspended' : 'resumed'),
      paused: (queue, is) => this.emit(is ? 'queuePaused' : 'queueResumed', queue),
      failed: error => this.#failed(error),
      registered: () => heartbeat.fresh,
    });
  }

  /** Python's callbacks are functions of Python's: what can't be called is left alone, and said. */
  #warnOfCallbacks(run: Run): void {
    if (!run.pythons) return;
    for (const when of ['success', 'failure', 'stopped']) {
      const name = textOf(run.fields, `${when}_callback_name`);
      if (name === undefined) continue;
      const text = `Job ${run.jobId} names a ${when} callback of Python's, ${quote(name)}: it is not called here`;
      this.emit('warning', text);
    }
  }

  #tell(event: JobEventName, run: Run): void {
    if (this.listenerCount(event) > 0) this.emit(event, new RunEvent(run));
  }

  /**
   * Emits an event. A listener that throws, the logger's among them, is told of as an `error`: it must not cost a job, a
   * slot, or the worker its stop.
   */
  override emit<E extends keyof WorkerEvents>(event: E, ...args: WorkerEvents[E]): boolean {
    try {
      return (super.emit as (event: E, ...args: WorkerEvents[E]) => boolean).call(this, event, ...args);
    } catch (error) {
      if (event === 'error')
        process.emitWarning(`A listener of a worker's errors threw: ${messageOf(error)}`);
      else this.#failed(error);
      return true;
    }
  }

  #failed(error: unknown): void {
    // a lost connection has an event of its own
    const lost =
      error instanceof Error &&
      /^(Connection is closed|Stream isn't writeable|Reached the max retries)/.test(error.message);
    if (refusalOf(error)?.moved === true) this.#moveOn();
    if (lost || this.listenerCount('error') === 0) return;
    if (!(error instanceof Error)) this.emit('error', new Error(messageOf(error)));
    else this.emit('error', error.name === 'ReplyError' ? refused('serve a worker', error) : error);
  }

  /** After a failover: the connections are made anew, so that they find the Redis that is written to now. */
  #moveOn(): void {
    const now = performance.now();
    if (now - this.#movedAt < MOVE_MS) return;
    this.#movedAt = now;
    for (const link of this.#links) link.reconnect();
  }

  #state(): { state: 'started' | 'idle' | 'busy' | 'suspended'; currentJob: string } {
    const loop = this.#loop;
    if (loop === undefined) return { state: 'started', currentJob: '' };
    if (loop.busy > 0) return { state: 'busy', currentJob: loop.currentJob() };
    return { state: loop.suspended ? 'suspended' : 'idle', currentJob: '' };
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms).unref());
}
