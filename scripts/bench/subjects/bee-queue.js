/**
 * bee-queue as its documentation says: a producer that waits for nothing has events and stored jobs off, a worker sends
 * events and keeps finished jobs. It stores no results: they go out as events alone.
 */
import Queue from 'bee-queue';
import { fail } from '../fail.js';
import { TASKS } from '../tasks.js';

const FAR = 30 * 24 * 3600 * 1000;
const BARE = { isWorker: false, getEvents: false, sendEvents: false, storeJobs: false };

/** @type {import('../types.d.ts').Subject} */
export const subject = {
  async producer(port, name) {
    const redis = { host: '127.0.0.1', port };
    const queue = new Queue(name, { redis, ...BARE });
    await queue.ready();
    /** @type {Queue | undefined} */
    let listening;
    /** @type {Map<string, (result: unknown) => void>} */
    const waiting = new Map();
    /** @type {Map<string, unknown>} */
    const early = new Map();
    return {
      enqueue: argument => queue.createJob(argument).save(),
      enqueueMany: all =>
        saveAll(
          queue,
          all.map(argument => queue.createJob(argument)),
        ),
      schedule: all =>
        saveAll(
          queue,
          all.map(argument => queue.createJob(argument).delayUntil(Date.now() + FAR)),
        ),
      async listen() {
        listening = new Queue(name, { redis, isWorker: false, sendEvents: false, storeJobs: false });
        listening.on('job succeeded', (id, result) => {
          const tell = waiting.get(id);
          if (tell === undefined) early.set(id, result);
          else tell(result);
        });
        await listening.ready();
      },
      // the queue's event, not the job's: that one is lost when it comes before the reply to `save()`
      async call(argument) {
        const { id } = await /** @type {Queue} */ (listening).createJob(argument).save();
        const result = early.has(id) ? early.get(id) : await new Promise(tell => waiting.set(id, tell));
        early.delete(id);
        waiting.delete(id);
        return result;
      },
      async counts() {
        const { waiting, succeeded } = await queue.checkHealth();
        return { queued: waiting, finished: succeeded };
      },
      async close() {
        await listening?.close();
        await queue.close();
      },
    };
  },

  /** A queue object takes from one queue: where there are several, the slots are shared among as many. */
  async startWorker(port, { queues, concurrency, task }, finished) {
    const run = TASKS[task];
    const workers = queues.map(name => {
      const slots = Math.max(1, Math.floor(concurrency / queues.length));
      const queue = new Queue(name, {
        redis: { host: '127.0.0.1', port },
        getEvents: false,
        storeJobs: false,
      });
      queue.on('succeeded', finished);
      queue.on('failed', (_, error) => fail(error));
      queue.on('error', fail);
      return { queue, slots };
    });
    await Promise.all(workers.map(({ queue }) => queue.ready()));
    for (const { queue, slots } of workers) queue.process(slots, async job => run(job.data));
    return {
      async stop() {
        await Promise.all(workers.map(({ queue }) => queue.close(10_000)));
      },
    };
  },
};

async function saveAll(/** @type {Queue} */ queue, /** @type {Queue.Job<any>[]} */ jobs) {
  const errors = await queue.saveAll(jobs);
  for (const error of errors.values()) throw error;
}
