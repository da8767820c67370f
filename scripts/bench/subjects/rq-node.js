/**
 * rq-node as its README says. It is imported from the build beside it, not as `rq-node`: this folder has a `package.json` of
 * its own, and a `file:` dependency would have to be installed anew after each build.
 */
import { Redis } from 'ioredis';
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
      schedule: all => schedule(port, name, all),
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

/**
 * There is no call for it yet, so the jobs are written as RQ writes them: a hash each, and the scheduled registry.
 *
 * @param {number} port
 * @param {string} name
 * @param {readonly import('../types.d.ts').Argument[]} all
 */
async function schedule(port, name, all) {
  const redis = new Redis(port, '127.0.0.1');
  const due = Math.floor(Date.now() / 1000) + 30 * 24 * 3600;
  const now = new Date().toISOString();
  const pipeline = redis.pipeline();
  for (const argument of all) {
    const id = `scheduled-${argument}`;
    const data = JSON.stringify(['task', null, [argument], {}]);
    const fields = {
      status: 'scheduled',
      origin: name,
      data,
      created_at: now,
      description: 'task()',
      timeout: 180,
    };
    pipeline.hset(`rq:job:${id}`, fields);
    pipeline.zadd(`rq:scheduled:${name}`, due, id);
  }
  await pipeline.exec();
  redis.disconnect();
}
