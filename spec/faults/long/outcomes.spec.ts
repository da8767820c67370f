/** An outcome that Redis never takes is given up after a while. Runs with all cases only. */
import { describe, expect, it } from 'vitest';
import { useQueue, useRedis, useWorkers } from '../../support/in-process.ts';

const redis = useRedis({ args: ['--proto-max-bulk-len', '1mb'] });
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

describe('an outcome that Redis never takes', () => {
  it('is given up, and said', { timeout: 180_000 }, async () => {
    const worker = makeWorker({ long: (n: number) => 'x'.repeat(n) }, { concurrency: 2 });
    const errors: string[] = [];
    worker.on('error', error => errors.push(error.message));
    const lost = new Promise(resolve => worker.once('jobLost', resolve));
    void worker.work();
    const job = await q.enqueue('long', [2 * 1024 * 1024]);
    expect(await lost).toMatchObject({ jobId: job.id });
    expect(errors.join()).toContain(
      `The outcome of job ${job.id} could not be stored in 20 tries, it runs again after its lease`,
    );
  });
});
