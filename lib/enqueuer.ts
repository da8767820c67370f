/** How calls become jobs on a queue: made ready, stored one by one or together, at once or for later, and handled from then on. */
import { checkedCall } from './call.ts';
import type { Link } from './connection.ts';
import type { EnqueueOptions, QueueDefaults } from './enqueue-options.ts';
import type { Enqueued } from './enqueue-store.ts';
import type { TaskFunction } from './functions.ts';
import { Job } from './job.ts';
import type { QueueKeys } from './keys.ts';
import { LocalFields } from './local-fields.ts';
import type { NewJob } from './new-job.ts';
import { quote } from './options.ts';
import type { Make, Prepared } from './prepare.ts';
import { runNow } from './run-now.ts';
import type { JobStatus } from './record.ts';
import type { Store } from './store.ts';
import { activeTracing } from './tracing.ts';
import { isOfCall } from './unique.ts';

export class Enqueuer {
  readonly #link: Link;
  readonly #store: Store;
  readonly #keys: QueueKeys;
  readonly #defaults: QueueDefaults;
  readonly #isAsync: boolean;
  readonly #nextId = (): string => this.#store.feed.nextId(this.#keys.name);

  constructor(link: Link, store: Store, keys: QueueKeys, defaults: QueueDefaults, isAsync: boolean) {
    this.#link = link;
    this.#store = store;
    this.#keys = keys;
    this.#defaults = defaults;
    this.#isAsync = isAsync;
  }

  /** @throws {TypeError | RangeError} for anything that can't be stored. */
  check(fn: TaskFunction | string, args: readonly unknown[] = [], options?: EnqueueOptions): Make {
    return checkedCall(fn, args, options, this.#defaults, this.#store.home);
  }

  /** For a job that is put on the queue by itself. @throws as `check` does. */
  prepare(fn: TaskFunction | string, args: readonly unknown[] = [], options?: EnqueueOptions): Prepared {
    return checkedCall(fn, args, options, this.#defaults, this.#store.home, this.#nextId)();
  }

  /** Puts one job on the queue. */
  put(fn: TaskFunction | string, prepared: Prepared): Promise<Job> {
    const tracing = activeTracing();
    if (tracing === undefined) return this.#putOne(fn, prepared);
    return tracing.produce(this.#keys.name, [prepared], ([traced = prepared]) => this.#putOne(fn, traced));
  }

  #putOne(fn: TaskFunction | string, prepared: Prepared): Promise<Job> {
    const { job } = prepared;
    if (!this.#isAsync) return this.#runNow(fn, prepared);
    this.#store.feed.expect(this.#keys.name, job.id);
    return this.#store.jobs.addAnd(this.#keys, job, added => this.#handle(job, added));
  }

  /** Puts several jobs on the queue, in their order; one that is refused keeps no other from it. */
  async putMany(
    calls: readonly { readonly fn: TaskFunction | string; readonly make: Make }[],
  ): Promise<Job[]> {
    if (!this.#isAsync || activeTracing() !== undefined)
      return Promise.all(calls.map(({ fn, make }) => this.put(fn, make())));
    const jobs: NewJob[] = [];
    const adding = this.#store.jobs.addAll(this.#keys, made(calls, jobs));
    // while Redis works
    const handles = jobs.map(job => this.#newHandle(job, 'queued'));
    const added = await adding;
    return added.every(status => status === 'queued') ? handles : this.#handles(jobs, added);
  }

  /** Puts all of them on the queue in one step, or none. */
  async putTogether(all: readonly Prepared[]): Promise<Job[]> {
    if (!this.#isAsync)
      throw new TypeError('A queue with isAsync: false runs single jobs, no chains or groups');
    if (all.some(({ job }) => isOfCall(job.unique)))
      throw new TypeError("unique: { on: 'args' } is for single jobs, not for those of a chain or a group");
    const tracing = activeTracing();
    if (tracing === undefined) return this.#putAll(all);
    return tracing.produce(this.#keys.name, all, traced => this.#putAll(traced));
  }

  async #putAll(all: readonly Prepared[]): Promise<Job[]> {
    const jobs = all.map(({ job }) => job);
    const added = await this.#store.jobs.addTogether(this.#keys, jobs);
    return this.#handles(jobs, added);
  }

  #handles(jobs: readonly NewJob[], added: readonly Enqueued[]): Promise<Job[]> {
    return Promise.all(jobs.map(async (job, i) => this.#handle(job, added[i] ?? 'queued')));
  }

  /** A handle on a new job, or on the one that is there instead. */
  #handle(job: NewJob, added: Enqueued): Promise<Job> | Job {
    return typeof added === 'string' ? this.#newHandle(job, added) : this.#handleOn(added, job);
  }

  #newHandle(job: NewJob, status: JobStatus): Job {
    return new Job(this.#store, job.id, new LocalFields(this.#keys.name, job, status));
  }

  async #handleOn({ id, status }: Exclude<Enqueued, string>, job: NewJob): Promise<Job> {
    const local = new LocalFields(this.#keys.name, job, status === 'gone' ? 'finished' : status);
    return new Job(this.#store, id, (await this.#store.fetch(id)) ?? local);
  }

  /** Puts a job on the queue for later: unix seconds, or `+` and seconds from now. */
  async schedule(
    due: string,
    fn: TaskFunction | string,
    args?: readonly unknown[],
    options?: EnqueueOptions,
  ): Promise<Job> {
    const prepared = this.prepare(fn, args, options);
    const { job } = prepared;
    if (job.dependencies.length > 0) {
      throw new TypeError(
        `A job that waits for others (${job.dependencies.join(', ')}) can't be scheduled as well: it is queued when they have finished`,
      );
    }
    const settings = job.atFront ? [...job.settings, 'enqueue_at_front', '1'] : job.settings;
    const later = { ...prepared, job: { ...job, due, settings } };
    const tracing = activeTracing();
    if (tracing === undefined) return this.#putLater(later);
    return tracing.produce(this.#keys.name, [later], ([traced = later]) => this.#putLater(traced));
  }

  async #putLater({ job }: Prepared): Promise<Job> {
    return this.#handle(job, await this.#store.jobs.add(this.#keys, job));
  }

  async #runNow(fn: TaskFunction | string, prepared: Prepared): Promise<Job> {
    if (typeof fn === 'string') {
      throw new TypeError(
        `A queue with isAsync: false runs functions itself: hand it the function, not its name ${quote(fn)}`,
      );
    }
    await this.#link.ready();
    const { job } = prepared;
    const status = await runNow(this.#link.redis, this.#store, this.#keys, prepared, fn);
    return this.#handle(
      job,
      typeof status === 'object' ? status : { id: job.id, status: status ?? 'queued' },
    );
  }
}

/** The jobs of calls, one by one as they are asked for; all of them are in `jobs` then. */
function* made(calls: readonly { readonly make: Make }[], jobs: NewJob[]): Generator<NewJob> {
  for (const { make } of calls) {
    const { job } = make();
    jobs.push(job);
    yield job;
  }
}
