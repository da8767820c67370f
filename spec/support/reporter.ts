/** The last lines of a run: what was skipped and why, and `N passed, N failed`. */
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    let [passed, failed, skipped] = [0, errors.length, 0];
    for (const module of modules) {
      // a file that could not even be read
      if (module.errors().length > 0) failed++;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === 'passed') passed++;
        else if (result.state === 'failed') failed++;
        else {
          skipped++;
          const why =
            result.state === 'skipped' && result.note !== undefined ? result.note : 'no reason given';
          process.stdout.write(`skipped: ${test.fullName}: ${why}\n`);
        }
      }
    }
    // after the other reporters' own last words
    process.once('exit', () => {
      process.stdout.write(
        `\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`,
      );
    });
  }
}
