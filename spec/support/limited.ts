/** Jobs of one key with two slots, as specs put and take them. */
import type { Redis } from 'ioredis';
import type { Link } from '../../lib/connection.ts';
import type { EnqueueOptions, Job, Queue } from '../../lib/index.ts';
import type { AdvanceReply } from '../../lib/advance.ts';
import type { WorkerStore } from '../../lib/worker-store.ts';

export const limit = { key: 'acme', concurrency: 2 };

export interface Limited {
  readonly put: (count: number, options?: EnqueueOptions, queue?: Queue) => Promise<Job[]>;
  readonly take: (want?: number) => Promise<AdvanceReply>;
  /** Hands in the end of runs, and takes as many. */
  readonly end: (jobs: AdvanceReply['jobs'], status?: 'finished' | 'failed') => Promise<AdvanceReply>;
  /** Who waits for a slot, in their order. */
  readonly parked: () => Promise<string[]>;
  /** All keys that tell of slots. */
  readonly traces: () => Promise<string[]>;
}

export function useLimited(
  redis: { readonly client: Redis },
  q: Queue,
  link: Link,
  store: WorkerStore,
): Limited {
  const ask = { claims: new Set<number>(), strategy: 'default' } as const;
  return {
    put: (count, options = {}, queue = q) =>
      queue.enqueueMany(Array.from({ length: count }, () => ['nothing', [], { limit, ...options }] as const)),
    take: (want = 9) => store.advance(link.redis, { ...ask, handIns: [], want }),
    end: (jobs, status = 'finished') => {
      const again = status === 'failed' ? 'plan' : '';
      const ended = { status, ttl: 60, text: '1', stream: '', publish: false, again, shares: limit.key };
      const handIns = jobs.map(({ place, jobId, executionId }) => ({
        place,
        jobId,
        executionId,
        ended,
        seconds: 1,
      }));
      return store.advance(link.redis, { ...ask, handIns, want: jobs.length });
    },
    parked: () => redis.client.zrange('rq:parked:acme', '0', '-1'),
    traces: async () => (await redis.client.keys('rq:*')).filter(key => /slots|parked|aside/.test(key)),
  };
}

export const ids = (jobs: readonly { readonly id: string }[]): string[] => jobs.map(({ id }) => id);
export const taken = ({ jobs }: AdvanceReply): string[] => jobs.map(({ jobId }) => jobId);
