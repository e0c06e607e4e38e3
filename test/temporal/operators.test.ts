import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import type { RunView } from '../../db/run-views.ts';
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
  expect(currentDetails).toContain(title.replaceAll(/[|{}<>`*_]/g, (character) => `&#${character.codePointAt(0)};`));
  expect(currentDetails).not.toMatch(/<b>|\{\{|\*signs/);
  await run.cancel();
});
