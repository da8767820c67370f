/** Functions of the fault suite, beside `ledger`: they write to the same file. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { getCurrentJob } from 'rq-node';

/** How far this process' clock was set ahead, in milliseconds: the times in a ledger are of one clock. */
const ahead = Number(process.env['SPEC_CLOCK_AHEAD'] ?? 0);

/** @param {string} file @param {'start' | 'end'} event */
const note = (file, event) =>
  appendFileSync(file, `${event} ${getCurrentJob()?.id} ${process.pid} ${Date.now() - ahead}\n`);

/** Whether the spec has told what runs to go on. @param {string} file */
const told = file => existsSync(`${file}-go`);

/**
 * Its first run takes long, holds up the event loop (no longer than until it is told to go on), fails, or ends the process;
 * the next ones do nothing. Gives the id of the process.
 * @param {string} file @param {'sleep' | 'block' | 'fail' | 'abort'} what @param {number} ms
 */
export const firstRun = async (file, what, ms) => {
  note(file, 'start');
  const mine = `start ${getCurrentJob()?.id} `;
  const first = readFileSync(file, 'utf8').split(mine).length === 2;
  if (first && what === 'sleep') await sleep(ms);
  if (first && what === 'block') {
    const still = new Int32Array(new SharedArrayBuffer(4));
    for (const end = performance.now() + ms; performance.now() < end && !told(file);)
      Atomics.wait(still, 0, 0, 10);
  }
  if (first && what === 'fail') throw new Error('the first run fails');
  if (first && what === 'abort') process.abort();
  note(file, 'end');
  return process.pid;
};

/** Says that it is half done; its first run gets no further. @param {string} file */
export const halfway = async file => {
  note(file, 'start');
  const job = getCurrentJob();
  job?.progress(0.5);
  const first = readFileSync(file, 'utf8').split(`start ${job?.id} `).length === 2;
  if (first) await sleep(60_000);
  job?.progress(1);
  note(file, 'end');
  return 'done';
};

/** Runs until it is told to go on. @param {string} file */
export const untilTold = async file => {
  note(file, 'start');
  while (!told(file)) await sleep(10);
  note(file, 'end');
  return 'done';
};

/** Ends the process, each time. @param {string} file */
export const poison = file => {
  note(file, 'start');
  process.abort();
};

/** As `ledger`; gives the time of this process. @param {string} file @param {number} ms */
export const timeAfter = async (file, ms) => {
  note(file, 'start');
  await sleep(ms);
  note(file, 'end');
  return Date.now();
};
