/** The worker's slots: takes jobs, runs them, hands in what they came to. */
import { AsyncResource } from 'node:async_hooks';
import type { Link } from '../connection.ts';
import { ADVANCE_BATCH, BACKOFF_MS, WATCH_MS } from '../defaults.ts';
import { LeaseLostError, ShutdownError, StopRequestedError } from '../errors.ts';
import type { FunctionTable } from '../functions.ts';
import { Run, type Ended, type Outcome, type RunOptions } from '../run.ts';
import type { Store } from '../store.ts';
import type {
  AdvanceReply,
  AdvanceRequest,
  DequeueStrategy,
  HandIn,
  RunRef,
  WorkerStore,
} from '../worker-store.ts';
import { Slots } from './slots.ts';
import { Waits } from './waits.ts';

/** Calls that are under way at a time: while Redis works on one, the worker runs the jobs of the other. */
const CALLS = 2;
/** Milliseconds without a reply after which the link counts as dead. */
const CALL_LIMIT_MS = 30_000;
/** Milliseconds between two looks whether suspended work goes on, as in RQ. */
const SUSPENDED_MS = 1_000;
/** Most outcomes, and most bytes of them, that one call hands in. */
const HAND_IN_BATCH = 1_000;
const HAND_IN_BYTES = 8 * 1024 * 1024;

export interface LoopOptions extends RunOptions {
  readonly functions: FunctionTable;
  readonly concurrency: number;
  readonly strategy: DequeueStrategy;
  /** Most jobs to take; `Infinity` without end. */
  readonly maxJobs: number;
  /** Milliseconds without a job after which the loop ends; `Infinity` for never. */
  readonly maxIdleMs: number;
  /** Ends when the queues are empty. */
  readonly burst: boolean;
}

export interface LoopHooks {
  readonly started: (run: Run) => void;
  /** The outcome was stored. */
  readonly ended: (run: Run, ended: Ended, seconds: number) => void;
  /** The run is not the job's any more: its outcome was not kept. */
  readonly lost: (run: Run) => void;
  readonly returned: (run: Run) => void;
  /** The slot was given up, the function goes on. */
  readonly overdue: (run: Run) => void;
  readonly dropped: (queue: string, id: string, reason: string) => void;
  readonly suspended: (is: boolean) => void;
  readonly failed: (error: unknown) => void;
  /** Whether the worker is surely registered. */
  readonly registered: () => boolean;
}

/** A run with its outcome. */
type Settled = Run & HandIn;

export class Loop {
  readonly #store: WorkerStore;
  readonly #jobs: Store;
  readonly #link: Link;
  readonly #options: LoopOptions;
  readonly #hooks: LoopHooks;
  readonly #waits: Waits;
  readonly #running: Slots = new Slots();
  /** Outcomes that are not handed in yet. */
  #settled: Settled[] = [];
  /** Runs that are to go back to their queues. */
  #returns: Run[] = [];
  #claims: Set<number> = new Set();
  #more: AdvanceReply['more'] = 'yes';
  #taken = 0;
  #asked = 0;
  #calls = 0;
  #taking = true;
  /** A reply was lost: there may be runs at Redis that this worker does not know of. */
  #suspect = false;
  #mending = false;
  /** The last pause after a failed call; 0 since one went well. */
  #backoffMs = 0;
  #paused = false;
  #scheduled = false;
  readonly #watchdog: NodeJS.Timeout;
  #idleTimer: NodeJS.Timeout | undefined;
  #pauseTimer: NodeJS.Timeout | undefined;
  #finish: (() => void) | undefined;
  readonly finished: Promise<void>;

  constructor(store: WorkerStore, jobs: Store, link: Link, options: LoopOptions, hooks: LoopHooks) {
    this.#store = store;
    this.#jobs = jobs;
    this.#link = link;
    this.#options = options;
    this.#hooks = hooks;
    this.#waits = new Waits(store, link, queue => this.#onTaken(queue));
    this.finished = new Promise(resolve => (this.#finish = resolve));
    link.redis.on('ready', () => this.#kick());
    this.#watchdog = setInterval(() => {
      for (const run of this.#running.all()) run.checkTime();
    }, WATCH_MS).unref();
  }

  start(): void {
    this.#kick();
  }

  /** Number of jobs that run now. */
  get busy(): number {
    return this.#running.size;
  }

  get suspended(): boolean {
    return this.#more === 'suspended';
  }

  runs(): RunRef[] {
    return [...this.#running.all(), ...this.#settled];
  }

  /** The job that has run longest, '' for none. */
  currentJob(): string {
    const [first, ...others] = this.#running.all();
    return first === undefined
      ? ''
      : others.reduce((oldest, run) => (run.began < oldest.began ? run : oldest), first).jobId;
  }

  /** Takes no more jobs, and puts back what idle waits took. `finished` resolves when the running ones have ended. */
  async drain(): Promise<void> {
    this.#taking = false;
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#pauseTimer);
    try {
      await this.#waits.disarm();
      await this.#store.releaseClaims(this.#link.redis);
    } catch (error) {
      // what is left among the claims goes back once the worker is not registered any more
      this.#hooks.failed(error);
    }
    this.#kick();
  }

  /** Aborts what runs, so that it goes back to its queue: after the grace, or at once. */
  giveUp(atOnce: boolean): void {
    for (const run of this.#running.all()) {
      run.abort(new ShutdownError(run.jobId));
      if (atOnce) run.leave();
    }
  }

  /** Ends one job's runs, or with '' all. Answers whether there was one. */
  stopJob(jobId: string): boolean {
    let found = false;
    for (const run of this.#running.all()) {
      if (jobId !== '' && run.jobId !== jobId) continue;
      found = true;
      run.abort(new StopRequestedError(run.jobId));
    }
    return found;
  }

  /** A run is not the job's any more. */
  lose(executionId: string): void {
    const run = this.#running.all().find(running => running.executionId === executionId);
    run?.abort(new LeaseLostError(run.jobId));
  }

  close(): void {
    clearInterval(this.#watchdog);
    this.#waits.close();
  }

  #kick(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  /** Bound to the worker's own context: what a job's end sets off must not run as if it were that job's. */
  readonly #turn: () => void = AsyncResource.bind(() => {
    this.#scheduled = false;
    this.#pump();
  });

  get #free(): number {
    return this.#options.concurrency - this.#running.size - this.#asked;
  }

  #pump(): void {
    if (this.#paused || this.#mending || !this.#link.usable) return;
    if (this.#suspect) {
      if (this.#calls === 0) void this.#mend();
      return;
    }
    if (this.#returns.length > 0) void this.#giveBack(this.#returns.splice(0));
    while (this.#calls < CALLS) {
      const want = this.#wanted();
      if (want === 0 && this.#settled.length === 0) break;
      void this.#call(want);
    }
    if (this.#calls === 0 && this.#settled.length === 0 && this.#returns.length === 0) this.#rest();
  }

  #wanted(): number {
    if (!this.#taking || (this.#more !== 'yes' && this.#claims.size === 0)) return 0;
    const { concurrency, maxJobs } = this.#options;
    // two calls share the slots, so that Redis and the worker are busy at the same time
    const share = Math.ceil(concurrency / CALLS);
    return Math.max(0, Math.min(this.#free, share, maxJobs - this.#taken - this.#asked, ADVANCE_BATCH));
  }

  /** Nothing is under way with Redis: ends, or waits for jobs. */
  #rest(): void {
    const { burst, maxJobs, maxIdleMs } = this.#options;
    const over = !this.#taking || this.#taken >= maxJobs || (burst && this.#more !== 'yes');
    if (over && this.#running.size === 0) return this.#end();
    if (over || this.#free <= 0 || burst) return;
    if (this.#more === 'no') {
      if (!this.#hooks.registered()) {
        this.#pauseTimer = setTimeout(() => this.#kick(), 100).unref();
        return;
      }
      this.#waits.arm();
    } else if (this.#more === 'suspended') {
      clearTimeout(this.#pauseTimer);
      this.#pauseTimer = setTimeout(() => this.#look(), SUSPENDED_MS);
    }
    if (maxIdleMs !== Infinity && this.#running.size === 0 && this.#idleTimer === undefined) {
      this.#idleTimer = setTimeout(() => void this.drain(), maxIdleMs);
    }
  }

  #look(): void {
    this.#more = 'yes';
    this.#kick();
  }

  #end(): void {
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#pauseTimer);
    this.#taking = false;
    this.#finish?.();
  }

  #onTaken(queue: number): void {
    this.#claims.add(queue);
    this.#more = 'yes';
    this.#kick();
  }

  async #call(want: number): Promise<void> {
    const handIns = this.#nextHandIns();
    const claims = this.#claims;
    const request: AdvanceRequest = { handIns, want, claims, strategy: this.#options.strategy };
    this.#claims = new Set();
    this.#calls++;
    this.#asked += want;
    let reply: AdvanceReply;
    const late = setTimeout(() => this.#link.reconnect(), CALL_LIMIT_MS);
    try {
      reply = await this.#store.advance(this.#link.redis, request);
    } catch (error) {
      this.#calls--;
      this.#asked -= want;
      this.#settled.unshift(...handIns);
      for (const queue of claims) this.#claims.add(queue);
      this.#refused(error);
      return;
    } finally {
      clearTimeout(late);
    }
    this.#calls--;
    this.#asked -= want;
    this.#backoffMs = 0;
    reply.answers.forEach((answer, i) => this.#answered(handIns[i] as Settled, answer));
    for (const { place, id, reason } of reply.dropped)
      this.#hooks.dropped(this.#queueName(place), id, reason);
    if (want > 0 || claims.size > 0) this.#learn(reply.more);
    if (reply.jobs.length > 0) await this.#take(reply.jobs);
    this.#kick();
  }

  #nextHandIns(): Settled[] {
    let bytes = 0;
    let n = 0;
    while (n < this.#settled.length && n < HAND_IN_BATCH && bytes < HAND_IN_BYTES) {
      bytes += this.#settled[n++]?.ended.text.length ?? 0;
    }
    return this.#settled.splice(0, n);
  }

  #learn(more: AdvanceReply['more']): void {
    if ((more === 'suspended') !== (this.#more === 'suspended')) this.#hooks.suspended(more === 'suspended');
    this.#more = more;
  }

  #answered(run: Settled, answer: AdvanceReply['answers'][number]): void {
    if (answer === 'accepted') return this.#hooks.ended(run, run.ended, run.seconds);
    if (answer === 'wrong type') {
      this.#hooks.failed(
        new Error(
          `A key of queue ${run.queue} has the wrong type: job ${run.jobId} runs again after its lease`,
        ),
      );
    }
    this.#hooks.lost(run);
  }

  async #take(jobs: AdvanceReply['jobs']): Promise<void> {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = undefined;
    this.#taken += jobs.length;
    const runs = jobs.map(job => new Run(this.#jobs, job, this.#queueName(job.place), job.fields));
    if (!this.#taking) {
      // the worker was told to stop while the call was under way
      this.#returns.push(...runs);
      return;
    }
    for (const run of runs) this.#running.add(run);
    // a function may hold up the event loop: no read may then hold a job that another worker could run
    if (this.#free <= 0 && this.#waits.armed) {
      await this.#waits.disarm().catch((error: unknown) => this.#hooks.failed(error));
    }
    for (const run of runs) {
      this.#hooks.started(run);
      run.perform(this.#options.functions, this.#options, outcome => this.#settle(run, outcome));
    }
  }

  #settle(run: Run, outcome: Outcome): void {
    this.#running.remove(run);
    if (run.overdue) this.#hooks.overdue(run);
    if (outcome === 'returned') this.#returns.push(run);
    else if (outcome === 'lost') this.#hooks.lost(run);
    else {
      run.ended = outcome;
      run.seconds = (performance.now() - run.began) / 1000;
      this.#settled.push(run as Settled);
    }
    // while the slots were full nobody looked; and a job may have put others on the queues
    if (this.#more === 'no' && (this.#options.burst || !this.#waits.armed)) this.#more = 'yes';
    this.#kick();
  }

  async #giveBack(returns: readonly Run[]): Promise<void> {
    this.#calls++;
    try {
      await this.#store.giveBack(this.#link.redis, returns);
      for (const run of returns) this.#hooks.returned(run);
    } catch (error) {
      // fenced: what was given back before is passed over
      this.#returns.push(...returns);
      this.#refused(error);
    } finally {
      this.#calls--;
      this.#kick();
    }
  }

  /** A call failed: what it handed in is kept, and after a pause all is tried again. */
  #refused(error: unknown): void {
    const replied = error instanceof Error && error.name === 'ReplyError';
    if (!replied) this.#suspect = true;
    this.#hooks.failed(error);
    if (this.#paused) return;
    this.#paused = true;
    const [first, most] = BACKOFF_MS;
    this.#backoffMs = Math.min(most, Math.max(first, this.#backoffMs * 2));
    setTimeout(
      () => {
        this.#paused = false;
        this.#kick();
      },
      this.#backoffMs * (0.5 + Math.random() / 2),
    );
  }

  /** Gives back runs that Redis has under this worker's name and that it never heard of. */
  async #mend(): Promise<void> {
    this.#mending = true;
    try {
      const found = await this.#store.findRuns(this.#link.redis);
      const known = new Set([...this.runs(), ...this.#returns].map(({ executionId }) => executionId));
      const unknown = found.filter(({ executionId }) => !known.has(executionId));
      for (let first = 0; first < unknown.length; first += ADVANCE_BATCH) {
        await this.#store.giveBack(this.#link.redis, unknown.slice(first, first + ADVANCE_BATCH));
      }
      this.#suspect = false;
      // a read may have taken something as well
      this.#claims = new Set(this.#store.queues.keys());
      this.#more = 'yes';
    } catch (error) {
      this.#refused(error);
    } finally {
      this.#mending = false;
      this.#kick();
    }
  }

  #queueName(place: number): string {
    return this.#store.queues[place] ?? '';
  }
}
