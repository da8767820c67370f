/**
 * rq-node as its README says. It is imported from the build beside it, not as `rq-node`: this folder has a `package.json` of
 * its own, and a `file:` dependency would have to be installed anew after each build.
 */
import { Queue, Worker } from '../../../dist/lib/index.js';
import { fail } from '../fail.js';
import { TASKS } from '../tasks.js';

/** @type {import('../types.d.ts').Subject} */
export const subject = {
  async producer(port, name) {
    const connection = `redis://127.0.0.1:${port}`;
    const queue = new Queue(name, { connection });
    return {
      enqueue: argument => queue.enqueue('task', [argument]),
      enqueueMany: all => queue.enqueueMany(all.map(argument => /** @type {const} */ (['task', [argument]]))),
      async schedule(all) {
        const due = new Date(Date.now() + 30 * 24 * 3600_000);
        await Promise.all(all.map(argument => queue.enqueueAt(due, 'task', [argument])));
      },
      listen: async () => {},
      call: async argument => (await queue.enqueue('task', [argument])).wait({ timeout: '30s' }),
      counts: async () => ({
        queued: await queue.count(),
        finished: await queue.finishedRegistry.count(),
      }),
      close: () => queue.close(),
    };
  },

  async startWorker(port, { queues, concurrency, task }, finished) {
    const connection = `redis://127.0.0.1:${port}`;
    const worker = new Worker(queues, { connection, concurrency, functions: { task: TASKS[task] } });
    worker.on('jobFinished', finished);
    worker.on('error', fail);
    worker.on('jobFailed', job => fail(job.error));
    const started = new Promise(resolve => worker.once('listening', () => resolve(undefined)));
    const working = worker.work();
    working.catch(fail);
    await started;
    return {
      async stop() {
        await worker.stop();
        await working;
      },
    };
  },
};
