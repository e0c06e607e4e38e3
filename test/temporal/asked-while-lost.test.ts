import { expect, test } from 'vitest';
import type { RunState } from '../../workflows/contract/states.ts';
import { registerAgent, runAgent } from '../harness/agent.ts';
import { startSteps } from '../harness/orchestration.ts';
import { createUser, startOrchflow, until, type TestRun, type User } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/**
 * A query that is answered while a workflow task is on its way to a worker that is gone: the SDK has the workflow hear what came before
 * the task begins, and tells it of a shorter history than a replay does.
 */

const story = useStory({}, { worker: false });
/** An answer adds so many events until its workflow task begins, of which three are not there when it is heard. */
const events = 5;

/** A run that has been sent back so often that its history has more than a hundred events, and waits. */
async function sendBack(user: User, agent_id: string): Promise<TestRun> {
  const run = await runAgent(user, agent_id);
  for (let attempt = 1; attempt < 8; attempt += 1) {
    await untilAsked(run, attempt);
    await run.complete('T1', { decision: 'reject', output: 'Once more.' });
  }
  await untilAsked(run, 8);
  return run;
}

const untilAsked = (run: TestRun, attempt: number) =>
  run.until(({ tasks, waiting_tasks }) => tasks[0]?.attempts === attempt && waiting_tasks.length === 1);

/** Once the workflow task that follows the opening of the gate is done. */
async function lengthAtRest({ run_id }: TestRun): Promise<number> {
  const handle = story.orchflow.client.workflow.getHandle(run_id);
  let length = 0;
  await until(async () => {
    const { raw, historyLength } = await handle.describe();
    const rests = !raw.pendingWorkflowTask && !raw.pendingActivities?.length && historyLength === length;
    length = historyLength;
    return rests;
  }, 'the run rests');
  return length;
}

/** The query waits for the worker that is gone, for a second. */
async function askWhile({ run_id }: TestRun, answer: () => Promise<unknown>): Promise<RunState> {
  const asked = story.orchflow.client.workflow.getHandle(run_id).query<RunState>('runState');
  await answer();
  return asked;
}

/** Until it came to that: what is to be heard with the query must come within a second. */
async function untilHeard(attempt: () => Promise<boolean>): Promise<void> {
  for (let tries = 1; !(await attempt()); tries += 1) expect(tries).toBeLessThan(8);
}

test('it continues as new, or does not, where it does so when it is replayed', async () => {
  story.model.on(() => 'A fair clause.');
  let worker = await story.startWorkerProcess();
  const agent_id = await registerAgent(story.user, { provider_id: story.provider_id, require_approval: true });
  const length = await lengthAtRest(await sendBack(story.user, agent_id));
  expect(length).toBeGreaterThan(100);

  const RUN_HISTORY_LIMIT = String(length + events - 1);
  const api = await startOrchflow({ environment: { ...story.orchflow.env, RUN_HISTORY_LIMIT }, worker: false });
  const { api_key, webhook_secret, email } = story.user;
  await untilHeard(async () => {
    const run = await sendBack(createUser(api.url, api_key, webhook_secret, email), agent_id);
    const isAtLimit = (await lengthAtRest(run)) === length;
    await worker.kill();
    worker = await story.startWorkerProcess();
    const { tasks } = await askWhile(run, () => run.complete('T1', { decision: 'reject', output: 'Once more.' }));
    await untilAsked(run, 9);
    await run.complete('T1', {});
    await run.until('completed');
    return isAtLimit && tasks[0]!.attempts === 9;
  });
  await api.stop();
});

test('what it does then it does at that time, and not at that of its workflow task before', async () => {
  let worker = await story.startWorkerProcess();
  const steps = ['first', 'second'].map((id) => ({ id, type: 'human', human_prompt: 'Is it legal?' }));
  await untilHeard(async () => {
    const { body } = await startSteps(story.user, steps, {});
    const run = story.user.openRun(body.run_id);
    await run.untilWaiting('first');
    await lengthAtRest(run);
    await worker.kill();
    worker = await story.startWorkerProcess();
    const since = Date.now();
    const { tasks } = await askWhile(run, () => run.complete('first', { output: 'Yes.' }));
    const { tasks: kept } = await run.untilWaiting('second');
    expect(Date.parse(kept.find(({ id }) => id === 'first')!.completed_at!)).toBeGreaterThanOrEqual(since);
    await run.complete('second', { output: 'Yes.' });
    await run.until('completed');
    return tasks.find(({ id }) => id === 'first')!.status === 'completed';
  });
});
