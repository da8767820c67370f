/** A handle on one job: what was seen of it last, and what can be asked of it. */
import { cancelAll, cancelOne, interrupt, type CancelOptions } from './cancel.ts';
import { parseDuration, type Duration } from './duration.ts';
import { objectJson } from './enqueue-options.ts';
import { InvalidJobError, InvalidJobOperationError, NoSuchJobError, WaitTimeoutError } from './errors.ts';
import { checkRoot, ENDED, outcomeOf } from './job-end.ts';
import { checkFlag, checkOptions, quote } from './options.ts';
import { parseProgress, type Progress } from './progress.ts';
import {
  callOf,
  metaOf,
  statusOf,
  textOf,
  timeOf,
  wholeNumberOf,
  type Fields,
  type JobStatus,
} from './record.ts';
import { brand, type Reference, type Stands } from './reference.ts';
import { resultsOf, type JobResult } from './results.ts';
import { Watch, type StatusMessage } from './status.ts';
import type { JobState, Store } from './store.ts';

/** Milliseconds in which a handle counts as new, and in which its waiter leaves a first look to the messages. */
const NEW_MS = 20;
const EARLY_MS = 3;
/** Milliseconds between two looks of a waiter at a job that waits for others. */
const DEFERRED_MS = 500;

/**
 * A job in Redis. Its fields are those of RQ, as they were when this handle was made or last refreshed; methods ask Redis.
 *
 * `T` is what the job's function gives; a function that returns nothing gives `null`.
 *
 * @example
 * const job = await q.enqueue(sum, [[42, 43]]);
 * console.log(await job.wait({ timeout: '30s' })); // 85
 */
export class Job<T = unknown> implements Reference {
  readonly id: string;
  readonly #store: Store;
  #fields: Fields;
  #status: JobStatus;
  /** When `status` was seen, by this process' monotonic clock. */
  readonly #seenAt: number = performance.now();
  #meta: Record<string, unknown> | undefined;

  static {
    brand(Job.prototype);
  }

  /** Handles are made by `Queue` and by the registries. */
  constructor(store: Store, id: string, fields: Fields) {
    this.#store = store;
    this.id = id;
    this.#fields = fields;
    this.#status = statusOf(fields) ?? 'queued';
  }

  /** As an argument of another job it stands for its result. */
  get standsFor(): Stands {
    return { ids: [this.id], list: false, home: this.#store.home };
  }

  /** Name of the queue it was put on. */
  get origin(): string {
    return textOf(this.#fields, 'origin') ?? '';
  }
  /** @throws {InvalidJobError} where the job's data can't be read, as do `args` and `kwargs`. */
  get functionName(): string {
    return callOf(this.id, this.#fields).functionName;
  }
  get args(): readonly unknown[] {
    return callOf(this.id, this.#fields).args;
  }
  get kwargs(): Readonly<Record<string, unknown>> {
    return callOf(this.id, this.#fields).kwargs;
  }
  get description(): string | undefined {
    return textOf(this.#fields, 'description');
  }
  /** What travels with the job. Change it and call `saveMeta()`. */
  get meta(): Record<string, unknown> {
    return (this.#meta ??= metaOf(this.#fields));
  }
  set meta(meta: Record<string, unknown>) {
    this.#meta = meta;
  }
  /** What its function said of its progress in its last run, as it was when this handle was last refreshed. */
  progress(): Progress | undefined {
    return parseProgress(textOf(this.#fields, 'progress'));
  }
  get createdAt(): Date | undefined {
    return timeOf(this.#fields, 'created_at');
  }
  get enqueuedAt(): Date | undefined {
    return timeOf(this.#fields, 'enqueued_at');
  }
  get startedAt(): Date | undefined {
    return timeOf(this.#fields, 'started_at');
  }
  get endedAt(): Date | undefined {
    return timeOf(this.#fields, 'ended_at');
  }
  get workerName(): string | undefined {
    return textOf(this.#fields, 'worker_name');
  }
  /** Seconds it may run; -1 without end. */
  get timeout(): number | undefined {
    return wholeNumberOf(this.id, this.#fields, 'timeout');
  }
  /** Seconds it may wait. */
  get ttl(): number | undefined {
    return wholeNumberOf(this.id, this.#fields, 'ttl');
  }
  /** Seconds its result is kept; `undefined` where its worker decides. */
  get resultTtl(): number | undefined {
    return wholeNumberOf(this.id, this.#fields, 'result_ttl');
  }
  /** Seconds it is kept after a failure; `undefined` where its worker decides. */
  get failureTtl(): number | undefined {
    return wholeNumberOf(this.id, this.#fields, 'failure_ttl');
  }
  /** Retries that are left, where there is a plan. */
  get retriesLeft(): number | undefined {
    return wholeNumberOf(this.id, this.#fields, 'retries_left');
  }
  /** Ids of the jobs it was made to wait for: those among its arguments, then those of `dependsOn`. */
  get dependencyIds(): readonly string[] {
    const text = textOf(this.#fields, 'dependency_ids');
    if (text === undefined) return [];
    try {
      return (JSON.parse(text) as unknown[]).map(String);
    } catch (cause) {
      throw new InvalidJobError(this.id, 'its field dependency_ids is not a JSON list', { cause });
    }
  }

  /** What this handle last saw; `getStatus()` asks Redis. */
  get status(): JobStatus {
    return this.#status;
  }

  /** @throws {NoSuchJobError} where the job is gone. */
  async getStatus(): Promise<JobStatus> {
    return (await this.#state()).status;
  }

  /** Whether it is over: finished, failed, stopped or canceled. Asks Redis; a job that is gone is over. */
  async isEnded(): Promise<boolean> {
    const state = await this.#store.state(this.id);
    return state === undefined || ENDED.has(state.status);
  }

  /**
   * What came of the job, as Redis knows it now: `undefined` while it has not ended, the value once it finished. Rejects
   * once it failed (`JobFailedError`), was stopped or canceled, is gone, or waits for a job that did (`DependencyFailedError`):
   * so a polling loop ends with the job.
   */
  get result(): Promise<T | undefined> {
    const result = this.#result();
    // a look without await must not crash the process
    result.catch(() => {});
    return result;
  }

  async #result(): Promise<T | undefined> {
    const state = await this.#state();
    await checkRoot(this.#store, this.id, state);
    return outcomeOf(this.id, state)?.value as T | undefined;
  }

  /**
   * What came of the job, once it has ended: told by Redis, not polled. Of a job that repeats, once its last run has. Rejects
   * as `result` does, and with the reason of `signal` once that is aborted; the job itself goes on.
   * @throws {WaitTimeoutError} where it has not ended within `timeout`; without end by default.
   */
  async wait(options?: { readonly timeout?: Duration; readonly signal?: AbortSignal }): Promise<T> {
    const { timeout, signal } = checkOptions(options, ['timeout', 'signal'], 'wait');
    if (signal !== undefined && !(signal instanceof AbortSignal))
      throw new TypeError(`wait.signal must be an AbortSignal, not ${quote(signal)}`);
    const seconds = timeout === undefined ? Infinity : parseDuration(timeout, 'timeout');
    const deadline = performance.now() + seconds * 1000;
    // of a job that was on its queue a moment ago the next word is most likely a message: reading would come too early
    let early = !ENDED.has(this.#status) && performance.now() - this.#seenAt < NEW_MS;
    using watch = this.#watch(early);
    for (;;) {
      // nothing is said to a job that waits for one that failed: so it looks more often
      // and all at the same moments: jobs above several of them are looked at once
      const patience =
        this.#status === 'deferred' ? DEFERRED_MS - (performance.now() % DEFERRED_MS) : Infinity;
      let message = await watch.next(Math.min(patience, deadline - performance.now()), signal);
      signal?.throwIfAborted();
      if (message === undefined && early) {
        early = false;
        message = await watch.next(Math.min(EARLY_MS, deadline - performance.now()));
      }
      if (message !== undefined) {
        this.#status = message.status;
        if ('result' in message) return message.result as T;
        if (!ENDED.has(message.status)) continue;
      }
      const state = await this.#state();
      await checkRoot(this.#store, this.id, state);
      const outcome = outcomeOf(this.id, state);
      if (outcome !== undefined) return outcome.value as T;
      if (performance.now() >= deadline) throw new WaitTimeoutError(this.id, seconds, this.#status);
    }
  }

  /**
   * What came of each of its runs, the newest first, as far as it is kept: the last one, and the errors of up to ten before
   * it (of Python's runs, the results as well).
   * @throws {NoSuchJobError} where the job is gone.
   */
  async results(): Promise<JobResult[]> {
    const kept = await this.#store.results(this.id);
    if (kept === undefined) throw new NoSuchJobError(this.id);
    return resultsOf(this.id, kept.hash, kept.entries);
  }

  /**
   * The job's status messages: first how it stands, then each change, and each progress and `saveMeta()` of its function,
   * until it has ended or is gone.
   */
  async *statuses(): AsyncGenerator<StatusMessage, void, undefined> {
    using watch = this.#watch();
    let last: JobStatus | undefined;
    for (;;) {
      let message = await watch.next(Infinity);
      if (message === undefined) {
        const state = await this.#store.state(this.id);
        if (state === undefined) return;
        this.#status = state.status;
        const base = { jobId: this.id, status: state.status, queue: state.queue, worker: '', at: new Date() };
        message =
          state.result === undefined ? base : { ...base, result: JSON.parse(state.result) as unknown };
      }
      this.#status = message.status;
      if (message.status !== last || message.progress !== undefined || message.meta !== undefined)
        yield message;
      last = message.status;
      if (ENDED.has(message.status)) return;
    }
  }

  /** Reads all fields anew. @throws {NoSuchJobError} where the job is gone. */
  async refresh(): Promise<this> {
    const fields = await this.#store.fetch(this.id);
    if (fields === undefined) throw new NoSuchJobError(this.id);
    this.#fields = fields;
    this.#meta = undefined;
    this.#status = statusOf(fields) ?? this.#status;
    return this;
  }

  /** Writes `meta`. @throws {NoSuchJobError} where the job is gone; {TypeError} where it is not JSON. */
  async saveMeta(): Promise<void> {
    await this.#store.saveMeta(this.id, objectJson(this.meta, 'meta'));
  }

  /**
   * Keeps the job from running. A job that runs is fenced off: it is canceled at once, its function's signal is aborted,
   * and what that still gives is dropped. Canceling twice is allowed: the second time changes nothing, its dependents neither.
   * @throws {InvalidJobOperationError} where it has ended otherwise; {NoSuchJobError} where it is gone; {TypeError} where both
   * options are set.
   */
  async cancel(options?: CancelOptions): Promise<void> {
    const { enqueueDependents = false, cancelDependents = false } = checkOptions(
      options,
      ['enqueueDependents', 'cancelDependents'],
      'cancel',
    );
    const release = checkFlag(enqueueDependents, 'enqueueDependents');
    if (checkFlag(cancelDependents, 'cancelDependents')) {
      if (release) throw new TypeError('enqueueDependents and cancelDependents exclude each other');
      if (await cancelAll(this.#store, this.id, this.origin)) this.#status = 'canceled';
      return;
    }
    await cancelOne(this.#store, this.id, this.origin, release);
    this.#status = 'canceled';
  }

  /** Ids of the jobs that wait for this one itself, in no order; of a job that is gone, none. */
  async getDependentIds(): Promise<string[]> {
    return this.#store.dependents(this.id);
  }

  /**
   * Ends a job that runs, here or in Python: its signal is aborted, and it becomes `stopped`. A Node worker that does not
   * hear the request finds it when it renews the run's lease, 10 s later at most.
   * @throws {InvalidJobOperationError} where it does not run, or its Python worker does not listen; {NoSuchJobError}.
   */
  async stop(): Promise<void> {
    const { was, worker, noticed } = await this.#store.requestStop(this.id);
    if (was === 'gone') throw new NoSuchJobError(this.id);
    if (was !== 'started') {
      throw new InvalidJobOperationError(this.id, `Job ${this.id} can't be stopped: it is ${was}`);
    }
    if (!noticed) {
      throw new InvalidJobOperationError(
        this.id,
        `Job ${this.id} can't be stopped: its worker ${worker === '' ? '(unknown)' : worker} does not listen`,
      );
    }
  }

  /**
   * Puts a job that has ended, well or not, back on its queue, as if it had not run. Does nothing to one that waits there.
   * @throws {InvalidJobOperationError} where it runs, or waits for its time or for other jobs; {NoSuchJobError}.
   */
  async requeue(options?: { readonly atFront?: boolean }): Promise<void> {
    const { atFront = false } = checkOptions(options, ['atFront'], 'requeue');
    const { was } = await this.#store.requeue(this.id, this.origin, checkFlag(atFront, 'atFront'));
    if (was === 'gone') throw new NoSuchJobError(this.id);
    if (was !== 'queued' && !ENDED.has(was)) {
      throw new InvalidJobOperationError(this.id, `Job ${this.id} can't be requeued: it is ${was}`);
    }
    this.#status = 'queued';
  }

  /**
   * Removes the job and its result. One that runs is aborted, and what it still gives is dropped. Jobs that wait for it wait
   * no more; one that takes its result fails. Safe where it is gone.
   */
  async delete(): Promise<void> {
    await interrupt(this.#store, await this.#store.delete(this.id, this.origin));
  }

  async #state(): Promise<JobState> {
    const state = await this.#store.state(this.id);
    if (state === undefined) throw new NoSuchJobError(this.id);
    this.#status = state.status;
    return state;
  }

  /** Messages about this job, one after the other; `undefined` says to look. */
  #watch(isNew: boolean = false): Watch {
    const { feed } = this.#store;
    return new Watch(tell =>
      isNew ? feed.listenToNew(this.origin, this.id, tell) : feed.listen(this.origin, this.id, tell),
    );
  }
}
