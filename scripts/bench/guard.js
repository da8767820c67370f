/** Compares a few ratios with wide margins, for continuous integration. */
import { GUARD } from './measures.js';

/** Answers the exit code: 1 where a ratio is below its margin. An error, which ends in 2, where one could not be measured. */
export function guard(
  /** @type {readonly import('./types.d.ts').Row[]} */ rows,
  /** @type {(text: string) => void} */ say,
) {
  let code = 0;
  for (const { id, least } of GUARD) {
    const row = rows.find(it => it.id === id);
    if (row?.ratio === undefined) throw new Error(`${id} has no ratio`);
    const good = row.ratio.median >= least;
    if (!good) code = 1;
    say(`${good ? 'ok' : 'TOO LOW'}  ${row.label}: ${row.ratio.median.toFixed(2)}, at least ${least} wanted`);
  }
  return code;
}
