/** What holds for all queues and workers of a Redis: their names, who is registered, and whether work is suspended. */
import type { Link } from './connection.ts';
import type { Keys } from './keys.ts';
import { fetch } from './lua/fetch.ts';
import { toFields, type Fields } from './record.ts';
import { Sender } from './sender.ts';

export class SiteStore {
  readonly keys: Keys;
  readonly #sender: Sender;

  constructor(link: Link, keys: Keys) {
    this.keys = keys;
    this.#sender = new Sender(link);
  }

  /** Names of the queues that jobs were ever put on, in no order. */
  async queueNames(): Promise<string[]> {
    const { listPrefix, queues } = this.keys;
    const lists = await this.#sender.send('list queues', 'read', redis => redis.smembers(queues));
    return lists.filter(list => list.startsWith(listPrefix)).map(list => list.slice(listPrefix.length));
  }

  /** The hashes of the registered workers, by their bare names; those that died without a word have none. */
  async workers(): Promise<[name: string, fields: Fields][]> {
    const { workerPrefix, workers } = this.keys;
    const keys = await this.#sender.send('list workers', 'read', redis => redis.smembers(workers));
    const call = { keys: {}, args: { job_prefix: '' }, rest: keys };
    const hashes = (await this.#sender.send('read workers', 'read', redis =>
      fetch.runRaw(redis, call),
    )) as unknown[];
    return keys.flatMap((key, i) => {
      const flat = hashes[i];
      if (!Array.isArray(flat) || flat.length === 0) return [];
      const fields = toFields(flat);
      return fields.get('death') === undefined ? [[key.slice(workerPrefix.length), fields] as const] : [];
    }) as [string, Fields][];
  }

  /** RQ's own switch: without `seconds` until somebody resumes. */
  async suspend(seconds: number | undefined): Promise<void> {
    const { suspended } = this.keys;
    await this.#sender.send('suspend', 'repeatable', redis =>
      seconds === undefined
        ? redis.set(suspended, 1)
        : redis.set(suspended, 1, 'PX', Math.round(seconds * 1000)),
    );
  }

  async resume(): Promise<void> {
    await this.#sender.send('resume', 'repeatable', redis => redis.del(this.keys.suspended));
  }

  async isSuspended(): Promise<boolean> {
    const found = (await this.#sender.send('read the suspension', 'read', redis =>
      redis.exists(this.keys.suspended),
    )) as number | string;
    return Number(found) === 1;
  }
}
