/** Puts jobs on the queues, or among the scheduled ones, before anything is measured. */
import { argumentsFrom } from './arguments.js';

/** @typedef {import('../types.d.ts').Subject} Subject */
/** @typedef {import('../types.d.ts').Order} Order */

const CHUNK = 1_000;

export async function fill(/** @type {Subject} */ subject, /** @type {Order} */ order) {
  await put(subject, order, (producer, all) => producer.enqueueMany(all));
  return {};
}

export async function schedule(/** @type {Subject} */ subject, /** @type {Order} */ order) {
  await put(subject, order, (producer, all) => producer.schedule(all));
  return {};
}

/**
 * @param {Subject} subject
 * @param {Order} order
 * @param {(producer: import('../types.d.ts').Producer, all: import('../types.d.ts').Argument[]) => Promise<unknown>} send
 */
async function put(subject, { port, queues, jobs, payload }, send) {
  for (const [place, name] of queues.entries()) {
    const producer = await subject.producer(port, name);
    const share = Math.floor(jobs / queues.length) + (place < jobs % queues.length ? 1 : 0);
    for (let first = 0; first < share; first += CHUNK) {
      await send(producer, argumentsFrom(first, Math.min(CHUNK, share - first), payload));
    }
    await producer.close();
  }
}
