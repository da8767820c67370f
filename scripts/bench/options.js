/** What the command line says. */
import { parseArgs } from 'node:util';
import { SUBJECTS } from './measures.js';

export const HELP = `npm run bench -- [options]

Measures rq-node beside BullMQ, bee-queue, Python RQ, Celery, and a bare client, on a Redis of its own.

  --rounds <n>        rounds, each with the subjects in another order; 5 (--quick: 2, --guard: 3)
  --only <regex>      only the measures whose name matches; --list names them
  --subjects <list>   only these, with commas between: ${SUBJECTS.join(',')}
  --quick             small sizes: minutes become seconds, and figures become guesses
  --aof               Redis keeps an append-only file, synced every second
  --json <file>       writes all figures there
  --write-docs        writes docs/benchmarks.md and its plots
  --guard             compares four ratios with wide margins: exit code 1 below one, 2 when it could not measure
  --list              names the measures
  --help              this text
`;

/** What the caller got wrong. */
export class UsageError extends Error {}

/** @returns {import('./types.d.ts').Options | 'help'} */
export function parseOptions(/** @type {string[]} */ args) {
  const values = parse(args);
  if (values.help === true) return 'help';
  const quick = values.quick === true || values.guard === true;
  const subjects = values.subjects?.split(',').map(name => name.trim()) ?? SUBJECTS;
  for (const name of subjects) {
    if (!SUBJECTS.includes(name)) {
      throw new UsageError(`--subjects takes ${SUBJECTS.join(', ')}, not '${name}'`);
    }
  }
  return {
    aof: values.aof === true,
    rounds: roundsOf(values.rounds) ?? (values.guard === true ? 3 : quick ? 2 : 5),
    only: patternOf(values.only),
    subjects,
    quick,
    json: values.json,
    writeDocs: values['write-docs'] === true,
    guard: values.guard === true,
    list: values.list === true,
  };
}

function parse(/** @type {string[]} */ args) {
  try {
    return parseArgs({
      args,
      options: {
        aof: { type: 'boolean' },
        rounds: { type: 'string' },
        only: { type: 'string' },
        subjects: { type: 'string' },
        quick: { type: 'boolean' },
        json: { type: 'string' },
        'write-docs': { type: 'boolean' },
        guard: { type: 'boolean' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function roundsOf(/** @type {string | undefined} */ text) {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,2}$/.test(text))
    throw new UsageError(`--rounds takes a whole number from 1 on, not '${text}'`);
  return Number(text);
}

function patternOf(/** @type {string | undefined} */ text) {
  try {
    return text === undefined ? undefined : new RegExp(text);
  } catch {
    throw new UsageError(`--only takes a regular expression, not '${text}'`);
  }
}
