/** Functions that spec jobs call, in this process and in worker processes. */
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { getCurrentJob } from 'rq-node';

export * from './fault-tasks.js';
export * from './graph-tasks.js';

/** @param {number[]} numbers */
export const sum = numbers => numbers.reduce((a, b) => a + b, 0);

/** @param {number} x @param {number} y */
export const add = (x, y) => x + y;

/** @param {unknown[]} args */
export const echo = (...args) => args;

export const nothing = () => {};

/** @param {string} message */
export const fail = message => {
  throw new RangeError(message);
};

export const notJson = () => ({ when: [new Date(0)] });

/**
 * Ends when it is told to, or after a time.
 * @param {number} ms
 */
export const waitForAbort = async ms => {
  const job = getCurrentJob();
  await sleep(ms, undefined, { signal: /** @type {AbortSignal} */ (job?.signal) });
  return 'not aborted';
};

/** Takes no notice of its signal. @param {number} ms */
export const stubborn = async ms => {
  await sleep(ms);
  return 'done';
};

/** Holds up the event loop. @param {number} ms */
export const block = ms => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return 'unblocked';
};

/**
 * Appends a line when it starts and one when it ends: a ledger outside Redis. The job's own id stands for `id` where that
 * is null.
 * @param {string} file @param {string | null} id @param {number} ms
 */
export const ledger = async (file, id, ms) => {
  const name = id ?? getCurrentJob()?.id;
  appendFileSync(file, `start ${name} ${process.pid} ${Date.now()}\n`);
  if (ms > 0) await sleep(ms);
  appendFileSync(file, `end ${name} ${process.pid} ${Date.now()}\n`);
  return name;
};

/** What a function can learn of its job. */
export const whoAmI = async () => {
  const job = getCurrentJob();
  await sleep(1);
  return { same: getCurrentJob() === job, id: job?.id, origin: job?.origin, meta: job?.meta };
};

/**
 * A callback: appends a line to the file that the job's meta names.
 * @param {import('rq-node').CurrentJob} job @param {unknown} what
 */
export const told = (job, what) => {
  appendFileSync(String(job.meta['file']), `${job.id} ${getCurrentJob()?.status} ${JSON.stringify(what)}\n`);
};

/** Ends the process. */
export const dies = () => process.abort();

/** @param {Record<string, unknown>} more */
export const addMeta = async more => {
  const job = getCurrentJob();
  if (job === undefined) throw new Error('not in a job');
  job.meta = { ...job.meta, ...more };
  await job.saveMeta();
};
