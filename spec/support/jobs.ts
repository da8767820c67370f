/** Jobs as they end up in Redis, written by hand: in any number, and with what nobody would write. */
import type { Redis } from 'ioredis';

export interface Written {
  readonly queue?: string;
  readonly status?: string;
  /** Seconds since it ended, or was made. */
  readonly age?: number;
  readonly fields?: Readonly<Record<string, string>>;
  /** Where its id is put; where its status says by default, `nowhere` for an orphan. */
  readonly place?: 'nowhere';
}

/** Writes jobs' hashes and their ids where they belong. */
export async function writeJobs(
  client: Redis,
  jobs: readonly string[],
  { queue = 'default', status = 'queued', age = 0, fields = {}, place }: Written = {},
): Promise<void> {
  const at = new Date(Date.now() - age * 1000).toISOString();
  const ended = ['finished', 'failed', 'stopped', 'canceled'].includes(status);
  for (let first = 0; first < jobs.length; first += 2000) {
    const pipeline = client.pipeline().sadd('rq:queues', `rq:queue:${queue}`);
    for (const id of jobs.slice(first, first + 2000)) {
      pipeline.hset(`rq:job:${id}`, {
        status,
        origin: queue,
        created_at: at,
        enqueued_at: at,
        data: '["f",null,[],{}]',
        description: 'f()',
        timeout: '180',
        ...(ended ? { ended_at: at } : {}),
        ...(status === 'failed' ? { exc_info: 'Error: no\n    at f' } : {}),
        ...fields,
      });
      if (place === 'nowhere') continue;
      if (status === 'queued') pipeline.rpush(`rq:queue:${queue}`, id);
      else pipeline.zadd(`rq:${status === 'stopped' ? 'failed' : status}:${queue}`, '+inf', id);
    }
    await pipeline.exec();
  }
}

/** Ids that tell nothing but their number. */
export function ids(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
}
