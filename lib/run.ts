/** One run of one job: calls its function, holds it to its limits, and says what came of it. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { deflateSync } from 'node:zlib';
import { FAILURE_TTL, GRACE, PUBLISH_LIMIT, RESULT_TTL, TIMEOUT } from './defaults.ts';
import {
  FunctionNotRegisteredError,
  InvalidJobError,
  InvalidResultError,
  JobTimeoutError,
  LeaseLostError,
  ShutdownError,
  StopRequestedError,
} from './errors.ts';
import type { FunctionTable } from './functions.ts';
import { toJson } from './json.ts';
import { isJobId, quote } from './options.ts';
import { STATUSES, callOf, isPythons, statusOf, wholeNumberOf, type CallRecord, type Fields } from './record.ts';
import { errorText } from './remote-error.ts';
import type { Store } from './store.ts';

/** What a run came to: an end that is handed in, `returned` where the job goes back, `lost` where it is another's now. */
export type Outcome = Ended | 'returned' | 'lost';

export interface Ended {
  readonly status: 'finished' | 'failed' | 'stopped';
  /** Seconds to keep it: -1 for ever, 0 not at all. */
  readonly ttl: number;
  /** The result's JSON text, or the error's text. */
  readonly text: string;
  /** What Python's result stream gets; '' where none is written. */
  readonly stream: string;
  /** Whether the result is short enough to go with the status message. */
  readonly publish: boolean;
  /** What was thrown, where it did not finish. */
  readonly error?: unknown;
}

/** What ends a run early, as the `reason` of its signal. */
export type AbortReason = JobTimeoutError | StopRequestedError | ShutdownError | LeaseLostError;

export interface RunOptions {
  /** Seconds that a result is kept whose job does not say. */
  readonly resultTtl?: number;
  /** Seconds that a function may go on after its signal was aborted. */
  readonly grace?: number;
}

const current: AsyncLocalStorage<Run> = new AsyncLocalStorage();

/** The run that the calling code belongs to, however deep in asynchronous calls. */
export function currentRun(): Run | undefined {
  return current.getStore();
}

export class Run {
  readonly jobId: string;
  readonly executionId: string;
  readonly queue: string;
  readonly fields: Fields;
  /** Over which the job itself is reached. */
  readonly store: Store;
  /** When it was started, by this process' monotonic clock, in milliseconds. */
  readonly began: number = performance.now();
  /** Set where the function was still running when its slot was given up. */
  overdue = false;
  #call: CallRecord | undefined;
  #reason: AbortReason | undefined;
  #controller: AbortController | undefined;
  #aborted: (() => void) | undefined;
  #leave: (() => void) | undefined;

  constructor(store: Store, jobId: string, executionId: string, queue: string, fields: Fields) {
    this.store = store;
    this.jobId = jobId;
    this.executionId = executionId;
    this.queue = queue;
    this.fields = fields;
  }

  /** @throws {InvalidJobError} */
  get call(): CallRecord {
    return (this.#call ??= callOf(this.jobId, this.fields));
  }

  /** Aborted when the run is to end early; made when it is first asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Why the run is to end early, once it is. */
  get reason(): AbortReason | undefined {
    return this.#reason;
  }

  /** The first reason counts, but that the run was lost overrides all: then no outcome is to be handed in. */
  abort(reason: AbortReason): void {
    if (this.#reason !== undefined && !(reason instanceof LeaseLostError)) return;
    const first = this.#reason === undefined;
    this.#reason = reason;
    if (!first) return;
    this.#controller?.abort(reason);
    this.#aborted?.();
  }

  /** Leaves an aborted run's function behind without waiting for it any longer. */
  leave(): void {
    this.#leave?.();
  }

  /** Runs the function of the job's name; never rejects. A function that is not over `grace` after an abort is left behind. */
  perform(functions: FunctionTable, options: RunOptions = {}): Promise<Outcome> {
    if (this.#reason !== undefined) return Promise.resolve(this.#interrupted());
    let call: CallRecord;
    let timeout: number;
    try {
      this.#check();
      call = this.call;
      timeout = wholeNumberOf(this.jobId, this.fields, 'timeout') ?? TIMEOUT;
    } catch (error) {
      return Promise.resolve(this.#failed(error));
    }
    const fn = functions.get(call.functionName);
    if (fn === undefined) {
      const registered = [...functions.keys()].toSorted();
      return Promise.resolve(this.#failed(new FunctionNotRegisteredError(this.jobId, call.functionName, registered)));
    }
    return new Promise(resolve => {
      let timer: NodeJS.Timeout | undefined;
      const settle = (outcome: Outcome): void => {
        clearTimeout(timer);
        this.#aborted = undefined;
        this.#leave = undefined;
        resolve(outcome);
      };
      this.#leave = (): void => {
        this.overdue = true;
        settle(this.#interrupted());
      };
      this.#aborted = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => this.leave(), (options.grace ?? GRACE) * 1000);
      };
      if (timeout > 0) {
        // a timer holds 24.8 days at most
        const ms = Math.min(timeout * 1000, 0x7fffffff);
        timer = setTimeout(() => this.abort(new JobTimeoutError(this.jobId, timeout)), ms);
      }
      const returned = (value: unknown): void => settle(this.#returned(value, call, options));
      const threw = (error: unknown): void => settle(this.#reason === undefined ? this.#failed(error) : this.#interrupted());
      try {
        const kwargs = Object.keys(call.kwargs).length > 0 ? [call.kwargs] : [];
        const value = current.run(this, () => fn(...call.args, ...kwargs));
        if (value instanceof Promise) value.then(returned, threw);
        else if (isThenable(value)) Promise.resolve(value).then(returned, threw);
        else returned(value);
      } catch (error) {
        threw(error);
      }
    });
  }

  /** What nobody wrote who follows the wire format is not run. */
  #check(): void {
    if (!isJobId(this.jobId)) throw new InvalidJobError(this.jobId, `Its id is none: ${quote(this.jobId)}`);
    const status = statusOf(this.fields);
    if (status === undefined || !STATUSES.includes(status)) {
      throw new InvalidJobError(this.jobId, `Its status is ${JSON.stringify(status ?? '')}, which is none: ${STATUSES.join(', ')} are`);
    }
    for (const name of ['result_ttl', 'failure_ttl', 'ttl']) wholeNumberOf(this.jobId, this.fields, name);
  }

  #returned(value: unknown, call: CallRecord, options: RunOptions): Outcome {
    // what ended in time although the worker shuts down has ended
    if (this.#reason !== undefined && !(this.#reason instanceof ShutdownError)) return this.#interrupted();
    let text: string;
    try {
      text = value === undefined ? 'null' : toJson(value, 'result');
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return this.#failed(new InvalidResultError(this.jobId, `What ${call.functionName} returned is not JSON: ${why}`));
    }
    return {
      status: 'finished',
      ttl: wholeNumberOf(this.jobId, this.fields, 'result_ttl') ?? options.resultTtl ?? RESULT_TTL,
      text,
      stream: isPythons(this.fields) ? Buffer.from(text).toString('base64') : '',
      publish: text.length <= PUBLISH_LIMIT,
    };
  }

  /** The outcome of a run that was aborted, by the reason for it. */
  #interrupted(): Outcome {
    const reason = this.#reason;
    if (reason instanceof LeaseLostError) return 'lost';
    if (reason instanceof ShutdownError) return 'returned';
    if (reason instanceof StopRequestedError) return this.#failed(reason, 'stopped');
    return this.#failed(reason);
  }

  #failed(error: unknown, status: 'failed' | 'stopped' = 'failed'): Ended {
    const text = errorText(error);
    let ttl = FAILURE_TTL;
    try {
      ttl = wholeNumberOf(this.jobId, this.fields, 'failure_ttl') ?? ttl;
    } catch {
      // that field may be the very reason why the job fails
    }
    const stream = isPythons(this.fields) ? deflateSync(text).toString('base64') : '';
    return { status, ttl, text, stream, publish: false, error };
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
