/** The worker's slots: asks for as many jobs as there is room for, runs them, and waits when there are none. */
import { AsyncResource } from 'node:async_hooks';
import type { Redis } from 'ioredis';
import type { Link } from '../connection.ts';
import { ADVANCE_BATCH, REPLY_MS, WATCH_MS } from '../defaults.ts';
import { LeaseLostError, ShutdownError, StopRequestedError } from '../errors.ts';
import type { FunctionTable } from '../functions.ts';
import type { Outcome, RunRef } from '../outcome.ts';
import { isRedeliverable } from '../retry.ts';
import { Run, type RunOptions } from '../run.ts';
import type { Store } from '../store.ts';
import { perform } from '../tracing.ts';
import type { AdvanceReply, DequeueStrategy } from '../advance.ts';
import type { WorkerStore } from '../worker-store.ts';
import { Endings, type Ending } from './endings.ts';
import { Exchange, type ExchangeHooks, type Settled } from './exchange.ts';
import { Held } from './held.ts';
import { Outlook } from './outlook.ts';
import { Probation } from './probation.ts';
import { StandStill } from './stand-still.ts';
import { Waits } from './waits.ts';

/** Calls that are under way at a time: while Redis works on one, the worker runs the jobs of the other. */
const CALLS = 3;
/** Milliseconds between two looks whether the worker is registered again. */
const UNREGISTERED_MS = 100;

export interface LoopOptions extends RunOptions {
  readonly functions: FunctionTable;
  readonly concurrency: number;
  /** Jobs that are taken ahead of free slots; without it as many as begin in a moment. */
  readonly prefetch: number | undefined;
  readonly strategy: DequeueStrategy;
  /** Most jobs to take; `Infinity` without end. */
  readonly maxJobs: number;
  /** Milliseconds without a job after which the loop ends; `Infinity` for never. */
  readonly maxIdleMs: number;
  /** Ends when the queues are empty. */
  readonly burst: boolean;
}

export interface LoopHooks extends Pick<
  ExchangeHooks,
  'ended' | 'retried' | 'lost' | 'returned' | 'failed' | 'registered'
> {
  readonly started: (run: Run) => void;
  /** The slot was given up, the function goes on. */
  readonly overdue: (run: Run) => void;
  readonly dropped: (queue: string, id: string, reason: string) => void;
  readonly suspended: (is: boolean) => void;
  readonly paused: (queue: string, is: boolean) => void;
}

export class Loop {
  /** Resolves when no more jobs are taken, and those that ran have ended and are handed in. */
  readonly finished: Promise<void>;
  readonly #store: WorkerStore;
  readonly #jobs: Store;
  readonly #link: Link;
  readonly #options: LoopOptions;
  readonly #hooks: LoopHooks;
  readonly #exchange: Exchange;
  readonly #waits: Waits;
  readonly #held: Held;
  readonly #watchdog: NodeJS.Timeout;
  /** Half a lease: runs of a reply that lay here for longer may be another worker's by now. */
  readonly #standStill: StandStill;
  readonly #outlook: Outlook;
  /** Starts that wait for blocking reads to end. */
  #lettingGo = 0;
  readonly #probation: Probation = new Probation(() => this.#kick());
  #taken = 0;
  /** Jobs asked for in calls that are under way; and what has to end early of the runs that these may bring. */
  #asked = 0;
  readonly #endings: Endings = new Endings();
  #taking = true;
  #scheduled = false;
  /** Slots that came free are about to be filled. */
  #filling = false;
  /** A read brought a job, there are slots for more, and they are about to be waited for again. */
  #waitsOn = false;
  #idleTimer: NodeJS.Timeout | undefined;
  #pauseTimer: NodeJS.Timeout | undefined;
  #finish: (() => void) | undefined;

  constructor(store: WorkerStore, jobs: Store, link: Link, options: LoopOptions, hooks: LoopHooks) {
    this.#store = store;
    this.#jobs = jobs;
    this.#link = link;
    this.#options = options;
    this.#hooks = hooks;
    this.#held = new Held(options.concurrency, options.prefetch);
    this.#standStill = new StandStill(store.lease * 500);
    this.#outlook = new Outlook(store.queues.length, {
      suspended: hooks.suspended,
      paused: (place, is) => hooks.paused(this.#queueName(place), is),
      unusable: place => hooks.failed(new Error(wrongType(this.#queueName(place)))),
    });
    this.#exchange = new Exchange(store, link, options.strategy, {
      ...hooks,
      running: () => this.#held.all(),
      still: async () => void (await this.#waits.disarm()),
      ready: () => this.#kick(),
      mended: () => this.#outlook.lookEverywhere(),
    });
    this.#waits = new Waits(store, link, {
      // where each read may bring a job at the same moment: else a call that looks at all claims takes them in their order
      claim: (redis, place) => (this.#free >= store.queues.length ? this.#claim(redis, place) : undefined),
      taken: place => this.#onTaken(place),
      lost: () => this.#exchange.suspect(),
      mayWait: () => hooks.registered(),
      failed: (place, error) =>
        hooks.failed(new Error(`Queue ${this.#queueName(place)} is not waited for: ${error.message}`)),
    });
    this.finished = new Promise(resolve => (this.#finish = resolve));
    this.#watchdog = setInterval(() => {
      this.#standStill.turn();
      for (const run of this.#held.inSlots()) run.checkTime();
      this.#returnStale();
    }, WATCH_MS).unref();
  }

  start(): void {
    this.#kick();
  }

  /** Number of jobs that run now. */
  get busy(): number {
    return this.#held.running;
  }

  /** Whether nothing runs, and nothing is left to be handed in. */
  get idle(): boolean {
    return this.#held.size === 0 && this.#exchange.quiet;
  }

  get connected(): boolean {
    return this.#link.usable;
  }

  get suspended(): boolean {
    return this.#outlook.suspended;
  }

  /** Runs whose leases are to be renewed: their outcomes are not stored yet. */
  runs(): RunRef[] {
    return [...this.#held.all(), ...this.#exchange.unsettled];
  }

  /** The job that has run longest, '' for none. */
  currentJob(): string {
    let oldest: Run | undefined;
    for (const run of this.#held.inSlots())
      if (oldest === undefined || run.began < oldest.began) oldest = run;
    return oldest?.jobId ?? '';
  }

  /** Takes no more jobs, and puts back what idle waits took. `finished` resolves when the running ones have ended. */
  async drain(): Promise<void> {
    this.#taking = false;
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#pauseTimer);
    this.#exchange.giveBack(this.#held.letGo());
    await this.#letGo();
    this.#kick();
  }

  /** Aborts what runs, so that it goes back to its queue: after the grace, or at once. */
  giveUp(atOnce: boolean): void {
    // before a slot is free for them
    this.#exchange.giveBack(this.#held.letGo());
    for (const run of this.#held.inSlots()) {
      run.abort(new ShutdownError(run.jobId, isRedeliverable(run.fields)));
      if (atOnce) run.leave();
    }
  }

  /** Ends one run that somebody asked to stop. */
  stopRun(executionId: string): void {
    this.#end(run => run.executionId === executionId && new StopRequestedError(run.jobId));
  }

  /** Ends one job's runs. */
  stopJob(jobId: string): void {
    this.#end(run => run.jobId === jobId && new StopRequestedError(run.jobId));
  }

  /** Ends what runs now. */
  stopAll(): void {
    for (const run of this.#held.all()) this.#abort(run, new StopRequestedError(run.jobId));
  }

  /** A run is not the job's any more. */
  lose(executionId: string): void {
    this.#end(run => run.executionId === executionId && new LeaseLostError(run.jobId));
  }

  /** Also those that Redis has started and whose replies are on their way: the word about them may be quicker. */
  #end(reason: Ending): void {
    // one that is here was meant: it may be back on its queue when another call brings it
    if (this.#endNow(this.#held.all(), reason)) return;
    this.#endings.add(reason);
  }

  /** Answers whether there was one. */
  #endNow(runs: readonly Run[], reasonOf: Ending): boolean {
    let found = false;
    for (const run of runs) {
      const reason = reasonOf(run);
      if (reason === false) continue;
      this.#abort(run, reason);
      found = true;
    }
    return found;
  }

  #abort(run: Run, reason: StopRequestedError | LeaseLostError): void {
    run.abort(reason);
    // nothing of it has begun: it ends at once, not when a slot is free
    if (this.#held.pull(run)) this.#perform(run);
  }

  /** What was taken ahead because runs were short goes back where they are not any more. */
  #returnStale(): void {
    const stale = this.#held.stale();
    if (stale.length === 0) return;
    this.#taken -= stale.length;
    this.#exchange.giveBack(stale);
    this.#kick();
  }

  /** Ends now, whatever is still to be handed in. */
  end(): void {
    this.#taking = false;
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#pauseTimer);
    clearInterval(this.#watchdog);
    this.#probation.stop();
    this.#waits.close();
    this.#finish?.();
  }

  #kick(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  /** Bound to the worker's own context: what a job's end sets off must not run as if it were that job's. */
  readonly #turn: () => void = AsyncResource.bind(() => {
    this.#scheduled = false;
    if (!this.#exchange.prepare()) return;
    while (this.#exchange.calls < CALLS) {
      const want = this.#wanted();
      if (want === 0 && !this.#exchange.hasOutcomes) break;
      void this.#call(want);
    }
    if (
      this.#waitsOn &&
      this.#outlook.more === 'no' &&
      this.#free > 0 &&
      this.#taking &&
      !this.#exchange.full
    )
      this.#waits.arm(this.#outlook.closed);
    this.#waitsOn = false;
    if (this.#exchange.quiet) this.#rest();
  });

  /** Slots that nothing is taken or asked for. */
  get #free(): number {
    return this.#held.free - this.#asked;
  }

  #wanted(): number {
    if (this.#probation.holds) return 0;
    if (!this.#taking || (!this.#outlook.looks && !this.#outlook.hasClaims)) return 0;
    // a worker that is not heard of can't keep its runs either
    if (!this.#hooks.registered() || this.#exchange.full) return 0;
    const { concurrency, maxJobs } = this.#options;
    // where jobs are known to wait several calls share the slots, so that Redis and the worker are busy at the same time
    const backlog = this.#outlook.more === 'yes';
    const ahead = this.#held.ahead(backlog);
    const capacity = concurrency + ahead;
    if (!backlog && this.#asked > 0) return 0;
    const share = backlog ? Math.ceil(capacity / CALLS) : capacity;
    const want = Math.max(
      0,
      Math.min(this.#free + ahead, share, maxJobs - this.#taken - this.#asked, ADVANCE_BATCH),
    );
    if (this.#probation.ahead)
      return this.#asked + this.#held.waiting > 0 || this.#free <= 0 ? 0 : Math.min(want, 1);
    return want;
  }

  /** Nothing is under way with Redis: ends, or waits for jobs. */
  #rest(): void {
    const { burst, maxJobs, maxIdleMs } = this.#options;
    const outlook = this.#outlook;
    const over = !this.#taking || this.#taken >= maxJobs || (burst && !outlook.looks && !outlook.held);
    if (over) {
      // a read that is being ended may bring a run yet
      if (this.#held.size === 0 && !this.#waits.armed) this.end();
      return;
    }
    if (this.#free <= 0 || this.#probation.holds || (burst && !outlook.held)) return;
    clearTimeout(this.#pauseTimer);
    if (!this.#hooks.registered()) {
      this.#pauseTimer = setTimeout(() => this.#lookAgain(), UNREGISTERED_MS);
      return;
    }
    this.#pauseTimer = setTimeout(() => this.#lookAgain(), outlook.nextLookMs);
    if (burst) return;
    if (outlook.more === 'no') this.#waits.arm(outlook.closed);
    if (maxIdleMs !== Infinity && this.#held.size === 0) {
      this.#idleTimer ??= setTimeout(() => void this.drain(), maxIdleMs);
    }
  }

  #lookAgain(): void {
    this.#outlook.lookAgain();
    this.#kick();
  }

  #onTaken(place: number): void {
    this.#outlook.addClaims([place]);
    this.#lookAgain();
  }

  async #claim(redis: Redis, place: number): Promise<() => void> {
    const sentAt = performance.now();
    const heard = this.#endings.begin();
    const request = { handIns: [], want: 'claims', claims: new Set([place]), strategy: 'default' } as const;
    const reply = await this.#store.advance(redis, request).finally(() => this.#endings.over(heard));
    const stale = this.#standStill.since(sentAt);
    const { late } = heard;
    return () => this.#claimed(reply, late, stale);
  }

  #claimed(reply: AdvanceReply, endings: readonly Ending[], stale: boolean): void {
    const { jobs, closed, unusable, more, probation } = reply;
    if (probation === 'ahead') this.#probation.ahead = true;
    // what is out of the ordinary is learned from a call that looks at all queues
    const special = closed.length > 0 || unusable.length > 0 || probation !== 'none' || more !== 'no';
    // others were quicker, and took the slot that was free when the read began
    const room = Math.min(this.#free, this.#options.maxJobs - this.#taken - this.#asked);
    const taken = !stale && jobs.length <= room && !this.#probation.holds;
    if (special || !taken) this.#lookAgain();
    this.#waitsOn = taken && !special && jobs.length > 0 && jobs.length < room;
    void this.#received(reply, endings, taken);
  }

  async #call(want: number): Promise<void> {
    const sentAt = performance.now();
    const claims = this.#outlook.takeClaims();
    this.#asked += want;
    const single = this.#probation.ahead && want > 0;
    const heard = this.#endings.begin();
    const reply = await this.#exchange.advance(want, claims, single).finally(() => {
      this.#asked -= want;
      this.#endings.over(heard);
    });
    if (reply === undefined) {
      return this.#outlook.addClaims(claims);
    }
    if (single || reply.probation === 'ahead') this.#probation.ahead = reply.probation === 'ahead';
    if (want > 0 || claims.size > 0) {
      this.#outlook.learn(reply, want > 0);
      // where what blocking reads took filled all slots, the queues were not looked at
      if (this.#outlook.more === 'yes' && want <= claims.size) this.#outlook.more = 'perhaps';
    }
    // an end may have put other jobs on the queues, after they were found empty
    else if (reply.answers.length > 0) this.#lookUnlessWaiting();
    await this.#received(reply, heard.all, !this.#standStill.since(sentAt));
  }

  /** What a call brought: its jobs are taken, or go back. */
  async #received(reply: AdvanceReply, endings: readonly Ending[], taken: boolean): Promise<void> {
    for (const { place, id, reason } of reply.dropped)
      this.#hooks.dropped(this.#queueName(place), id, reason);
    if (!taken) this.#exchange.giveBack(this.#runsOf(reply));
    else if (reply.jobs.length > 0) await this.#take(reply, endings);
    this.#kick();
  }

  /** Ends the blocking reads, and puts back at once what they took. */
  async #letGo(): Promise<void> {
    try {
      const taken = await this.#waits.disarm();
      await this.#exchange.sendBack();
      if (!taken && !this.#outlook.hasClaims) return;
      this.#outlook.takeClaims();
      await this.#link.within(REPLY_MS, redis => this.#store.releaseClaims(redis));
    } catch (error) {
      // what is left among the claims is looked for with the next call
      this.#outlook.lookEverywhere();
      this.#hooks.failed(error);
    }
  }

  #runsOf({ jobs, at }: AdvanceReply): Run[] {
    const { worker } = this.#store;
    return jobs.map(job => new Run(this.#jobs, job, { queue: this.#queueName(job.place), worker, at }));
  }

  async #take(reply: AdvanceReply, endings: readonly Ending[]): Promise<void> {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = undefined;
    const runs = this.#runsOf(reply);
    // the worker was told to stop while the call was under way
    if (!this.#taking) return this.#exchange.giveBack(runs);
    this.#taken += runs.length;
    this.#held.add(runs);
    const alone = reply.probation === 'taken';
    if (alone) this.#probation.begin(runs[0]);
    for (const ending of endings) this.#endNow(runs, ending);
    // a function may hold up the event loop: no read may then hold a job that another worker could run
    const full = this.#free <= 0 || alone || this.#taken >= this.#options.maxJobs;
    if (full && (this.#waits.armed || this.#outlook.hasClaims)) {
      this.#lettingGo++;
      await this.#letGo().finally(() => this.#lettingGo--);
    }
    this.#fill();
  }

  /** Starts runs in the order in which they were taken, as many as slots are free now: the event loop has its turn before more. */
  #fill(): void {
    if (this.#lettingGo > 0) return;
    for (const run of this.#held.fill()) this.#start(run);
  }

  readonly #next = (): void => {
    this.#filling = false;
    this.#fill();
  };

  #start(run: Run): void {
    this.#hooks.started(run);
    this.#perform(run);
  }

  #perform(run: Run): void {
    perform(run, this.#options.functions, this.#options, this.#settled);
  }

  readonly #settled = (outcome: Outcome, run: Run): void => {
    const more = this.#held.ended(run);
    this.#probation.ended(run);
    if (run.overdue) this.#hooks.overdue(run);
    if (outcome === 'returned') this.#exchange.giveBack([run]);
    else if (outcome === 'lost') this.#hooks.lost(run);
    else {
      run.ended = outcome;
      this.#exchange.settle(run as Settled);
    }
    // not within the end of another one
    if (more && !this.#filling) {
      this.#filling = true;
      setImmediate(this.#next);
    }
    this.#lookUnlessWaiting();
    this.#kick();
  };

  /** While the slots were full nobody looked; and a job, or its end, may have put others on the queues. */
  #lookUnlessWaiting(): void {
    const outlook = this.#outlook;
    if (outlook.more !== 'no' || this.#waitsOn) return;
    if (this.#options.burst || !this.#waits.armed) outlook.more = 'perhaps';
  }

  #queueName(place: number): string {
    return this.#store.queues[place] ?? '';
  }
}

function wrongType(queue: string): string {
  return `A key of queue ${queue} has the wrong type: nothing is taken from it, and its outcomes are not kept, until it is gone`;
}
