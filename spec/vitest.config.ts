/** How the specs run: each file in a process of its own, against Redis servers that it starts. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['spec/**/*.spec.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ['default', './spec/support/reporter.ts'],
    typecheck: { enabled: false },
  },
});
