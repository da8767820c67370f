/** Draws bar charts as SVG: a group of bars for each row, a bar for each subject, readable on light and on dark. */
import { figure } from './table.js';

/** @typedef {import('./types.d.ts').Row} Row */

/** Light and dark, in this order: blue for rq-node, the others more quietly. */
const COLOURS = /** @type {Readonly<Record<string, readonly [string, string]>>} */ ({
  'rq-node': ['#1f6feb', '#58a6ff'],
  bullmq: ['#bf5b17', '#e0894a'],
  'bee-queue': ['#b08800', '#d4b13f'],
  bare: ['#8c959f', '#6e7681'],
  'python-rq': ['#2da44e', '#3fb950'],
  celery: ['#8250df', '#a371f7'],
});

const [WIDTH, LABELS, VALUES, BAR, GAP, TOP] = [800, 240, 110, 16, 14, 62];

/**
 * Bars of a group share their scale: the longest is as long as there is room, and the number stands at its end.
 *
 * @param {string} title
 * @param {readonly { label: string, unit: string, bars: readonly { subject: string, value: number }[] }[]} groups
 */
export function plot(title, groups) {
  const subjects = Object.keys(COLOURS).filter(name =>
    groups.some(({ bars }) => bars.some(({ subject }) => subject === name)),
  );
  const parts = [`<text class="title" x="0" y="18">${escape(title)}</text>`, legend(subjects)];
  let y = TOP;
  for (const { label, unit, bars } of groups) {
    const height = bars.length * BAR;
    const most = Math.max(...bars.map(({ value }) => value));
    parts.push(
      `<text x="${LABELS - 10}" y="${y + height / 2 + 4}" text-anchor="end">${escape(label)}</text>`,
    );
    for (const [i, { subject, value }] of bars.entries()) {
      const length = Math.max(1, (value / most) * (WIDTH - LABELS - VALUES));
      const top = y + i * BAR;
      parts.push(
        `<rect class="${subject}" x="${LABELS}" y="${top + 1}" width="${length.toFixed(1)}" height="${BAR - 2}" rx="2"/>`,
        `<text x="${(LABELS + length + 6).toFixed(1)}" y="${top + BAR - 4}">${escape(`${figure(value)} ${unit}`)}</text>`,
      );
    }
    y += height + GAP;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">
<title>${escape(title)}</title>
<style>
${style(subjects)}
</style>
${parts.join('\n')}
</svg>
`;
}

/** The rows' medians as groups. */
export function groupsOf(/** @type {readonly Row[]} */ rows) {
  return rows.map(({ label, unit, subjects }) => ({
    label,
    unit,
    bars: Object.keys(COLOURS).flatMap(subject => {
      const found = subjects[subject];
      return found === undefined ? [] : [{ subject, value: found.median }];
    }),
  }));
}

function legend(/** @type {readonly string[]} */ subjects) {
  let x = 0;
  return subjects
    .map(name => {
      const at = x;
      x += 34 + name.length * 7;
      return `<rect class="${name}" x="${at}" y="32" width="12" height="12" rx="2"/><text x="${at + 18}" y="42">${name}</text>`;
    })
    .join('\n');
}

function style(/** @type {readonly string[]} */ subjects) {
  const fills = (/** @type {0 | 1} */ scheme) =>
    subjects.map(name => `.${name} { fill: ${COLOURS[name]?.[scheme]} }`).join(' ');
  return `text { font: 12px system-ui, sans-serif; fill: #1f2328 } .title { font-size: 16px; font-weight: 600 }
${fills(0)}
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } ${fills(1)} }`;
}

function escape(/** @type {string} */ text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
