/** One run of one job: calls its function, holds it to its limits, and says what came of it. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { GRACE, TIMEOUT } from './defaults.ts';
import {
  type CallbackTimeoutError,
  ConnectionError,
  FunctionNotRegisteredError,
  InvalidJobError,
  JobSoftTimeoutError,
  JobTimeoutError,
  LeaseLostError,
  ShutdownError,
  StopRequestedError,
} from './errors.ts';
import { timerMs } from './duration.ts';
import { fillIn } from './fill-in.ts';
import type { FunctionTable, TaskFunction } from './functions.ts';
import { isJobId, messageOf, quote } from './options.ts';
import type { Ended, Outcome, RunRef } from './outcome.ts';
import { Reporter } from './progress.ts';
import {
  STATUSES,
  dataOf,
  isPythons,
  parseCall,
  statusOf,
  wholeNumberOf,
  type CallRecord,
  type Fields,
} from './record.ts';
import { holdsTokens } from './reference.ts';
import { isRedeliverable } from './retry.ts';
import { failed, finished } from './run-end.ts';
import type { Store } from './store.ts';

/** What ends a run early, as the `reason` of its signal. */
export type AbortReason =
  | JobSoftTimeoutError
  | JobTimeoutError
  | StopRequestedError
  | ShutdownError
  | LeaseLostError
  | CallbackTimeoutError;

export interface RunOptions {
  /** Seconds that a result is kept whose job does not say. */
  readonly resultTtl?: number;
  /** Seconds that a function may go on after its signal was aborted. */
  readonly grace?: number;
  /** Is told what went wrong without harm to the run. */
  readonly warn?: (text: string) => unknown;
}

/** A job that was started, with its fields as they were before. */
export interface StartedJob extends RunRef {
  readonly fields: Fields;
}

/** Who started a job, from which queue, and when by Redis' clock. */
export interface Starter {
  readonly queue: string;
  readonly worker: string;
  readonly at: string;
}

/** Shared by all copies of this package in the process: a worker installed globally runs modules that import their own. */
const SHARED = Symbol.for('rq-node.currentRun');
const shared = globalThis as typeof globalThis & { [SHARED]?: AsyncLocalStorage<Run> };
const current: AsyncLocalStorage<Run> = (shared[SHARED] ??= new AsyncLocalStorage());

/** The run that the calling code belongs to, however deep in asynchronous calls. */
export function currentRun(): Run | undefined {
  return current.getStore();
}

/** Calls a function so that it, and what it calls, belongs to a run. */
export function withinRun(run: Run, fn: TaskFunction, args: readonly unknown[]): unknown {
  return current.run(run, fn, ...args);
}

/** Is told what a run came to; one function for all runs, as one for each would be made for nothing. */
export type Done = (outcome: Outcome, run: Run) => void;

export class Run {
  readonly jobId: string;
  readonly executionId: string;
  /** Name of the queue, and its place among the worker's. */
  readonly queue: string;
  readonly place: number;
  readonly fields: Fields;
  /** Over which the job itself is reached. */
  readonly store: Store;
  /** When it was started, by this process' monotonic clock, in milliseconds. */
  began = 0;
  /** Which of the worker's slots it takes. */
  slot = -1;
  /** What is handed in for it, once it has ended, and how long it ran, in seconds. */
  ended: Ended | undefined;
  seconds = 0;
  /** When Redis started it, in RQ's form, and under which worker's name. */
  readonly startedAt: string;
  readonly worker: string;
  /** How often its outcome was sent and no answer came. */
  tries = 0;
  /** Set where the function was still running when its slot was given up. */
  overdue = false;
  #call: CallRecord | undefined;
  #raw: Buffer | string | undefined;
  #reason: AbortReason | undefined;
  #controller: AbortController | undefined;
  #options: RunOptions = {};
  #timeout = -1;
  #softTimeout = -1;
  #reporter: Reporter | undefined;
  #done: Done | undefined;
  #graceTimer: NodeJS.Timeout | undefined;

  constructor(store: Store, { place, jobId, executionId, fields }: StartedJob, by: Starter) {
    this.store = store;
    this.place = place;
    this.jobId = jobId;
    this.executionId = executionId;
    this.queue = by.queue;
    this.worker = by.worker;
    this.startedAt = by.at;
    this.fields = fields;
  }

  /** @throws {InvalidJobError} */
  get call(): CallRecord {
    return (this.#call ??= parseCall(this.jobId, dataOf(this.jobId, this.#data)));
  }

  /** Whether the job was written by Python, compressed. */
  get pythons(): boolean {
    return isPythons(this.#data);
  }

  get #data(): Buffer | string | undefined {
    return (this.#raw ??= this.fields.get('data'));
  }

  /** Aborted when the run is to end early; made when it is first asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Takes what the function says of its progress; made when it first does. */
  get reporter(): Reporter {
    let told = false;
    return (this.#reporter ??= new Reporter(
      json => this.store.saveProgress(this.jobId, json, this),
      error => {
        if (!told) this.#options.warn?.(`Progress of job ${this.jobId} is not stored: ${messageOf(error)}`);
        told = true;
      },
    ));
  }

  /** Why the run is to end early, once it is. */
  get reason(): AbortReason | undefined {
    return this.#reason;
  }

  /**
   * The first reason counts, but that the run was lost overrides all: then no outcome is to be handed in. And a soft
   * timeout, which only gives notice, leaves room for any other.
   */
  abort(reason: AbortReason): void {
    const was = this.#reason;
    const soft = was instanceof JobSoftTimeoutError;
    if (was !== undefined && !soft && !(reason instanceof LeaseLostError)) return;
    this.#reason = reason;
    const ending = was === undefined || soft;
    if (ending && this.#pending && !(reason instanceof JobSoftTimeoutError))
      this.#graceTimer = setTimeout(() => this.leave(), timerMs(this.#options.grace ?? GRACE));
    // once only, as every signal: who listens for a soft timeout has been told
    if (was === undefined) this.#controller?.abort(reason);
  }

  /**
   * Aborts the run when its time, or its soft time, is over. Whoever runs jobs calls this now and then: a timer for each run would be made
   * and cleared for nothing in nearly every case.
   */
  checkTime(): void {
    if (!this.#pending) return;
    const seconds = (performance.now() - this.began) / 1000;
    if (this.#timeout > 0 && seconds >= this.#timeout) {
      this.abort(new JobTimeoutError(this.jobId, this.#timeout));
    } else if (this.#softTimeout > 0 && seconds >= this.#softTimeout && this.#reason === undefined) {
      this.abort(new JobSoftTimeoutError(this.jobId, this.#softTimeout));
    }
  }

  /** Leaves an aborted run's function behind without waiting for it any longer. */
  leave(): void {
    if (!this.#pending) return;
    this.overdue = true;
    this.#settle(this.#interrupted());
  }

  /**
   * Runs the function of the job's name, and calls `done` once, at some time, with what came of it. Never throws. A
   * function that is not over `grace` after an abort is left behind.
   */
  perform(functions: FunctionTable, options: RunOptions, done: Done): void {
    // nothing of it has begun, so it may be run elsewhere whatever the job says
    if (this.#reason instanceof ShutdownError) return done('returned', this);
    if (this.#reason !== undefined) return done(this.#interrupted(), this);
    let call: CallRecord;
    let fn: TaskFunction | undefined;
    let timeout: number;
    let missing: string | undefined;
    try {
      this.#check();
      call = this.call;
      if (this.fields.get('takes_results') !== undefined) {
        const data = dataOf(this.jobId, this.#data).toString();
        if (holdsTokens(data)) missing = data;
      }
      timeout = wholeNumberOf(this.jobId, this.fields, 'timeout') ?? TIMEOUT;
      this.#softTimeout = wholeNumberOf(this.jobId, this.fields, 'soft_timeout') ?? -1;
      fn = functions.get(call.functionName);
      if (fn === undefined) {
        throw new FunctionNotRegisteredError(this.jobId, call.functionName, [...functions.keys()].toSorted());
      }
    } catch (error) {
      return done(failed(this, error), this);
    }
    this.#done = done;
    this.#options = options;
    this.began = performance.now();
    this.#timeout = timeout;
    if (missing === undefined) this.#start(fn, call);
    else {
      void fillIn(this, missing).then(
        filled => this.#pending && this.#start(fn, (this.#call = filled)),
        (error: unknown) => this.#unread(error),
      );
    }
  }

  #start(fn: TaskFunction, call: CallRecord): void {
    try {
      const { args, kwargs } = call;
      const value = withinRun(this, fn, Object.keys(kwargs).length === 0 ? args : [...args, kwargs]);
      if (isThenable(value)) {
        value.then(
          result => this.#returned(result),
          (error: unknown) => this.#threw(error),
        );
      } else this.#returned(value);
    } catch (error) {
      this.#threw(error);
    }
  }

  /** Whether the function is still waited for. */
  get #pending(): boolean {
    return this.#done !== undefined;
  }

  #settle(outcome: Outcome): void {
    const done = this.#done;
    this.#done = undefined;
    this.seconds = (performance.now() - this.began) / 1000;
    clearTimeout(this.#graceTimer);
    if (typeof outcome === 'string') this.#reporter?.drop();
    const last = this.#reporter?.flush();
    const end = async (): Promise<void> => {
      await last;
      done?.(outcome, this);
    };
    if (last === undefined) done?.(outcome, this);
    else void end();
  }

  /** Nothing of it has begun: where Redis is away, it is run again. */
  #unread(error: unknown): void {
    if (error instanceof ConnectionError && this.#pending && this.#reason === undefined)
      this.#settle('returned');
    else this.#threw(error);
  }

  #threw(error: unknown): void {
    this.checkTime();
    if (!this.#pending) return;
    const reason = this.#reason;
    if (reason === undefined) this.#settle(failed(this, error));
    else if (reason instanceof JobSoftTimeoutError) this.#settle(failed(this, untangled(error, reason)));
    else this.#settle(this.#interrupted());
  }

  #returned(value: unknown): void {
    // a function that held up the event loop comes before the watchdog
    this.checkTime();
    if (!this.#pending) return;
    const reason = this.#reason;
    // what ended in time, although the worker shuts down or notice was given, has ended
    const counts =
      reason === undefined || reason instanceof ShutdownError || reason instanceof JobSoftTimeoutError;
    this.#settle(counts ? finished(this, value, this.#options.resultTtl) : this.#interrupted());
  }

  /** What nobody wrote who follows the wire format is not run. */
  #check(): void {
    if (!isJobId(this.jobId)) throw new InvalidJobError(this.jobId, `its id is none: ${quote(this.jobId)}`);
    const status = statusOf(this.fields);
    if (status === undefined || !STATUSES.includes(status)) {
      throw new InvalidJobError(
        this.jobId,
        `its status is ${JSON.stringify(status ?? '')}, which is none: ${STATUSES.join(', ')} are`,
      );
    }
    for (const name of ['result_ttl', 'failure_ttl', 'ttl']) wholeNumberOf(this.jobId, this.fields, name);
  }

  /** The outcome of a run that was aborted, by the reason for it. */
  #interrupted(): Outcome {
    const reason = this.#reason;
    if (reason instanceof LeaseLostError) return 'lost';
    if (reason instanceof ShutdownError && isRedeliverable(this.fields)) return 'returned';
    if (reason instanceof StopRequestedError) return failed(this, reason, 'stopped');
    return failed(this, reason);
  }
}

/** The reason itself where a function was ended by it: some wrap it in an error that says no more than "aborted". */
function untangled(error: unknown, reason: AbortReason): unknown {
  return error instanceof Error && error.name === 'AbortError' && error.cause === reason ? reason : error;
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
