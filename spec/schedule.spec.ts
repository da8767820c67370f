/** Jobs that are queued when their time has come. */
import { describe, expect, it } from 'vitest';
import { Worker } from '../lib/worker/worker.ts';
import { add } from './support/following.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);

describe('Queue.enqueueIn', () => {
  it('queues a job when its time has come', async () => {
    const job = await q.enqueueIn('300ms', add, [1, 2]);
    expect(job.status).toBe('scheduled');
    const worker = new Worker('default', { connection: redis.url, functions: { add } });
    const working = worker.work();
    expect(await job.wait({ timeout: 5 })).toBe(3);
    await worker.stop();
    await working;
  });
});
