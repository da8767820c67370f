/**
 * The last lines of a run: the account of each fault case, what was skipped and why, what failed (said again here,
 * since a log is often cut to its end), and `N passed, N failed`.
 */
import type { Reporter, SerializedError, TestModule } from 'vitest/node';
import type { FaultLine } from './fault-case.ts';

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    let [passed, failed, skipped] = [0, errors.length, 0];
    const lines: string[] = [];
    const failures = errors.map(error => failureOf('outside of any spec', [error]));
    for (const module of modules) {
      // a file that could not even be read
      if (module.errors().length > 0) {
        failed++;
        failures.push(failureOf(module.relativeModuleId, module.errors()));
      }
      for (const test of module.children.allTests()) {
        const result = test.result();
        const { fault } = test.meta();
        if (fault !== undefined) lines.push(lineOf(fault, test.fullName));
        if (result.state === 'passed') passed++;
        else if (result.state === 'failed') {
          failed++;
          failures.push(failureOf(`${module.relativeModuleId} > ${test.fullName}`, result.errors));
        } else {
          skipped++;
          const why =
            result.state === 'skipped' && result.note !== undefined ? result.note : 'no reason given';
          process.stdout.write(`skipped: ${test.fullName}: ${why}\n`);
        }
      }
    }
    if (lines.length > 0) process.stdout.write(`\n${HEAD}\n${lines.join('\n')}\n`);
    // after the other reporters' own last words
    process.once('exit', () => {
      process.stdout.write(
        `\n${failures.join('')}${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`,
      );
    });
  }
}

const COLUMNS = ['jobs', 'ack', 'unknown', 'lost', 'misplaced', 'stray', 'reruns', 'recovery', 'seed'];
const row = (cells: readonly (string | number)[]): string =>
  cells.map(cell => String(cell).padStart(11)).join('');
const HEAD = `${row(COLUMNS)}  case`;

/** One case in one line. */
function lineOf(fault: FaultLine, name: string): string {
  const { jobs, acknowledged, unknown, lost, misplaced, strays, extraRuns, recovery, seed, note } = fault;
  const cells = [jobs, acknowledged, unknown, lost, misplaced, strays, extraRuns];
  return `${row([...cells, `${recovery.toFixed(1)} s`, seed])}  ${name}${note === '' ? '' : ` (${note})`}`;
}

/** What failed: where, and each error's place and first lines. */
function failureOf(where: string, errors: readonly SerializedError[]): string {
  const lines = errors.flatMap(({ message, stacks }) => {
    const place = stacks?.[0];
    return [
      ...message.split('\n').slice(0, 8),
      ...(place === undefined ? [] : [`at ${place.file}:${place.line}`]),
    ].map(line => `  ${line.slice(0, 300)}\n`);
  });
  return `failed: ${where}\n${lines.join('')}`;
}
