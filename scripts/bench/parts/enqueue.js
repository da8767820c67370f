/** Measures a producer: one call after the other, 1,000 calls in flight, or calls of 1,000 jobs each. */
import { argumentsFrom } from './arguments.js';

/** @typedef {import('../types.d.ts').Producer} Producer */
/** @typedef {import('../types.d.ts').Argument} Argument */

const FLIGHT = 1_000;
const BULK = 1_000;

/**
 * Each sends all of the jobs, in turn to all of the queues.
 * @type {Record<string, (producers: readonly Producer[], all: readonly Argument[]) => Promise<void>>}
 */
const MODES = {
  async one(producers, all) {
    for (const [i, argument] of all.entries()) await to(producers, i).enqueue(argument);
  },
  async flight(producers, all) {
    let next = 0;
    const lane = async () => {
      while (next < all.length) {
        const i = next++;
        await to(producers, i).enqueue(/** @type {Argument} */ (all[i]));
      }
    };
    await Promise.all(Array.from({ length: FLIGHT }, lane));
  },
  async bulk(producers, all) {
    for (let first = 0; first < all.length; first += BULK) {
      await to(producers, first / BULK).enqueueMany(all.slice(first, first + BULK));
    }
  },
};

/** @type {import('../types.d.ts').Part} */
export async function enqueue(subject, { port, queues, warm, jobs, mode, payload }) {
  const producers = await Promise.all(queues.map(name => subject.producer(port, name)));
  const total = async () => {
    const counts = await Promise.all(producers.map(producer => producer.counts()));
    return counts.reduce((sum, { queued }) => sum + queued, 0);
  };
  const before = await total();
  const send = MODES[mode] ?? fail(mode);
  await send(producers, argumentsFrom(0, warm, payload));
  const all = argumentsFrom(warm, jobs, payload);
  const began = performance.now();
  const cpu = process.cpuUsage();
  await send(producers, all);
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const queued = (await total()) - before;
  if (queued !== warm + jobs) throw new Error(`${queued} of ${warm + jobs} jobs are queued`);
  for (const producer of producers) await producer.close();
  return { perSecond: jobs / seconds, cpuPerJob: (user + system) / jobs };
}

/** @returns {Producer} */
function to(/** @type {readonly Producer[]} */ producers, /** @type {number} */ i) {
  return /** @type {Producer} */ (producers[i % producers.length]);
}

/** @returns {never} */
function fail(/** @type {string} */ mode) {
  throw new Error(`There is no way to enqueue called ${mode}`);
}
