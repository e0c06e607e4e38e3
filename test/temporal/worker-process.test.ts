import { readFileSync } from 'node:fs';
import { Client, Connection } from '@temporalio/client';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { createEnvironment } from '../harness/orchflow.ts';
import { endProcesses, startApiProcess, startWorkerProcess } from '../harness/processes.ts';
import { scriptRun } from '../harness/script.ts';

/** What a worker holds, and what it holds only when it is asked to. */

let model: FakeModel;
beforeEach(async () => {
  model = await startFakeModel();
});
afterEach(() => endProcesses(model));

/** A run that waits, its worker, and what the query of the Web UI's Call Stack says of it. */
async function waitingRun(setting: Record<string, string>) {
  scriptRun(model);
  const env = await createEnvironment(setting);
  const [api, worker] = await Promise.all([startApiProcess(env), startWorkerProcess(env)]);
  const user = await api.register();
  const provider_id = await user.addProvider(model);
  const run = await user.startRun({ task: 'Launch a newsletter', ask_me_about: ['brand voice'], provider_id });
  await run.untilWaiting('T1');
  const connection = Connection.lazy({ address: inject('temporalAddress') });
  const handle = new Client({ connection }).workflow.getHandle(run.run_id);
  const stack = await handle.query<string>('__stack_trace').catch((error: Error) => error.message);
  await connection.close();
  return { worker, stack };
}

/** The native libraries that it has loaded, and its flags. */
const mapsOf = (pid: number) => readFileSync(`/proc/${pid}/maps`, 'utf8');
const flagsOf = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');

test.runIf(process.platform === 'linux')(
  'a worker runs workflows without a bundler, and keeps no stacks of their promises',
  async () => {
    const { worker, stack } = await waitingRun({ WORKER_HEAP_MB: '512' });
    expect(stack).toBe('Workflow stack traces are not enabled on this worker');
    const maps = mapsOf(worker.pid);
    expect(maps).toContain('core-bridge');
    // The compiler that webpack calls for each file.
    expect(maps).not.toContain('@swc');
    expect(flagsOf(worker.pid)).toContain('--max-old-space-size=512');
    for (const line of worker.log().trim().split('\n')) expect(() => JSON.parse(line), line).not.toThrow();
  },
);

test('with WORKFLOW_STACKS=true the Call Stack of a run says where it waits', async () => {
  const { stack } = await waitingRun({ WORKFLOW_STACKS: 'true' });
  expect(stack).toMatch(/workflows\/gate\.ts:\d+/);
});

test.each<Record<string, string>>([
  { WORKER_HEAP_MB: '64' },
  { API_HEAP_MB: 'much' },
  { WORKER_CACHED_RUNS: '0' },
  { WORKFLOW_STACKS: 'often' },
])('with %o nothing starts, and the setting is named', async (setting) => {
  const env = await createEnvironment(setting);
  await expect(startWorkerProcess(env)).rejects.toThrow(
    new RegExp(`ended at once \\(exit code 1\\)[^]*cannot start[^]*${Object.keys(setting)[0]}: `),
  );
});
