/** What is asked of a queue as a whole: its backlog and its limits, what is on it and in its registries, and when its jobs are due. */
import type { Keys, QueueKeys } from './keys.ts';
import { empty } from './lua/empty.ts';
import { forget } from './lua/forget.ts';
import { listRegistry } from './lua/list-registry.ts';
import { readStats } from './lua/read-stats.ts';
import { reschedule } from './lua/reschedule.ts';
import type { Sender } from './sender.ts';
import { statsOf, type QueueStats } from './stats.ts';

export class QueueStore {
  readonly #sender: Sender;
  readonly #keys: Keys;

  constructor(sender: Sender, keys: Keys) {
    this.#sender = sender;
    this.#keys = keys;
  }

  count(queue: QueueKeys): Promise<number> {
    return this.#sender.send('count jobs', 'read', async redis =>
      Number((await redis.llen(queue.list)) as number | string),
    );
  }

  ids(queue: QueueKeys, offset: number, limit: number): Promise<string[]> {
    const last = limit === Infinity ? -1 : offset + limit - 1;
    return limit === 0
      ? Promise.resolve([])
      : this.#sender.send('list jobs', 'read', redis => redis.lrange(queue.list, offset, last));
  }

  /** Whether a job waits aside for a slot of its key. */
  isParked(queue: QueueKeys, id: string): Promise<boolean> {
    return this.#sender.send('look for a job', 'read', async redis => {
      return (await redis.zscore(queue.parked, id)) !== null;
    });
  }

  /** Removes the waiting jobs there are now, in bounded steps; answers how many. */
  async empty(
    queue: QueueKeys,
    signal?: AbortSignal,
    onProgress?: (deleted: number) => void,
  ): Promise<number> {
    const { releasing, parked } = this.#keys;
    const [aside] = await this.registry(queue.parked, false, 0, 0);
    let [left, deleted] = [(await this.count(queue)) + aside, 0];
    while (left > 0) {
      if (signal?.aborted === true) break;
      const args = { most: Math.min(left, 1000) };
      const reply = await this.#sender.send('empty the queue', 'repeatable', redis =>
        empty.run(redis, { of: this.#keys, keys: { releasing, parked }, queues: [queue], args }),
      );
      const [taken = 0, gone = 0] = (reply as unknown[]).map(Number);
      if (taken === 0) break;
      left -= taken;
      deleted += gone;
      onProgress?.(gone);
    }
    return deleted;
  }

  /** Takes an empty queue off the set of queues. */
  async forget(queue: QueueKeys): Promise<void> {
    const call = { keys: { all: this.#keys.queues }, queues: [queue], args: {} };
    await this.#sender.send('delete the queue', 'repeatable', redis => forget.run(redis, call));
  }

  /** Number of members of a registry, and those of the ranks asked for. */
  async registry(
    key: string,
    expires: boolean,
    first: number,
    last: number,
  ): Promise<[count: number, members: string[]]> {
    const call = { keys: { registry: key }, args: { expires: expires ? '1' : '0', first, last } };
    const reply = await this.#sender.send('read a registry', 'read', redis => listRegistry.run(redis, call));
    // a client that was handed in may give numbers as texts
    const [count, members] = reply as [number | string, string[]];
    return [Number(count), members];
  }

  /** Changes when a job of this queue is due, in unix seconds or `+` and seconds from now; answers what it was doing. */
  async reschedule(id: string, queue: QueueKeys, due: string): Promise<string> {
    const [was = '', other = ''] = (await this.#sender.send('reschedule', 'repeatable', redis =>
      reschedule.run(redis, {
        keys: { job: this.#keys.job(id) },
        queues: [queue],
        args: { id, queue_name: queue.name, due },
      }),
    )) as string[];
    return was === 'elsewhere' ? `on queue ${other}` : was;
  }

  /** When a scheduled job is due, in unix seconds. */
  dueAt(queue: QueueKeys, id: string): Promise<number | undefined> {
    return this.#sender.send('read a schedule', 'read', async redis => {
      const score = (await redis.zscore(queue.scheduled, id)) as string | number | null;
      return score === null ? undefined : Number(score);
    });
  }

  /** How a queue's backlog stands. */
  async stats(queue: QueueKeys): Promise<QueueStats> {
    const call = { of: this.#keys, keys: {}, queues: [queue], args: {} };
    const [now, length, taken, oldest, samples] = (await this.#sender.send('read stats', 'read', redis =>
      readStats.run(redis, call),
    )) as [string, number | string, string, string, string[]];
    return statsOf({ now: Number(now), length: Number(length), taken: Number(taken), oldest, samples });
  }

  /** What all workers keep to on a queue: since when it is paused, and a rate, as Redis holds it. */
  async limits(queue: QueueKeys): Promise<{ paused: string | undefined; rate: string | undefined }> {
    const [paused, rate] = await this.#sender.send('read limits', 'read', redis =>
      redis.hmget(queue.limits, 'paused', 'rate'),
    );
    return { paused: paused ?? undefined, rate: rate ?? undefined };
  }

  /** Sets one of them for all workers, or takes it away. */
  async setLimit(queue: QueueKeys, name: 'paused' | 'rate', value: string | undefined): Promise<void> {
    await this.#sender.send('set a limit', 'repeatable', redis =>
      value === undefined ? redis.hdel(queue.limits, name) : redis.hset(queue.limits, name, value),
    );
  }
}
