/** Runs the measures: round after round, in each the subjects one after the other, in an order that rotates. */
import { KINDS } from './kinds.js';
import { MEASURES } from './measures.js';
import { startRedis } from './redis.js';
import { isPythons } from './subject.js';

/** @typedef {import('./types.d.ts').Measure} Measure */
/** @typedef {import('./types.d.ts').Options} Options */

/** The measures that were asked for, and the plain ones that their ratios need. */
export function chosen(/** @type {RegExp | undefined} */ only) {
  if (only === undefined) return MEASURES;
  const named = MEASURES.filter(({ name }) => only.test(name));
  const needed = new Set(
    named.flatMap(({ figures }) => figures.flatMap(({ plain }) => plain?.split('.')[0] ?? [])),
  );
  return MEASURES.filter(measure => named.includes(measure) || needed.has(measure.name));
}

/**
 * What can't be measured is said, and the others go on: who called gets to know how many failed.
 *
 * @param {readonly Measure[]} measures
 * @param {Options} options
 * @param {(text: string) => void} say
 */
export async function runRounds(measures, options, say) {
  const raw = [];
  const failures = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const measure of measures) {
      if (round >= (measure.rounds ?? Infinity)) continue;
      const able = options.subjects.filter(subject => measure.subjects.includes(subject));
      for (let i = 0; i < able.length; i++) {
        const subject = /** @type {string} */ (able[(i + round) % able.length]);
        const what = `${measure.name}  ${subject}`;
        try {
          const figures = await runCell(measure, subject, options);
          raw.push({ measure: measure.name, subject, round, figures });
          say(`round ${round + 1}/${options.rounds}  ${what}  ${inWords(measure, figures)}`);
        } catch (error) {
          const { message } = /** @type {Error} */ (error);
          failures.push(what);
          say(`round ${round + 1}/${options.rounds}  ${what}  FAILED: ${message}`);
        }
      }
    }
  }
  return { raw, failures };
}

function inWords(/** @type {Measure} */ { figures }, /** @type {import('./types.d.ts').Figures} */ found) {
  const words = figures.flatMap(({ key, unit }) =>
    found[key] === undefined ? [] : `${Number(found[key].toPrecision(4)).toLocaleString('en')} ${unit}`,
  );
  return words.join(', ');
}

async function runCell(
  /** @type {Measure} */ measure,
  /** @type {string} */ subject,
  /** @type {Options} */ { quick, aof },
) {
  const slow = isPythons(subject) ? measure.slow : undefined;
  const [warm, jobs] = slow ?? (quick ? measure.quick : measure.size);
  /** @type {import('./types.d.ts').Order} */
  const order = {
    subject,
    part: '',
    port: 0,
    queues: ['bench'],
    warm,
    jobs,
    concurrency: 1,
    task: 'noop',
    mode: 'one',
    payload: 0,
    shared: false,
    workers: 0,
    // a million jobs take some minutes
    limit: quick ? 2 : 15,
    ...measure.order,
  };
  const redis = await startRedis({ aof });
  try {
    return await KINDS[measure.kind]({
      subject,
      measure,
      order: { ...order, port: redis.port },
      redis,
      quick,
      aof,
    });
  } finally {
    await redis.stop();
  }
}
