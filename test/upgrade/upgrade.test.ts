import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { killRecorded } from '../../src/embedded/processes.ts';
import { findTemporal, startTemporal, type Temporal } from '../../src/embedded/temporal.ts';
import { runCommand } from '../harness/command.ts';
import { assertNothingLeaked } from '../harness/canaries.ts';
import { createUser, type TestRun, type User } from '../harness/client.ts';
import { createEnvironment } from '../harness/orchflow.ts';
import { killProcesses, startApiProcess, startWorkerProcess } from '../harness/processes.ts';
import { readFacts, readTemporal, restoreDatabase } from './release.ts';

/** The runs of an older release, at rest in its database and its Temporal, are brought to their end by the code of today. */

const version = '0.1.0';
const { api_key, email, encryption_key, runs } = readFacts(version);

let dir: string;
let temporal: Temporal;
let env: Record<string, string>;
let url: string;
let user: User;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'orchflow-upgrade-'));
  const DATABASE_URL = await restoreDatabase(version);
  temporal = await startTemporalOfRelease();
  env = await createEnvironment({
    DATABASE_URL,
    TEMPORAL_ADDRESS: temporal.address,
    // The one of `npm start`, in which its runs are.
    TEMPORAL_TASK_QUEUE: 'orchflow',
    ENCRYPTION_KEY: encryption_key,
  });
  await runCommand('migrate', env);
  const [api] = await Promise.all([startApiProcess(env), startWorkerProcess(env)]);
  url = api.url;
  user = createUser(url, api_key, '', email);
});
afterAll(async () => {
  await killProcesses();
  await assertNothingLeaked(env, await readFile(path.join(dir, 'temporal.log'), 'utf8'));
  await temporal.stop();
  await rm(dir, { recursive: true });
});

async function startTemporalOfRelease(): Promise<Temporal> {
  const report = () => {};
  const [dbFile, logFile, pidFile] = ['db', 'log', 'json'].map((kind) => path.join(dir, `temporal.${kind}`));
  process.once('exit', () => killRecorded(pidFile!));
  await writeFile(dbFile!, readTemporal(version));
  const binary = await findTemporal({ report });
  return startTemporal({ binary, dbFile, logFile: logFile!, pidFile, headless: true, report });
}

const open = (name: string): TestRun => user.openRun(runs[name]!);

async function answer(run: TestRun, task_id: string, how: object): Promise<void> {
  await run.untilWaiting(task_id);
  expect(await run.complete(task_id, how)).toMatchObject({ status: 200 });
}

/** Answers the gate of a run's legal approval, its last. Returns its final output. */
async function approveLegally(run: TestRun): Promise<string> {
  const { tasks } = await run.get();
  const legal = tasks.find(({ title }) => title === 'Legal approval')!;
  await answer(run, legal.id, { output: `Legal is fine with ${run.run_id}.` });
  const { final_output, warnings } = await run.until('completed');
  expect(warnings).toEqual([]);
  expect(final_output).toContain(`Legal is fine with ${run.run_id}.`);
  return final_output!;
}

/** What is told of a run that has ended: all of it, from its beginning. */
async function typesOfEvents(run_id: string): Promise<string[]> {
  const response = await fetch(`${url}/api/v1/runs/${run_id}/events`, { headers: { 'x-api-key': api_key } });
  const text = await response.text();
  const told = [...text.matchAll(/^id: (\d+)\nevent: (.+)$/gm)].filter(([, , type]) => type !== 'done');
  expect(told.map(([, seq]) => Number(seq))).toEqual(told.map((_, index) => index + 1));
  return told.map(([, , type]) => type!);
}

test('a run that waited for what it had asked for takes the answer, and those to its later gates', async () => {
  const run = open('context');
  expect(await run.get()).toMatchObject({ status: 'waiting_human', waiting_tasks: ['T1'] });
  await answer(run, 'T1', { output: 'Ten thousand, asked.' });
  expect(await approveLegally(run)).toContain('Ten thousand, asked.');
});

test.each([
  ['that Temporal had, and no worker,', 'unheard'],
  ['that only the outbox had', 'unsent'],
])('an answer %s at the upgrade is not lost', async (_, name) => {
  const run = open(name);
  expect(await run.task('T1')).toMatchObject({ gate: { status: 'answered', decision: 'approve' } });
  expect(await run.complete('T1', { output: 'Another.' })).toMatchObject({ status: 409 });
  expect(await approveLegally(run)).toContain(`Ten thousand, ${name}.`);
});

test('a start that only the outbox had at the upgrade is not lost', async () => {
  const { tasks } = await open('unstarted').until('completed');
  expect(tasks.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed']);
});

test('a run whose drafts wait for approval keeps what was approved, and takes the next', async () => {
  const run = open('approvals');
  const draft = (await run.task('T2')).output;
  await answer(run, 'T2', {});
  await run.untilWaiting('T3');
  expect(await run.complete('T3', { decision: 'reject', output: 'Shorter, please.' })).toMatchObject({ status: 200 });
  await run.until(({ tasks }) => tasks[2]!.attempts === 2 && tasks[2]!.gate?.status === 'open');
  await answer(run, 'T3', {});
  const { tasks, final_output } = await run.until('completed');
  expect(tasks.map(({ output }) => output)).toEqual([
    'Rivals: Ada, Bob, Cyd.',
    draft,
    expect.stringContaining('Shorter, please.'),
  ]);
  expect(final_output).toContain('Rivals: Ada, Bob, Cyd.');
});

test('a run that waited for a larger budget goes on with it', async () => {
  const run = open('budget');
  const before = await run.untilWaiting('_budget_1');
  const done = ({ tasks }: { tasks: { output: string | null; status: string }[] }) =>
    tasks.filter(({ status, output }) => status === 'completed' && output).map(({ output }) => output);
  expect(done(before).length).toBeGreaterThan(0);
  await answer(run, '_budget_1', { decision: 'approve' });
  const after = await run.until('completed');
  expect(done(after)).toEqual(expect.arrayContaining(done(before)));
  expect(after.usage.llm_calls).toBeGreaterThan(before.usage.llm_calls);
});

test('an orchestration that had paused goes on with its state, and back to the step before', async () => {
  const path = `/orchestrations/runs/${runs.orchestration}`;
  const { shared_state, waiting } = (await user.get(path)).body;
  expect(waiting).toMatchObject([{ step_id: 'step-approve' }]);
  const again = await user.post(`${path}/resume`, { response: { decision: 'reject', notes: 'Shorter.' } });
  expect(again.body).toMatchObject({ status: 'paused', human_input_required: { task_id: 'step-approve.2' } });
  const done = await user.post(`${path}/resume`, { response: { decision: 'approve' } });
  expect(done.body).toMatchObject({
    status: 'completed',
    shared_state: { query: 'Note-taking apps', research_results: shared_state.research_results },
  });
  expect(done.body.step_history.map(({ task_id, status }: any) => [task_id, status])).toEqual(
    ['research', 'write', 'approve', 'decide', 'write.2', 'approve.2', 'decide.2', 'finish'].map((id) => [
      `step-${id}`,
      'completed',
    ]),
  );
});

test('an orchestration that had failed is tried again from where it stopped', async () => {
  const path = `/orchestrations/runs/${runs.failed}`;
  const failed = (await user.get(path)).body;
  expect(failed).toMatchObject({ status: 'failed', error: 'Global turn limit (2) exceeded' });
  const { body } = await user.post(`${path}/retry`, {});
  expect(body).toMatchObject({ status: 'completed', shared_state: failed.shared_state });
  expect(Object.keys(body.shared_state)).toEqual(expect.arrayContaining(['first', 'second', 'third']));
  expect((await user.get(path)).body).toMatchObject({ attempt: 2, error: null, usage: { llm_calls: 3 } });
});

test('a run that had completed is read as it was, and another begins from what it has done', async () => {
  const before = await open('completed').get();
  expect(before).toMatchObject({ status: 'completed', phase: 'done', usage: { llm_calls: 9 } });
  expect(before.final_output).toContain('## Compare their prices');
  const again = await user.post(`/runs/${before.run_id}/rerun`, { from_task: 'T3' });
  expect(again.status).toBe(201);
  const after = await user.openRun(again.body.run_id).until('completed');
  expect(after).toMatchObject({ forked_from: before.run_id, usage: { llm_calls: 3 } });
  expect(after.tasks.slice(0, 2).map(({ output }) => output)).toEqual(
    before.tasks.slice(0, 2).map(({ output }) => output),
  );
});

test('every view has them all in the end, and tells of each from its beginning', async () => {
  const ids = Object.values(runs);
  const listed = (await user.get('/runs?status=completed')).body.runs;
  expect(listed.map(({ run_id }: TestRun) => run_id)).toEqual(expect.arrayContaining(ids));
  const orchestrations = (await user.get('/orchestrations/runs')).body.runs;
  expect(new Set(orchestrations.map(({ run_id }: TestRun) => run_id))).toEqual(
    new Set([runs.orchestration, runs.failed]),
  );
  const answers: Record<string, number> = {};
  for (const [name, run_id] of Object.entries(runs)) {
    const types = await typesOfEvents(run_id);
    expect([types[0], types.at(-1)]).toEqual(['run.created', 'run.completed']);
    answers[name] = types.filter((type) => type === 'gate.answered').length;
    expect(
      (await user.get(`/runs/${run_id}/tasks`)).body.tasks.every(({ status }: any) => status === 'completed'),
    ).toBe(true);
  }
  expect(answers).toEqual({
    context: 2,
    unheard: 2,
    unsent: 2,
    unstarted: 0,
    approvals: 4,
    budget: 1,
    completed: 0,
    orchestration: 2,
    failed: 0,
  });
});
