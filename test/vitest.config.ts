import { defineConfig } from 'vitest/config';
import { patience } from './harness/patience.ts';

const report = process.env.TEST_REPORT;

export default defineConfig({
  test: {
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/global-setup.ts',
    pool: 'forks',
    maxWorkers: 4,
    testTimeout: 2.5 * patience,
    hookTimeout: 2.5 * patience,
    expect: { poll: { timeout: patience } },
    teardownTimeout: 30_000,
  },
});
