/** What specs of jobs that follow others share: typed functions, a worker for them, and looks at what Redis holds. */
import { deflateSync } from 'node:zlib';
import { expect } from 'vitest';
import { Worker, type WorkerOptions } from '../../lib/index.ts';
import { Keys } from '../../lib/keys.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import type { RedisServer } from './redis.ts';

export const add = (x: number, y: number): number => x + y;
export const multiply = (x: number, y: number): number => x * y;
export const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
export const total = (of: { readonly total: number }): number => of.total;
export const echo = (...args: readonly unknown[]): readonly unknown[] => args;
export const fail = (message: string = 'no'): number => {
  throw new TypeError(message);
};
const FUNCTIONS = { add, multiply, sum, total, echo, fail };

export interface Following {
  /** Runs what waits, and what that releases, with functions besides those above. */
  readonly work: (
    functions?: Readonly<Record<string, unknown>>,
    queues?: string | readonly string[],
    options?: Partial<WorkerOptions>,
  ) => Promise<void>;
  readonly hash: (id: string) => Promise<Record<string, string>>;
  readonly status: (id: string) => Promise<string | null>;
  readonly data: (id: string) => Promise<string | null>;
  /** Ids that are among the dependents of a job. */
  readonly dependents: (id: string) => Promise<string[]>;
  /** Takes the next job of `default` and hands in that it finished, with this JSON text. */
  readonly finish: (text: string, ttl?: number) => Promise<void>;
  /** Makes of a job what a Python worker leaves when it finished with this JSON text: its result is in the stream. */
  readonly finishAsPython: (id: string, text: string) => Promise<void>;
  /** Queues a deferred job as Python does: its data is compressed, and what it waited for stays. */
  readonly queueAsPython: (id: string) => Promise<void>;
  /** Has a worker look what is on its way: due jobs, and dependents that were let go. */
  readonly lookAround: () => Promise<void>;
}

export function useFollowing(redis: RedisServer): Following {
  const store = new WorkerStore(new Keys(), 'w', ['default']);
  return {
    async work(functions = {}, queues = 'default', options = {}) {
      const known = { ...FUNCTIONS, ...functions };
      await new Worker(queues, { connection: redis.url, functions: known, concurrency: 10, ...options }).work(
        {
          burst: true,
        },
      );
    },
    hash: id => redis.client.hgetall(`rq:job:${id}`),
    status: id => redis.client.hget(`rq:job:${id}`, 'status'),
    data: id => redis.client.hget(`rq:job:${id}`, 'data'),
    dependents: async id => (await redis.client.smembers(`rq:job:${id}:dependents`)).toSorted(),
    async finish(text, ttl = 500) {
      const request = { handIns: [], want: 1, claims: new Set<number>(), strategy: 'default' } as const;
      const [job] = (await store.advance(redis.client, request)).jobs;
      if (job === undefined) throw new Error('no job waits');
      const ended = { status: 'finished', ttl, text, stream: '', publish: true, again: '' } as const;
      const handIns = [{ ...job, ended, seconds: 0 }];
      const { answers } = await store.advance(redis.client, { ...request, want: 0, handIns });
      expect(answers).toEqual(['accepted']);
    },
    async finishAsPython(id, text) {
      await redis.client.lrem('rq:queue:default', 0, id);
      await redis.client.hset(`rq:job:${id}`, 'status', 'finished');
      const value = Buffer.from(text).toString('base64');
      await redis.client.xadd(`rq:results:${id}`, '*', 'type', '1', 'return_value', value);
      await redis.client.zadd('rq:finished:default', 'inf', id);
    },
    async queueAsPython(id) {
      const data = await redis.client.hget(`rq:job:${id}`, 'data');
      await redis.client.hset(`rq:job:${id}`, { status: 'queued', data: deflateSync(data ?? '') });
      await redis.client.zrem('rq:deferred:default', id);
      await redis.client.rpush('rq:queue:default', id);
    },
    async lookAround() {
      while ((await store.queueDue(redis.client)).more);
    },
  };
}
