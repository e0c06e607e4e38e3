import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { createDb } from '../../db/index.ts';
import { createEnvironment } from '../harness/orchflow.ts';
import { killProcesses, startApiProcess, startWorkerProcess } from '../harness/processes.ts';

const migrate = (env: Record<string, string>) =>
  promisify(execFile)(process.execPath, [path.join(import.meta.dirname, '../../src/migrate.ts')], { env });

afterEach(killProcesses);

test('npm run migrate makes a Temporal that knows nothing of Orchflow ready for runs, and may be run again', async () => {
  const namespace = `ns-${randomBytes(4).toString('hex')}`;
  const env = await createEnvironment({ TEMPORAL_NAMESPACE: namespace });
  const first = await migrate(env);
  for (const part of [`namespace ${namespace}`, 'OrchflowAccount', 'OrchflowStatus', 'OrchflowWaitingTasks']) {
    expect(first.stdout).toContain(part);
  }

  const [api] = await Promise.all([startApiProcess(env), startWorkerProcess(env)]);
  const user = await api.register();
  const run = await user.startRun({ task: 'Launch a newsletter' });
  await run.until('completed');

  const second = await migrate(env);
  expect(second.stdout).toContain('The database is up to date');
  expect(second.stdout).toContain('Temporal is up to date');
});

test('a column that a migration adds below an API and a worker at work costs one more try', async () => {
  const env = await createEnvironment();
  const [api, worker] = await Promise.all([startApiProcess(env), startWorkerProcess(env)]);
  const user = await api.register();
  const goal = { task: 'Launch a newsletter' };
  await (await user.startRun(goal)).until('completed');

  const db = createDb(env.DATABASE_URL!, 1);
  await db.schema.alterTable('runs').addColumn('of_a_later_release', 'text').execute();
  await db.destroy();

  const after = await user.startRun(goal);
  expect(await after.until('completed')).toMatchObject({ warnings: [], error: null });
  expect(worker.log().match(/"message":"cached plan must not change result type"/g)).toHaveLength(1);
});

test('npm run migrate without TEMPORAL_ADDRESS migrates the database only, and says so', async () => {
  const { TEMPORAL_ADDRESS: _, ...env } = await createEnvironment();
  const { stdout } = await migrate(env);
  expect(stdout).toContain('The database is up to date');
  expect(stdout).toContain('TEMPORAL_ADDRESS is not set');
});
