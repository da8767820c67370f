/** How the specs run: each file in a process of its own, against Redis servers that it starts. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['spec/**/*.spec.ts'],
    // what takes minutes by its nature runs with `npm run test:faults` alone
    exclude: process.env['RQ_FAULTS'] === 'all' ? [] : ['spec/faults/long/**'],
    pool: 'forks',
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // what comes in milliseconds as a rule takes more than vitest's own second where a machine is busy
    expect: { poll: { timeout: 10_000 } },
    reporters: ['default', './spec/support/reporter.ts'],
    typecheck: { enabled: false },
  },
});
