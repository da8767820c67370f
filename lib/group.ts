/** A group of jobs: one name for them, one wait for all of their results. */
import { setMaxListeners } from 'node:events';
import type { Duration } from './duration.ts';
import { NoSuchJobError } from './errors.ts';
import { Job } from './job.ts';
import { STATUSES, type JobStatus } from './record.ts';
import { brand, type Reference, type Stands } from './reference.ts';
import type { Store } from './store.ts';

/** How many jobs of a group have each status; `gone` are those that expired or were deleted. */
export type GroupCounts = Readonly<Record<JobStatus | 'gone', number>>;

/**
 * Jobs that were queued together, on RQ's `rq:group:` keys. As an argument of another job it stands for the list of their
 * results, in the order of `jobIds`.
 *
 * @example
 * const group = await q.group([[add, [1, 2]], [add, [3, 4]]]);
 * console.log(await group.wait()); // [3, 7]
 */
export class Group<R extends readonly unknown[] = unknown[]> implements Reference {
  readonly name: string;
  /** In the order of the calls; of a group that was looked up, sorted: generated ids are then in the order they were made in. */
  readonly jobIds: readonly string[];
  readonly #store: Store;
  readonly #jobs: ReadonlyMap<string, Job>;

  static {
    brand(Group.prototype);
  }

  /** Groups are made by `Queue`. */
  constructor(store: Store, name: string, jobIds: readonly string[], jobs: readonly Job[] = []) {
    this.#store = store;
    this.name = name;
    this.jobIds = jobIds;
    this.#jobs = new Map(jobs.map(job => [job.id, job]));
  }

  /** As an argument of another job it stands for the list of its jobs' results. */
  get standsFor(): Stands {
    return { ids: this.jobIds, list: true, home: this.#store.home };
  }

  /** Its jobs as they are now, without those that are gone. */
  async jobs(): Promise<Job[]> {
    const found = await Promise.all(this.jobIds.map(id => this.#fetch(id)));
    return found.filter(job => job !== undefined);
  }

  /** Asks Redis how many of its jobs have each status. */
  async counts(): Promise<GroupCounts> {
    const states = await Promise.all(this.jobIds.map(id => this.#store.state(id)));
    const counts = Object.fromEntries([...STATUSES, 'gone'].map(status => [status, 0])) as Record<
      string,
      number
    >;
    for (const state of states) {
      const status = state?.status ?? 'gone';
      counts[status] = (counts[status] ?? 0) + 1;
    }
    return counts as GroupCounts;
  }

  /**
   * The results of all its jobs, in the order of `jobIds`, once all have finished. Rejects as soon as one can't any more, with
   * what its own `wait()` rejects with, which names it; the others go on.
   * @throws {WaitTimeoutError} where they have not ended within `timeout`; without end by default. {NoSuchJobError} where one
   * is gone, its result with it.
   */
  async wait(options?: { readonly timeout?: Duration }): Promise<R> {
    const others = new AbortController();
    // one for each job
    setMaxListeners(0, others.signal);
    try {
      const results = this.jobIds.map(async id => {
        const job = this.#jobs.get(id) ?? (await this.#fetch(id));
        if (job === undefined) throw new NoSuchJobError(id);
        return job.wait({ ...options, signal: others.signal });
      });
      return (await Promise.all(results)) as readonly unknown[] as R;
    } finally {
      // after a failure nobody waits for the rest
      others.abort();
    }
  }

  async #fetch(id: string): Promise<Job | undefined> {
    const fields = await this.#store.fetch(id);
    return fields === undefined ? undefined : new Job(this.#store, id, fields);
  }
}
