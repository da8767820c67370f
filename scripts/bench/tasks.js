/** The two functions that are run, the same for every Node subject. */
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {import('./types.d.ts').Argument} Argument */

/** Gives a small argument back, so that the result is as small as the argument; of a long text its length. */
const answer = (/** @type {Argument} */ argument) =>
  typeof argument === 'string' ? argument.length : argument;

export const TASKS = {
  noop: async (/** @type {Argument} */ argument) => answer(argument),
  io: async (/** @type {Argument} */ argument) => {
    await sleep(1);
    return answer(argument);
  },
};
