/** Parses the options, runs the rounds, prints the table, writes what was asked for. */
import { writeFile } from 'node:fs/promises';
import { guard } from './guard.js';
import { writeDocs } from './docs.js';
import { machine, versions } from './machine.js';
import { GUARD, MEASURES } from './measures.js';
import { HELP, parseOptions, UsageError } from './options.js';
import { rowsOf } from './ratios.js';
import { chosen, runRounds } from './rounds.js';
import { hasPython, isPythons } from './subject.js';
import { table } from './table.js';

const say = (/** @type {string} */ text) => process.stderr.write(`${text}\n`);

/** Measures, and answers the exit code. */
async function main(/** @type {string[]} */ args) {
  const options = parseOptions(args);
  if (options === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  if (options.list) {
    for (const { name, subjects } of MEASURES) process.stdout.write(`${name}  (${subjects.join(', ')})\n`);
    return 0;
  }
  const subjects = options.guard
    ? ['rq-node', 'bullmq', 'bee-queue']
    : options.subjects.filter(name => hasPython() || !isPythons(name));
  const guarded = new Set(GUARD.map(({ id }) => id.split('.')[0]));
  const measures = options.guard ? MEASURES.filter(({ name }) => guarded.has(name)) : chosen(options.only);
  if (measures.length === 0)
    throw new UsageError(`--only ${options.only} matches no measure; --list names them`);
  const info = { machine: machine(), versions: await versions(subjects) };
  warnOfLoad(info.machine);
  const date = new Date().toISOString();
  const { raw, failures: all } = await runRounds(measures, { ...options, subjects }, say);
  const failures = [...new Set(all)];
  const rows = rowsOf(measures, raw);
  const { aof, rounds, quick, only } = options;
  /** @type {import('./types.d.ts').Report} */
  const report = {
    date,
    options: { aof, rounds, quick, only: only?.source, subjects },
    ...info,
    rows,
    failures,
    raw,
  };
  process.stdout.write(table(report));
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
  if (options.writeDocs) await writeDocs(report);
  if (failures.length > 0) say(`Could not be measured: ${failures.join('; ')}`);
  if (options.guard) return failures.length > 0 ? 2 : guard(rows, say);
  return failures.length > 0 ? 1 : 0;
}

function warnOfLoad(/** @type {Readonly<Record<string, string | number>>} */ { load, cpus }) {
  if (Number(load) > Number(cpus) / 2)
    say(`The load average is ${load} on ${cpus} processors: do not trust the figures`);
}

// so that what was started is ended: that hangs on the exit
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130));

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) say(`bench: ${error.message}`);
  else console.error(error);
  process.exitCode = error instanceof UsageError || process.argv.includes('--guard') ? 2 : 1;
}
