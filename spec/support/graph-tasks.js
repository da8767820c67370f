/** The function of the random graphs: it writes what it was given and gave, and fails as it is told. */
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { getCurrentJob } from 'rq-node';

/**
 * @param {string} file @param {'well' | 'fail' | 'flaky'} mode @param {number} ms @param {number} index
 * @param {(number | null)[] | { of: (number | null)[] }} given
 */
export const graphNode = async (file, mode, ms, index, given) => {
  const job = getCurrentJob();
  const inputs = Array.isArray(given) ? given : given.of;
  /** @param {string} event @param {object} more */
  const write = (event, more = {}) =>
    appendFileSync(
      `${file}-graph`,
      `${JSON.stringify({ event, id: job?.id, pid: process.pid, at: Date.now(), inputs, ...more })}\n`,
    );
  appendFileSync(file, `start ${job?.id} ${process.pid} ${Date.now()}\n`);
  write('start');
  if (ms > 0) await sleep(ms);
  // what is flaky does well in its last try
  if (mode === 'fail' || (mode === 'flaky' && (job?.retriesLeft ?? 0) > 0)) {
    write('fail');
    throw new Error(`node ${index} fails on purpose`);
  }
  let value = index * 31;
  for (const [n, input] of inputs.entries()) value = (value + (n + 1) * (input ?? -1)) % 1_000_003;
  write('end', { value });
  appendFileSync(file, `end ${job?.id} ${process.pid} ${Date.now()}\n`);
  return value;
};
