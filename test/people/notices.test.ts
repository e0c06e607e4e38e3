import { afterEach, beforeEach, expect, test } from 'vitest';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { until } from '../harness/orchflow.ts';
import { startSteps } from '../harness/orchestration.ts';
import { addPerson, untilAssigned } from '../harness/people.ts';
import { useStory } from '../harness/story.ts';

/** What a person was not told yet, when they have another address, or are gone. */

const story = useStory();
let before: FakeWebhook;
let after: FakeWebhook;

beforeEach(async () => {
  [before, after] = await Promise.all([startFakeWebhook(), startFakeWebhook()]);
});
afterEach(() => Promise.all([before.close(), after.close()]));

/** Anna, who could not be told of her gate. */
async function addWaiting(): Promise<{ person_id: string; run_id: string }> {
  await before.down();
  const person = { skills: ['legal'], notify_url: before.url };
  const { person_id } = await addPerson(story.user, story.orchflow.url, person);
  const step = { id: 'ask', type: 'human', human_prompt: 'Is it legal?', skills: ['legal'] };
  const { run_id } = (await startSteps(story.user, [step], {})).body;
  await untilAssigned(story.user, run_id, 'ask', person_id);
  await until(async () => (await noticeOf(run_id)).attempts > 0, 'it was attempted');
  await before.up();
  return { person_id, run_id };
}

async function noticeOf(run_id: string) {
  const { deliveries } = (await story.user.get(`/webhooks/deliveries?run_id=${run_id}`)).body;
  return deliveries.find(({ event }: { event: string }) => event === 'gate.assigned');
}

/** What is to be attempted again is attempted now. */
const hurry = (run_id: string) =>
  story.orchflow.db
    .updateTable('webhook_deliveries')
    .set({ next_attempt_at: new Date().toISOString() })
    .where('run_id', '=', run_id)
    .where('next_attempt_at', 'is not', null)
    .execute();

test('it goes to the address that they have by then', async () => {
  const { person_id, run_id } = await addWaiting();
  await story.user.patch(`/people/${person_id}`, { notify_url: after.url });
  await hurry(run_id);
  await until(() => after.requests.length === 1, 'they are told');
  expect(before.requests).toEqual([]);
});

test.each([
  ['have none any more', (path: string) => story.user.patch(path, { notify_url: null })],
  ['are removed', (path: string) => story.user.delete(path)],
])('it is not sent when they %s', async (_how, change) => {
  const { person_id, run_id } = await addWaiting();
  expect((await change(`/people/${person_id}`)).status).toBe(200);
  expect(await noticeOf(run_id)).toMatchObject({ status: 'disabled' });
  await hurry(run_id);
  expect(before.requests).toEqual([]);
});

test('who loses a gate is told, unless they have handed it on themselves', async () => {
  const { user, orchflow } = story;
  const anna = await addPerson(user, orchflow.url, { skills: ['legal'], notify_url: before.url });
  const ben = await addPerson(user, orchflow.url, { name: 'Ben', notify_url: after.url });
  const step = { id: 'ask', type: 'human', human_prompt: 'Is it legal?', skills: ['legal'] };
  const { run_id } = (await startSteps(user, [step], {})).body;
  const { gate_id } = await untilAssigned(user, run_id, 'ask', anna.person_id);
  const toldTo = (hook: FakeWebhook) => hook.requests.map(({ body }) => JSON.parse(body));

  const path = `/runs/${run_id}/tasks/ask/assign`;
  expect((await user.post(path, { person_id: ben.person_id, note: 'Anna is away.' })).status).toBe(200);
  const ofLoss = ({ type }: { type: string }) => type === 'gate.unassigned';
  await until(() => toldTo(before).some(ofLoss) && after.requests.length === 1, 'both are told');
  const loss = toldTo(before).find(ofLoss);
  expect(loss).toMatchObject({
    run_id,
    gate_id,
    data: { taken_from: anna.person_id, note: 'Anna is away.', by: { kind: 'key' } },
  });
  expect(loss.data).not.toHaveProperty('person_id');
  expect(loss.data).not.toHaveProperty('name');
  expect(toldTo(after)).toMatchObject([{ type: 'gate.assigned', data: { person_id: ben.person_id } }]);

  expect((await ben.post(path, { person_id: anna.person_id })).status).toBe(200);
  await until(() => before.requests.length === 3, 'Anna is told that it is hers again');
  const { deliveries } = (await user.get(`/webhooks/deliveries?run_id=${run_id}`)).body;
  expect(deliveries.map(({ event }: { event: string }) => event).toSorted()).toEqual([
    'gate.assigned',
    'gate.assigned',
    'gate.assigned',
    'gate.unassigned',
  ]);
});
