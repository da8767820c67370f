/** A worker's look at the crons that are due, without the worker. */
import type { Redis } from 'ioredis';
import { takeTick } from '../../lib/cron-store.ts';
import { Keys } from '../../lib/keys.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import { Crons } from '../../lib/worker/crons.ts';

export class Looker {
  readonly queued: (readonly [queue: string, name: string, id: string])[] = [];
  readonly warnings: string[] = [];
  readonly failed: (readonly [queue: string, error: string])[] = [];
  readonly #redis: Redis;
  readonly #store: WorkerStore;
  readonly #crons: Crons;

  constructor(redis: Redis, queues: readonly string[] = ['q'], name: string = 'w1') {
    this.#redis = redis;
    this.#store = new WorkerStore(new Keys(), name, queues);
    this.#crons = new Crons(queues, {
      tick: (...what) => takeTick(redis, this.#store.keys, ...what),
      queued: (...what) => this.queued.push(what),
      warn: text => this.warnings.push(text),
      failed: (queue, error) => this.failed.push([queue, String(error)]),
    });
  }

  /** Looks once, as if it were `at`, which is past; answers whether more may be due. */
  async look(at?: number): Promise<boolean> {
    const { crons, now } = await this.#store.queueDue(this.#redis);
    const due = crons.filter(({ tick }) => at === undefined || Number(tick) <= at);
    return this.#crons.run(due, at ?? now, () => false);
  }

  /** Looks until nothing is due. */
  async lookAll(): Promise<this> {
    while (await this.look());
    return this;
  }

  /** Ids of the jobs that were queued, in their order. */
  get ids(): string[] {
    return this.queued.map(([, , id]) => id);
  }
}

/** Seconds of Redis' own clock. */
export async function redisSeconds(redis: Redis): Promise<number> {
  return Number((await redis.time())[0]);
}
