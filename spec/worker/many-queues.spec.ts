import { describe, expect, it } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { useRedis, useWorkers } from '../support/in-process.ts';

describe('a worker of many queues', () => {
  const redis = useRedis();
  const makeWorker = useWorkers(redis);

  it.each([
    ['default', 100],
    ['default', 1],
    ['round_robin', 1],
    ['random', 1],
  ] as const)(
    'comes to the last of them while the others are empty: %s, concurrency %d',
    async (dequeueStrategy, concurrency) => {
      const names = Array.from({ length: 150 }, (_, n) => `q${n}`);
      await using q = new Queue('q149', { connection: redis.url });
      const job = await q.enqueue('f');
      const worker = makeWorker({ f: () => 'done' }, { concurrency, dequeueStrategy }, names);
      void worker.work();
      expect(await job.wait({ timeout: '25s' })).toBe('done');
      await worker.stop('cold');
    },
  );
});
