/** The table on the terminal. */
import { SUBJECTS } from './measures.js';

/** @typedef {import('./types.d.ts').Report} Report */
/** @typedef {import('./types.d.ts').Row} Row */

/** Names the columns after those subjects that have a figure anywhere. */
export function columns(/** @type {readonly Row[]} */ rows) {
  return SUBJECTS.filter(subject => rows.some(row => row.subjects[subject] !== undefined));
}

/** The words of the table: a heading, and a line for each figure. */
export function cells(/** @type {readonly Row[]} */ rows) {
  const subjects = columns(rows);
  const heading = ['figure', 'unit', ...subjects, 'ratio', 'of limit'];
  const lines = rows.map(row => [
    row.label,
    row.unit,
    ...subjects.map(subject => cell(row, subject)),
    row.ratio === undefined ? '' : `${row.ratio.median.toFixed(2)}${range(row.ratio)}`,
    row.ofLimit === undefined ? '' : `${Math.round(row.ofLimit.median * 100)} %`,
  ]);
  return [heading, ...lines];
}

/** The median, half the spread in percent, and the part of the subject's own plain figure. */
function cell(/** @type {Row} */ row, /** @type {string} */ subject) {
  const found = row.subjects[subject];
  if (found === undefined) return '';
  const { median, min, max } = found;
  const spread = median === 0 ? 0 : Math.round((50 * (max - min)) / median);
  const plain = row.ofPlain?.[subject];
  return `${figure(median)}${spread === 0 ? '' : ` ±${spread}%`}${plain === undefined ? '' : ` (${plain.median.toFixed(2)}×)`}`;
}

function range(/** @type {import('./types.d.ts').Summary} */ { rounds, min, max }) {
  return rounds.length < 2 ? '' : ` (${min.toFixed(2)}–${max.toFixed(2)})`;
}

/** A number in as many digits as mean something. */
export function figure(/** @type {number} */ value) {
  if (value >= 1e7) return `${(value / 1e6).toFixed(0)} M`;
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return value.toPrecision(3);
}

/** @returns {string} */
export function table(/** @type {Report} */ { rows, machine, versions, options }) {
  const all = cells(rows);
  const widths = (all[0] ?? []).map((_, i) => Math.max(...all.map(line => (line[i] ?? '').length)));
  const lines = all.map(line =>
    line
      .map((text, i) => (i < 2 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  const rule = widths.map(width => '─'.repeat(width)).join('  ');
  const [heading = '', ...rest] = lines;
  return `${[heading, rule, ...rest].join('\n')}

Medians of the rounds, ± half the spread; × the subject's own plain figure. Ratio: rq-node over the better of BullMQ and
bee-queue in the same round, above 1 rq-node is better, whatever the unit. Of limit: rq-node's part of the bare client's.
${Object.entries(versions)
  .map(pair => pair.join(' '))
  .join(', ')}
${machine['cpu']}, ${machine['cpus']} processors, ${machine['kernel']}, load ${machine['load']}; rounds: ${options['rounds']}${
    options['quick'] === true
      ? ', quick: sizes too small for figures to trust, and less queued, scheduled and idle than the lines say'
      : ''
  }${options['aof'] === true ? ', append-only file every second' : ''}
`;
}
