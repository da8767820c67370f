/** Measures the time from a call of enqueue to the awaited result, one call at a time; the worker is another process. */
import { quantile } from '../stats.js';

/** @type {import('../types.d.ts').Part} */
export async function roundTrip(subject, { port, queues, warm, jobs }) {
  const producer = await subject.producer(port, queues[0] ?? '');
  await producer.listen();
  for (let i = 1; i <= warm; i++) await producer.call(i);
  const times = [];
  for (let i = 1; i <= jobs; i++) {
    const began = performance.now();
    const result = await producer.call(i);
    times.push(performance.now() - began);
    if (Number(result) !== i) throw new Error(`The result of job ${i} is ${String(result)}`);
  }
  const { finished } = await producer.counts();
  if (finished !== warm + jobs) throw new Error(`${finished} of ${warm + jobs} jobs are finished`);
  await producer.close();
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}
