/** Every step of a client of Orchflow, by the package that OpenAPI Generator (typescript-fetch) has made of /openapi.json. */
import assert from 'node:assert/strict';
import {
  AuthApi,
  Configuration,
  OrchestrationRunsApi,
  OrchestrationsApi,
  ProblemFromJSON,
  ResponseError,
  RunsApi,
  TasksApi,
} from './client/index.ts';

const basePath = process.env.ORCHFLOW_URL!;
const email = `typescript.fetch.${Math.random()}@example.com`;
const registered = await new AuthApi(new Configuration({ basePath })).registerAccount({
  register: { name: 'Ada', email },
});
const configuration = new Configuration({ basePath, apiKey: registered.apiKey });
const runs = new RunsApi(configuration);
const tasks = new TasksApi(configuration);
const orchestrations = new OrchestrationRunsApi(configuration);

const runId = await answerGate();
await refusals();
await gates();
await pages();
await orchestration();
await definition();
assert.match((await runs.followRun({ runId }))!, /^event: run.completed$/m);

async function problemOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof ResponseError);
  return ProblemFromJSON(await error.response.json());
}

async function answerGate() {
  const createRun = { task: 'Compare three note apps.', askMeAbout: ['the budget'] };
  const { runId } = await runs.createRun({ createRun });
  let run = await runs.getRun({ runId, wait: 30 });
  while (run.waitingTasks.length === 0) run = await runs.getRun({ runId, wait: 30 });
  const completeTask = { output: 'Ten euros.', gateId: run.tasks[0]!.gate!.gateId };
  const taken = await tasks.completeTask({ runId, taskId: 'T1', completeTask });
  assert.equal(taken.decision, 'approve');
  while (run.status !== 'completed') {
    assert.notEqual(run.status, 'failed');
    run = await runs.getRun({ runId, wait: 30 });
  }
  assert.ok(run.finalOutput && run.completedAt! > run.createdAt);
  return runId;
}

async function refusals() {
  const again = await problemOf(tasks.completeTask({ runId, taskId: 'T1', completeTask: { output: 'Twenty.' } }));
  assert.equal(again.answer!.output, 'Ten euros.');
  const empty = await problemOf(runs.createRun({ createRun: { task: ' ' } }));
  assert.equal(empty.errors![0]!.pointer, '/task');
}

async function gates() {
  const humanGates = ['legal approval', { name: 'the price', gateDueIn: '1d' }];
  const { runId } = await runs.createRun({ createRun: { task: 'Set a price.', humanGates } });
  const [first, second] = (await runs.getRun({ runId })).humanGates;
  assert.equal(first, 'legal approval');
  assert.equal(typeof second === 'object' && second.gateDueIn, '1d');
  assert.equal((await runs.cancelRun({ runId })).status, 'cancelled');
}

async function pages() {
  const first = await runs.listRuns({ limit: 1 });
  const second = await runs.listRuns({ limit: 1, cursor: first.nextCursor! });
  assert.equal(second.hasMore, false);
  assert.notEqual(first.runs[0]!.runId, second.runs[0]!.runId);
}

async function orchestration() {
  const start = { orchId: 'orch-research-report', startOrchestration: { message: 'Note apps' } };
  const paused = await orchestrations.runOrchestration(start);
  assert.ok(paused.status === 'paused');
  assert.ok(paused.humanInputRequired.prompt);
  const ended = await orchestrations.resumeOrchestrationRun({
    runId: paused.runId,
    resumeOrchestration: { response: { decision: 'approve' } },
  });
  assert.ok(ended.status === 'completed');
  assert.ok(Object.keys(ended.sharedState).length);
  const goesOn = await orchestrations.runOrchestration({ ...start, wait: 0 });
  assert.ok(goesOn.status === 'running');
}

async function definition() {
  const size = { name: 'size', type: 'number' as const };
  const created = await new OrchestrationsApi(configuration).createOrchestration({
    orchestrationDefinition: {
      name: 'Ask',
      entryStepId: 'ask',
      steps: [
        { id: 'ask', name: 'Ask', type: 'human', humanFields: [size], nextStepId: 'end' },
        { id: 'end', name: 'End', type: 'end' },
      ],
    },
  });
  assert.equal(created.steps.length, 2);
}
