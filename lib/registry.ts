/** A queue's registries: the ids of its jobs that are somewhere else than in the list. */
import { InvalidJobOperationError, NoSuchJobError } from './errors.ts';
import { Job } from './job.ts';
import type { QueueKeys } from './keys.ts';
import { checkCount, checkJobId } from './options.ts';
import type { Store } from './store.ts';

type RegistryName = 'started' | 'finished' | 'failed' | 'deferred' | 'scheduled' | 'canceled' | 'parked';

/**
 * One registry of one queue. Jobs that were stopped are in the failed one, as in RQ. Those in the parked one are queued: they
 * wait aside until a slot of their `limit` is free.
 */
export class Registry {
  readonly name: RegistryName;
  readonly #store: Store;
  readonly #queue: QueueKeys;

  /** Registries are made by `Queue`. */
  constructor(store: Store, queue: QueueKeys, name: RegistryName) {
    this.#store = store;
    this.#queue = queue;
    this.name = name;
  }

  async count(): Promise<number> {
    const [count] = await this.#read(0, 0);
    return count;
  }

  /** Ids in the order of their scores: what is due, or expires, first. All of them by default. */
  async getJobIds(offset: number = 0, limit: number = Infinity): Promise<string[]> {
    checkCount(offset, 'offset', 0);
    if (limit !== Infinity) checkCount(limit, 'limit', 0);
    if (limit === 0) return [];
    const [, members] = await this.#read(offset, limit === Infinity ? -1 : offset + limit - 1);
    return this.name === 'started'
      ? members.map(member => member.slice(0, member.lastIndexOf(':')))
      : members;
  }

  /** Puts a job of this registry back on its queue. @throws {InvalidJobOperationError} {NoSuchJobError} */
  async requeue(id: string, options?: { readonly atFront?: boolean }): Promise<Job> {
    const job = await this.get(id);
    await job.requeue(options);
    return job;
  }

  /**
   * Takes a job out of this registry and deletes it: a job that no list and no registry holds would be lost to sight.
   * @throws {InvalidJobOperationError} where it runs.
   */
  async remove(id: string): Promise<void> {
    if (this.name === 'started') {
      throw new InvalidJobOperationError(
        id,
        `Job ${id} runs: cancel, stop or delete it instead of removing it`,
      );
    }
    const job = await this.get(id);
    await job.delete();
  }

  /** A job of this registry. @throws {InvalidJobOperationError} where it is somewhere else; {NoSuchJobError}. */
  async get(id: string): Promise<Job> {
    const fields = await this.#store.fetch(checkJobId(id));
    if (fields === undefined) throw new NoSuchJobError(id);
    const job = new Job(this.#store, id, fields);
    // stopped jobs are among the failed ones; those that are parked are queued, and so are others
    const place = job.status === 'stopped' ? 'failed' : job.status;
    const here =
      this.name === 'parked' ? await this.#store.queues.isParked(this.#queue, id) : place === this.name;
    if (here && job.origin === this.#queue.name) return job;
    throw new InvalidJobOperationError(
      id,
      `Job ${id} is not in the ${this.name} registry: it is ${job.status} on queue ${job.origin}`,
    );
  }

  #read(first: number, last: number): Promise<[count: number, members: string[]]> {
    const expires = this.name === 'finished' || this.name === 'failed';
    return this.#store.queues.registry(this.#queue[this.name], expires, first, last);
  }
}
