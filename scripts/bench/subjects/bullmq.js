/** BullMQ as its documentation says, over ioredis, with its defaults: finished jobs stay, events go to a stream. */
import { Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { fail } from '../fail.js';
import { TASKS } from '../tasks.js';

const connect = (/** @type {number} */ port) => new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null });
const FAR = 30 * 24 * 3600 * 1000;

/** @type {import('../types.d.ts').Subject} */
export const subject = {
  async producer(port, name) {
    const connection = connect(port);
    const queue = new Queue(name, { connection });
    await queue.waitUntilReady();
    /** @type {Redis[]} */
    const opened = [connection];
    /** @type {QueueEvents | undefined} */
    let events;
    return {
      enqueue: argument => queue.add('task', argument),
      enqueueMany: all => queue.addBulk(all.map(data => ({ name: 'task', data }))),
      schedule: all => queue.addBulk(all.map(data => ({ name: 'task', data, opts: { delay: FAR } }))),
      async listen() {
        opened.push(connect(port));
        events = new QueueEvents(name, { connection: /** @type {Redis} */ (opened.at(-1)) });
        await events.waitUntilReady();
      },
      async call(argument) {
        const job = await queue.add('task', argument);
        return job.waitUntilFinished(/** @type {QueueEvents} */ (events), 30_000);
      },
      async counts() {
        const { waiting = 0, completed = 0 } = await queue.getJobCounts('waiting', 'completed');
        return { queued: waiting, finished: completed };
      },
      async close() {
        await events?.close();
        await queue.close();
        for (const redis of opened) redis.disconnect();
      },
    };
  },

  /** A worker takes from one queue: where there are several, the slots are shared among as many workers. */
  async startWorker(port, { queues, concurrency, task }, finished) {
    const run = TASKS[task];
    const connection = connect(port);
    const workers = queues.map(name => {
      const slots = Math.max(1, Math.floor(concurrency / queues.length));
      const worker = new Worker(name, async job => run(job.data), { connection, concurrency: slots });
      worker.on('completed', finished);
      worker.on('failed', (_, error) => fail(error));
      worker.on('error', fail);
      return worker;
    });
    await Promise.all(workers.map(worker => worker.waitUntilReady()));
    return {
      async stop() {
        await Promise.all(workers.map(worker => worker.close()));
        connection.disconnect();
      },
    };
  },
};
