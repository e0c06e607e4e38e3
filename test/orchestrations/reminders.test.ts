import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GateState } from '../../workflows/contract/states.ts';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { until } from '../harness/orchflow.ts';
import { startSteps } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** How often an account is reminded of all its gates. */

/** In an hour. */
const most = 20;
const story = useStory({ REMINDER_LIMIT_PER_HOUR: String(most) });
let endpoint: FakeWebhook;

beforeEach(async () => {
  endpoint = await startFakeWebhook();
});
afterEach(() => endpoint.close());

const ask = (id: string) => ({ id, type: 'human', human_prompt: 'Go on?', next_step_id: null });
const told = () => endpoint.requests.map(({ payload }) => `${payload.event} ${payload.waiting_tasks.join()}`);

/** Starts it with our webhook, and does not wait. */
async function start(steps: Parameters<typeof startSteps>[1]) {
  const { status, body } = await startSteps(story.user, steps, { webhook_url: endpoint.url, remind_every: '1s' });
  expect(status, JSON.stringify(body)).toBe(200);
  return story.user.openRun(body.run_id as string);
}

/** Resolves when no open gate of the run is to remind within half an hour, each a second after the other before. */
function untilQuiet({ run_id }: { run_id: string }): Promise<void> {
  const handle = story.orchflow.client.workflow.getHandle(run_id);
  return until(async () => {
    const gates = await handle.query<GateState[]>('waitingTasks');
    return gates.length > 0 && gates.every(({ reminders }) => reminders > 1_800);
  }, 'its gates remind no more');
}

test('an account has so many reminders in an hour; what is beyond is left out, is told, and takes nothing from others', async () => {
  const { orchflow } = story;
  const asks = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map(ask);
  const fork = { id: 'fork', type: 'parallel', parallel_branches: asks.map(({ id }) => [id]), next_step_id: null };
  const run = await start([fork, ...asks]);
  await untilQuiet(run);

  const { warnings } = await run.until(({ warnings: of }) => of.length > 0);
  expect(warnings).toEqual([`Reminders were left out: an account has ${most} in an hour at most.`]);
  const reminders = () =>
    orchflow.db
      .selectFrom('run_events')
      .select('seq')
      .where('type', '=', 'gate.reminder')
      .where('run_id', '=', run.run_id);
  expect(await reminders().execute()).toHaveLength(most);
  const { events } = await orchflow.client.workflow.getHandle(run.run_id).fetchHistory();
  const begun = events!.filter(({ startChildWorkflowExecutionInitiatedEventAttributes: child }) => child);
  expect(begun).toHaveLength(asks.length + most);
  await until(() => told().length === asks.length + most, 'all that is told has come');
  // Those that come due together are asked for together.
  const asked = events!.filter(
    ({ activityTaskScheduledEventAttributes: activity }) => activity?.activityType?.name === 'takeReminders',
  );
  expect(asked.length).toBeLessThan(most);

  // A second one of the account is told that there are none, and one of another account is reminded.
  const second = await start([ask('ask')]);
  await untilQuiet(second);
  expect((await second.until(({ warnings: of }) => of.length > 0)).warnings).toEqual(warnings);
  story.user = await orchflow.register();
  await start([ask('ask')]);
  await until(() => told().includes('gate.reminder ask'), 'a reminder of the other account');
  expect(await reminders().execute()).toHaveLength(most);
  // They answer as before.
  expect((await run.complete('a', { output: 'Yes.' })).status).toBe(200);
});
