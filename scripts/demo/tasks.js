/** Functions that jobs call: plain exports. */
import { getCurrentJob } from 'rq-node';

/** @param {number[]} numbers */
export const sum = numbers => numbers.reduce((a, b) => a + b, 0);

/** @param {string} url */
export async function get(url) {
  const response = await fetch(url, { signal: getCurrentJob()?.signal ?? null });
  return { status: response.status, text: await response.text() };
}
