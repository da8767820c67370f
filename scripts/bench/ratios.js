/** Makes the lines of the table of what the rounds found: medians, and the ratios between subjects. */
import { NODE_PEERS } from './measures.js';
import { summary } from './stats.js';

/** @typedef {import('./types.d.ts').Report['raw']} Raw */
/** @typedef {import('./types.d.ts').Row} Row */
/** @typedef {import('./types.d.ts').Summary} Summary */
/** @typedef {Readonly<Record<string, Summary>>} Subjects */

/**
 * @param {readonly import('./types.d.ts').Measure[]} measures
 * @param {Raw} raw
 * @returns {Row[]}
 */
export function rowsOf(measures, raw) {
  /** @type {Row[]} */
  const rows = [];
  for (const { name, figures } of measures) {
    for (const figure of figures) {
      const subjects = summaries(raw, name, figure.key);
      const plain = rows.find(({ id }) => id === figure.plain)?.subjects;
      rows.push({
        ...figure,
        id: `${name}.${figure.key}`,
        subjects,
        ...withRatio(subjects, figure.better),
        ...withLimit(subjects),
        ...(plain === undefined ? {} : { ofPlain: ofPlain(subjects, plain) }),
      });
    }
  }
  return rows;
}

/** @returns {Subjects} */
function summaries(/** @type {Raw} */ raw, /** @type {string} */ measure, /** @type {string} */ key) {
  /** @type {Record<string, { value: number, round: number }[]>} */
  const found = {};
  for (const one of raw) {
    const value = one.figures[key];
    if (one.measure !== measure || value === undefined) continue;
    (found[one.subject] ??= []).push({ value, round: one.round });
  }
  return Object.fromEntries(Object.entries(found).map(([subject, values]) => [subject, summary(values)]));
}

/** Above 1 rq-node is better: where less is better, it is the peer's figure over ours. */
function withRatio(/** @type {Subjects} */ subjects, /** @type {'more' | 'less'} */ better) {
  const ours = subjects['rq-node'];
  const peers = NODE_PEERS.flatMap(name =>
    subjects[name] === undefined ? [] : [{ name, is: subjects[name] }],
  );
  peers.sort((a, b) => (better === 'more' ? b.is.median - a.is.median : a.is.median - b.is.median));
  const [best] = peers;
  const ratio = better === 'more' ? perRound(ours, best?.is) : perRound(best?.is, ours);
  return ratio === undefined || best === undefined ? {} : { ratio: { ...ratio, over: best.name } };
}

function withLimit(/** @type {Subjects} */ { 'rq-node': ours, bare }) {
  const ofLimit = perRound(ours, bare);
  return ofLimit === undefined ? {} : { ofLimit };
}

/** @returns {Subjects} */
function ofPlain(/** @type {Subjects} */ subjects, /** @type {Subjects} */ plain) {
  return Object.fromEntries(
    Object.entries(subjects).flatMap(([name, own]) => {
      const part = perRound(own, plain[name]);
      return part === undefined ? [] : [[name, part]];
    }),
  );
}

/**
 * The quotient of what was measured in the same round, so that what slows a whole round down drops out; `undefined` where
 * there is no such round.
 *
 * @param {Summary | undefined} above
 * @param {Summary | undefined} below
 */
function perRound(above, below) {
  const quotients = (above?.rounds ?? []).flatMap(({ value, round }) => {
    const other = below?.rounds.find(it => it.round === round);
    return other === undefined ? [] : [{ value: value / other.value, round }];
  });
  return quotients.length === 0 ? undefined : summary(quotients);
}
