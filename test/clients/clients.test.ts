import { afterAll, beforeAll, expect, test } from 'vitest';
import { startOrchflow, type Orchflow } from '../harness/orchflow.ts';
import { patience } from '../harness/patience.ts';
import { runClient } from './run.ts';

/** The generators whose tools come quickly; `npm run clients` tries all of them. */

let orchflow: Orchflow;
beforeAll(async () => {
  orchflow = await startOrchflow();
});
afterAll(() => orchflow.stop());

test.for(['openapi-fetch', 'openapi-python-client'])(
  'a client of %s compiles and goes through the whole flow',
  { timeout: 5 * patience },
  async (name, { skip }) => {
    const { status, output } = await runClient(name, orchflow.url);
    if (status === 'skipped') console.warn(`Skipped: ${name}: ${output.split('\n').at(-1)}`);
    skip(status === 'skipped', output);
    expect(status, output).toBe('passed');
  },
);
