/** A queue's scheduled jobs: when they are due, and how that is changed. */
import { InvalidJobOperationError, NoSuchJobError } from './errors.ts';
import type { QueueKeys } from './keys.ts';
import { checkJobId } from './options.ts';
import { Registry } from './registry.ts';
import { dueAt, dueIn, type DueIn } from './schedule.ts';
import type { Store } from './store.ts';

/** The registry of jobs that wait for their time: retries and repeats among them. `getJobIds()` gives the next one first. */
export class ScheduledRegistry extends Registry {
  readonly #store: Store;
  readonly #queue: QueueKeys;

  /** Registries are made by `Queue`. */
  constructor(store: Store, queue: QueueKeys) {
    super(store, queue, 'scheduled');
    this.#store = store;
    this.#queue = queue;
  }

  /** When a job is due; `undefined` where it is not scheduled on this queue. */
  async getScheduledTime(id: string): Promise<Date | undefined> {
    const seconds = await this.#store.queues.dueAt(this.#queue, checkJobId(id));
    return seconds === undefined ? undefined : new Date(Math.round(seconds * 1000));
  }

  /**
   * Changes when a job is due: a `Date`, or a time from now in seconds or with a unit, by Redis' clock.
   * @throws {InvalidJobOperationError} where it is not scheduled; {NoSuchJobError}; {TypeError | RangeError} for what is no date
   * and no duration.
   */
  async schedule(id: string, due: Date | DueIn): Promise<void> {
    const score = due instanceof Date ? dueAt(due) : dueIn(due);
    const was = await this.#store.queues.reschedule(checkJobId(id), this.#queue, score);
    if (was === 'gone') throw new NoSuchJobError(id);
    if (was !== 'scheduled')
      throw new InvalidJobOperationError(id, `Job ${id} can't be scheduled anew: it is ${was}`);
  }

  /** Keeps a job from running: `requeue` brings it back. @throws {InvalidJobOperationError} where it is not scheduled here; {NoSuchJobError}. */
  async cancel(id: string): Promise<void> {
    const job = await this.get(id);
    await job.cancel();
  }
}
