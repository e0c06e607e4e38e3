import { expect, test } from 'vitest';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { until } from '../harness/orchflow.ts';
import { addPerson, untilAssigned } from '../harness/people.ts';
import { useStory } from '../harness/story.ts';

/** Gates that nobody answers in time go to the next who fits. */

const story = useStory();

const add = (person: object) => addPerson(story.user, story.orchflow.url, person);

test('when it is due it goes to the next who fits, before the escalation is told; when nobody else does, it stays', async () => {
  const escalation = await startFakeWebhook();
  const hook = await startFakeWebhook();
  const anna = await add({ skills: ['legal'] });
  const ask_me_about = [{ about: 'the law', skills: ['legal'] }];
  const terms = { gate_due_in: '3s', on_timeout: 'escalate', escalation_webhook_url: escalation.url };
  const run = await story.start({}, { ask_me_about, ...terms });
  await untilAssigned(story.user, run.run_id, 'T1', anna.person_id);
  const ben = await add({ name: 'Ben', skills: ['legal'], notify_url: hook.url });
  await until(() => escalation.requests.length === 1, 'the escalation');
  // It was Ben's by then.
  expect((await run.task('T1')).gate).toMatchObject({ status: 'open', person: { person_id: ben.person_id } });
  await until(() => hook.requests.length === 1, 'Ben is told');
  expect((await anna.get('/inbox')).body.gates).toEqual([]);

  await story.user.delete(`/people/${anna.person_id}`);
  await story.user.patch(`/runs/${run.run_id}`, { gate_due_in: '4s' });
  await until(() => escalation.requests.length === 2, 'the escalation under other terms');
  expect((await run.task('T1')).gate).toMatchObject({ status: 'open', person: { person_id: ben.person_id } });
  expect((await ben.post(`/runs/${run.run_id}/tasks/T1/complete`, { output: 'Be kind.' })).status).toBe(200);
  await run.until('completed');

  const { events } = (await story.user.get(`/runs/${run.run_id}/audit`)).body;
  const told = events.flatMap(({ type, data }: any) =>
    type.endsWith('assigned') ? [[data.person_id, data.taken_from]] : [],
  );
  expect(told).toEqual([
    [anna.person_id, undefined],
    [ben.person_id, anna.person_id],
  ]);
  await Promise.all([escalation.close(), hook.close()]);
});

test('what asks for no skills, or for what nobody knows, is escalated as it is', async () => {
  const escalation = await startFakeWebhook();
  await add({ skills: ['tax'] });
  const terms = { gate_due_in: '1s', on_timeout: 'escalate', escalation_webhook_url: escalation.url };
  const runs = [
    await story.start({}, { ask_me_about: ['the law'], ...terms }),
    await story.start({}, { ask_me_about: [{ about: 'the law', skills: ['legal'] }], ...terms }),
  ];
  await until(() => escalation.requests.length === 2, 'both escalations');
  for (const run of runs) {
    expect((await run.task('T1')).gate).toMatchObject({ status: 'open', person: null });
    await run.complete('T1', { output: 'Be kind.' });
    await run.until('completed');
  }
  await escalation.close();
});
