/** Starts measuring processes and reads what they say. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** @typedef {import('./types.d.ts').Order} Order */
/** @typedef {import('./types.d.ts').Figures} Figures */

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const PYTHON = here('../../.venv/bench/bin/python');
const PYTHON_SUBJECTS = ['python-rq', 'celery'];

export const hasPython = () => existsSync(PYTHON);
export const isPythons = (/** @type {string} */ subject) => PYTHON_SUBJECTS.includes(subject);

/** The command of a measuring process, without its last argument. */
export function commandOf(/** @type {string} */ subject) {
  return isPythons(subject)
    ? { command: PYTHON, args: [here('subjects/python.py')] }
    : { command: process.execPath, args: [here('child.js')] };
}

/**
 * Starts a measuring process: `ready` resolves when it says so, `figures` with what it found; `end` tells it to end.
 *
 * @param {Order} order
 */
export function start(order) {
  const { command, args } = commandOf(order.subject);
  const env = { ...process.env, NODE_ENV: 'production' };
  // a process group of its own, as a Python worker has children
  const child = spawn(command, [...args, JSON.stringify(order)], { env, detached: true });
  const what = `${order.subject} (${order.part})`;
  const kill = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // it is gone
    }
  };
  process.once('exit', kill);
  const limit = setTimeout(kill, order.limit * 60_000);
  let errors = '';
  child.stderr.on('data', chunk => (errors = (errors + String(chunk)).slice(-4_000)));
  child.stdin.on('error', () => {});
  let isReady = () => {};
  /** @type {Promise<void>} */
  const ready = new Promise(resolve => (isReady = resolve));
  /** @type {Figures | undefined} */
  let found;
  createInterface(child.stdout).on('line', line => {
    const message = parse(line);
    if (message.ready === true) isReady();
    if (message.figures !== undefined) found = message.figures;
  });
  /** @type {Promise<Figures>} */
  const figures = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(limit);
      process.off('exit', kill);
      kill();
      if (found !== undefined && code === 0) resolve(found);
      else
        reject(new Error(`${what} ended with ${signal ?? `exit code ${code}`} and no figures:\n${errors}`));
    });
  });
  // one that ends before it was ready has failed
  const readyOrFailed = Promise.race([ready, figures]);
  readyOrFailed.catch(() => {});
  return { ready: readyOrFailed, figures, end: () => child.stdin.end('end\n') };
}

/** Does one part from beginning to end. */
export function perform(/** @type {Order} */ order) {
  return start(order).figures;
}

function parse(/** @type {string} */ line) {
  try {
    return JSON.parse(line);
  } catch {
    // a library's own words
    return {};
  }
}
