/** Measures a worker, in this process, on jobs that are queued already. */
import { Redis } from 'ioredis';
import { redisCpu } from '../redis.js';

/** How many jobs make one mark of a process that shares the jobs with others. */
export const MARK = 50;
/** Milliseconds without a job after which such a process takes it that there are no more. */
const QUIET_MS = 1_500;

/**
 * The clock starts with the end of the last job of the warm-up, and stops with the end of the last job. What ends is
 * counted by the subject's own event, and checked against what Redis holds at the end.
 *
 * @type {import('../types.d.ts').Part}
 */
export async function drain(subject, order, line) {
  const { port, queues, warm, jobs, shared } = order;
  const redis = new Redis(port, '127.0.0.1');
  const before = shared ? undefined : await counts(subject, order);
  const [first, last] = [warm, warm + jobs];
  /** @type {Promise<number>} */
  let redisBegan = Promise.resolve(0);
  let [finished, began, ended, changed] = [0, 0, 0, performance.now()];
  let [cpuBegan, cpuEnded] = [process.cpuUsage(), process.cpuUsage()];
  /** @type {number[]} */
  const marks = [];
  /** @type {() => void} */
  let done = () => {};
  const over = new Promise(resolve => (done = () => resolve(undefined)));
  const onFinished = () => {
    finished++;
    if (shared) {
      changed = performance.now();
      if (finished % MARK === 0) marks.push(performance.timeOrigin + changed);
    } else if (finished === first) {
      began = performance.now();
      cpuBegan = process.cpuUsage();
      redisBegan = redisCpu(redis);
    } else if (finished === last) {
      ended = performance.now();
      cpuEnded = process.cpuUsage(cpuBegan);
      done();
    }
  };
  line.ready();
  const worker = await subject.startWorker(port, order, onFinished);
  const quiet = setInterval(() => {
    if (shared && finished > 0 && performance.now() - changed > QUIET_MS) done();
  }, 100);
  await over;
  clearInterval(quiet);
  const redisUsed = shared ? 0 : (await redisCpu(redis)) - (await redisBegan);
  const { rss } = process.memoryUsage();
  await worker.stop();
  redis.disconnect();
  if (before === undefined) return { finished, marks };
  const after = await counts(subject, order);
  // a worker that had more jobs to take than were measured may have run some of them
  if (after.finished !== finished || after.queued !== before.queued - finished || finished < last) {
    const held = `${after.finished} finished and ${after.queued} queued jobs`;
    throw new Error(
      `Of ${before.queued} jobs ${finished} were run, and Redis holds ${held} (${queues.length} queues)`,
    );
  }
  const seconds = (ended - began) / 1000;
  return {
    perSecond: jobs / seconds,
    cpuPerJob: (cpuEnded.user + cpuEnded.system) / jobs,
    redisCpuPerJob: (redisUsed * 1e6) / jobs,
    rss,
  };
}

/**
 * @param {import('../types.d.ts').Subject} subject
 * @param {import('../types.d.ts').Order} order
 */
export async function counts(subject, { port, queues }) {
  const sum = { queued: 0, finished: 0 };
  for (const name of queues) {
    const producer = await subject.producer(port, name);
    const { queued, finished } = await producer.counts();
    sum.queued += queued;
    sum.finished += finished;
    await producer.close();
  }
  return sum;
}
