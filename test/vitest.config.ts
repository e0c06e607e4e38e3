import { defineConfig } from 'vitest/config';
import { withoutStacks } from '../src/node/start.ts';
import { patience } from './harness/patience.ts';

const report = process.env.TEST_REPORT;

export default defineConfig({
  test: {
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/global-setup.ts',
    pool: 'forks',
    // As a worker is started: stacks of workflow code cost a third of the time that runs take there.
    execArgv: withoutStacks,
    maxWorkers: 4,
    // A process for each file costs a fifth of the CPU: each would load Temporal's SDK and the vendors' anew.
    isolate: false,
    testTimeout: 2.5 * patience,
    hookTimeout: 2.5 * patience,
    expect: { poll: { timeout: patience } },
    teardownTimeout: 30_000,
  },
});
