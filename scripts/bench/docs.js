/** Writes what was measured into docs/benchmarks.md, between its markers, and the plots beside it. */
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { GOALS } from './measures.js';
import { groupsOf, plot } from './plot.js';
import { cells } from './table.js';

/** @typedef {import('./types.d.ts').Report} Report */
/** @typedef {import('./types.d.ts').Row} Row */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGE = `${ROOT}docs/benchmarks.md`;

/** A plot's file, its title, and the rows in it. @type {readonly (readonly [string, string, RegExp])[]} */
const PLOTS = [
  ['run', 'Jobs run per second: more is better', /^run-\d+\.perSecond$/],
  ['enqueue', 'Jobs enqueued per second: more is better', /^enqueue-.*\.perSecond$/],
  ['io', '1 ms jobs, and four workers, per second: more is better', /^(io-|four)/],
  ['round-trip', 'From enqueue to the awaited result: less is better', /^round-trip/],
  ['cost', 'What a job costs: less is better', /cpuPerJob$|redisCpuPerJob$|^bytes/],
  ['growth', 'The same work with more of everything: more is better', /^growth/],
];

export async function writeDocs(/** @type {Report} */ report) {
  // a plot of an earlier run must not stand beside the figures of this one
  await rm(`${ROOT}docs/benchmarks`, { recursive: true, force: true });
  await mkdir(`${ROOT}docs/benchmarks`, { recursive: true });
  const images = [];
  for (const [name, title, rows] of PLOTS) {
    const groups = groupsOf(report.rows.filter(({ id }) => rows.test(id))).filter(
      ({ bars }) => bars.length > 0,
    );
    if (groups.length === 0) continue;
    await writeFile(`${ROOT}docs/benchmarks/${name}.svg`, plot(title, groups));
    images.push(`![${title}](benchmarks/${name}.svg)`);
  }
  let text = await readFile(PAGE, 'utf8');
  text = between(text, 'machine', machineOf(report));
  text = between(text, 'goals', markdown(goals(report.rows)));
  text = between(text, 'table', markdown(cells(report.rows)));
  text = between(text, 'plots', images.join('\n\n'));
  await writeFile(PAGE, text);
  execFileSync(process.execPath, [`${ROOT}node_modules/prettier/bin/prettier.cjs`, '--write', PAGE], {
    cwd: ROOT,
  });
}

function machineOf(/** @type {Report} */ { date, machine, versions, options, failures }) {
  const { cpu, cpus, memory, kernel, load } = machine;
  const redis = options['aof'] === true ? 'append-only file, synced every second' : 'no persistence';
  const lines = [
    `Measured on ${date.slice(0, 10)}: ${cpu}, ${cpus} processors, ${memory}, ${kernel}; load average ${load} when it began.`,
    `Redis with ${redis}. Rounds: ${options['rounds']}.`,
  ];
  if (Number(load) > Number(cpus) / 2)
    lines.push('**The machine was busy with other work: these figures are a sample, not a result.**');
  if (options['quick'] === true)
    lines.push(
      '**Quick sizes: these figures are a sample, not a result. Of what is queued, scheduled or idle there was less than the lines say.**',
    );
  if (failures.length > 0) lines.push(`**Could not be measured: ${failures.join('; ')}.**`);
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `${lines.join('\n')}\n\nVersions: ${names.join(', ')}.`;
}

/** The goals beside what was reached: the better of the Node peers is 1. */
function goals(/** @type {readonly Row[]} */ rows) {
  const lines = GOALS.flatMap(({ id, goal, beyond }) => {
    const row = rows.find(it => it.id === id);
    if (row?.ratio === undefined) return [];
    const { median, min, max, over } = row.ratio;
    const range = `${min.toFixed(2)}–${max.toFixed(2)}`;
    return [
      [
        row.label,
        median.toFixed(2),
        range,
        over,
        String(goal),
        String(beyond),
        median >= goal ? 'yes' : 'no',
      ],
    ];
  });
  return [['ratio', 'now', 'rounds', 'over', 'goal', 'and beyond', 'reached'], ...lines];
}

function markdown(/** @type {readonly (readonly string[])[]} */ [heading = [], ...lines]) {
  return [heading, heading.map(() => '---'), ...lines].map(line => `| ${line.join(' | ')} |`).join('\n');
}

/** Puts a text between two markers of the page. */
function between(/** @type {string} */ page, /** @type {string} */ name, /** @type {string} */ text) {
  const [begin, end] = [`<!-- bench: ${name} -->`, `<!-- bench: end of ${name} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`docs/benchmarks.md has no markers ${begin} and ${end}`);
  return `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`;
}
