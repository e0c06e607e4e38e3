import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ModelCall, Reply } from '../fakes/model.ts';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import type { RunView } from '../../db/run-views.ts';
import { until, type TestRun } from '../harness/orchflow.ts';
import { runSteps } from '../harness/orchestration.ts';
import type { Script } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** What operators see of runs in Temporal, and do to them there. */

const story = useStory();
let endpoint: FakeWebhook;
beforeAll(async () => {
  endpoint = await startFakeWebhook();
});
afterAll(() => endpoint.close());

test('a run that is reset to its beginning goes on: nothing is paid for, asked or sent twice', async () => {
  const run = await story.start(
    {},
    { ask_me_about: ['budget'], human_gates: ['sign-off'], require_approval: true, webhook_url: endpoint.url },
  );
  await run.untilWaiting('T1');
  await run.complete('T1', { output: 'Ten.' });
  // At first it comes so far in many steps, and after the reset, with all answers there, in few.
  const isLast = ({ tasks }: RunView) => tasks.at(-1)!.status === 'waiting_human';
  let before = await run.until(({ waiting_tasks }) => waiting_tasks.length > 0);
  for (; !isLast(before); before = await run.until((view) => view.waiting_tasks.length > 0)) {
    const waiting = before.tasks.find(({ gate }) => gate?.status === 'open')!;
    const answer = waiting.attempts < 4 ? { decision: 'reject', output: 'Again.' } : {};
    await run.complete(waiting.id, { ...answer, gate_id: waiting.gate!.gate_id });
  }
  const signOff = before.tasks.at(-1)!.id;
  const paid = story.model.calls.length;

  const { client } = story.orchflow;
  const handle = client.workflow.getHandle(run.run_id);
  const { runId } = await handle.describe();
  const { events } = await handle.fetchHistory();
  const firstTask = events!.find(({ workflowTaskCompletedEventAttributes: completed }) => completed)!;
  await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: { workflowId: run.run_id, runId },
    workflowTaskFinishEventId: firstTask.eventId,
    reason: 'mended',
    requestId: randomUUID(),
  });
  await expect.poll(async () => (await handle.describe()).runId).not.toBe(runId);

  expect(await run.complete(signOff, { output: 'Signed.' })).toMatchObject({ status: 200 });
  expect(await handle.result()).toMatchObject({ status: 'completed' });
  const done = await run.until('completed');
  expect(done.tasks.map(({ status, output }) => [status, output])).toEqual([
    ...before.tasks.slice(0, -1).map(({ output }) => ['completed', output]),
    ['completed', 'Signed.'],
  ]);
  expect(story.model.calls.slice(paid).map(({ purpose }) => purpose)).toEqual(['finalize']);
  await expect.poll(() => endpoint.requests.map(({ payload }) => payload.event).at(-1)).toBe('completed');
  const ids = endpoint.requests.map(({ headers }) => headers['webhook-id']);
  expect(new Set(ids).size).toBe(ids.length);
});

test('what a model writes is text in the Web UI: it makes no table, no HTML, no template', async () => {
  const title = 'Ask `x` | <b>who</b> *signs* {{it}}';
  const run = await story.start({ plan: [title, 'Compare', 'Report'] }, { human_gates: ['ask who signs'] });
  await run.untilWaiting('T1');
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(currentDetails).toContain(String.raw`Ask \`x\` \| \<b>who\</b> \*signs\* \{\{it\}\}`);
  await run.cancel();
});

const goal = (script: Script, more = {}) => story.start(script, more);
const form = async (...human_fields: object[]) =>
  story.user.openRun((await runSteps(story.user, [{ id: 'ask', type: 'human', human_fields }])).body.run_id);
const field = (type: string, more = {}) => ({ name: `the_${type}`, type, required: true, ...more });
const select = field('select', { options: ['`a` | "b" $1 {c} <d>', 'no'] });
const callsTool = ({ task_id, calls }: ModelCall): Reply | undefined =>
  task_id === 'T1' && calls.length === 0
    ? { call: [{ name: 'run_javascript', arguments: { code: '1 + 1' } }] }
    : undefined;
const researcher = { name: 'researcher', tools: [{ name: 'run_javascript', require_approval: true }] };

test.each<[string, () => Promise<TestRun>, string]>([
  ['context', () => goal({}, { ask_me_about: ['budget'] }), 'T1'],
  ['a human task', () => goal({ plan: ['Sign it', 'Compare', 'Report'] }, { human_gates: ['sign it'] }), 'T1'],
  ['an approval', () => goal({}, { require_approval: true }), 'T1'],
  ['a call', () => goal({ execute: callsTool }, { agents: [researcher] }), 'T1'],
  ['an escalation', () => goal({ evaluate: () => ({ passed: false, score: 1, feedback: 'No.' }) }), 'T1'],
  ['money', () => goal({}, { max_tokens: 1_000 }), '_budget_1'],
  ['a form without fields', () => form(), 'ask'],
  ...['text', 'textarea', 'number', 'boolean'].map((type): [string, () => Promise<TestRun>, string] => [
    `a form of one ${type}`,
    () => form(field(type)),
    'ask',
  ]),
  ['a form of one select', () => form(select), 'ask'],
  ['a form of several', () => form(field('text'), field('number'), field('boolean'), select), 'ask'],
  [
    'a form of fields with bounds',
    () =>
      form(
        field('integer', { min: 7 }),
        field('number', { max: -0.5 }),
        field('text', { min_length: 12 }),
        field('textarea', { max_length: 2 }),
        field('multi_select', { options: 'a,b,c', min_items: 2 }),
        field('date'),
        field('datetime'),
        field('file'),
      ),
    'ask',
  ],
])('the signal that the Web UI shows is taken as it stands: %s', async (_, start, task_id) => {
  const run = await start();
  await run.until(({ tasks }) => tasks.some(({ id, gate }) => id === task_id && gate?.status === 'open'));
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  const shown = [...currentDetails.matchAll(/^```json\n(.*)\n```$/gm)].map(([, json]) => JSON.parse(json!));
  const answer = shown.find((one) => one.task_id === task_id);
  await handle.signal('completeTask', answer);
  const { db } = story.orchflow;
  const gates = db.selectFrom('gates').select('status').where('run_id', '=', run.run_id).where('task_id', '=', task_id);
  await until(async () => (await gates.execute()).some(({ status }) => status === 'answered'), 'the gate is answered');
  expect((await run.get()).warnings.filter((text) => text.startsWith('A signal'))).toEqual([]);
  await run.cancel();
});
