import { expect, test } from 'vitest';
import { startSteps } from '../harness/orchestration.ts';
import { addPerson, untilAssigned } from '../harness/people.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';
import { useStory } from '../harness/story.ts';

/** Gates that are given to somebody by hand, and back, again and again. */

const story = useStory();

const add = (person: object) => addPerson(story.user, story.orchflow.url, person);

/** An orchestration that asks a person of these skills. */
async function ask(skills: string[]): Promise<{ run_id: string; path: string }> {
  const { body } = await startSteps(
    story.user,
    [{ id: 'ask', type: 'human', human_prompt: 'Is it legal?', skills }],
    {},
  );
  return { run_id: body.run_id, path: `/runs/${body.run_id}/tasks/ask/assign` };
}

test('why it was given to somebody is read where they answer, until it is given to the next', async () => {
  const anna = await add({ skills: ['legal'] });
  const ben = await add({ name: 'Ben' });
  const { run_id, path } = await ask(['legal']);
  const { gate_id } = await untilAssigned(story.user, run_id, 'ask', anna.person_id);
  const noteOf = async (by = story.user) => (await by.get(`/inbox/${gate_id}`)).body.assignment_note;
  expect(await noteOf()).toBeNull();
  const note = 'Ask Cleo about clause 4.';
  expect((await anna.post(path, { person_id: ben.person_id, note })).status).toBe(200);
  expect(await noteOf(ben)).toBe(note);
  expect((await ben.get('/inbox')).body.gates).toMatchObject([{ gate_id, assignment_note: note }]);
  const { body: view } = await story.user.get(`/runs/${run_id}`);
  expect(view.tasks[0].gate).toMatchObject({ assignment_note: note });
  const { body: past } = await story.user.get(`/runs/${run_id}/tasks/ask/attempts`);
  expect(past.gates).toMatchObject([{ assignment_note: note }]);
  expect((await ben.post(path, { person_id: anna.person_id })).status).toBe(200);
  expect(await noteOf(anna)).toBeNull();
});

test("a person's own key gives back and takes a gate a hundred times; the keys of the account give it to whom they want after that", async () => {
  const anna = await add({ skills: ['legal'] });
  const ben = await add({ name: 'Ben' });
  const { run_id, path } = await ask(['legal']);
  await untilAssigned(story.user, run_id, 'ask', anna.person_id);
  for (let changes = 1; changes < 100; changes += 1) {
    const changed = await anna.post(path, { person_id: changes % 2 === 1 ? null : anna.person_id });
    expect(changed.status, JSON.stringify(changed.body)).toBe(200);
  }
  expectProblem(await anna.post(path, { person_id: anna.person_id }), {
    status: 409,
    code: 'STEERED_TOO_OFTEN',
    detail: 'It has changed a hundred times whose this gate is: only keys of the account give it to somebody else now.',
  });
  for (const person_id of [ben.person_id, anna.person_id, null, ben.person_id]) {
    expect(await story.user.post(path, { person_id })).toMatchObject({ status: 200, body: { person_id } });
  }
  expectProblem(await ben.post(path, { person_id: anna.person_id }), {
    status: 409,
    code: 'STEERED_TOO_OFTEN',
    detail: expect.any(String),
  });
  const answered = await ben.post(`/runs/${run_id}/tasks/ask/complete`, { output: 'Yes.' });
  expect(answered.status, JSON.stringify(answered.body)).toBe(200);
});

test('what a person has handed on is found again by the request that has done it, also without its answer', async () => {
  const anna = await add({ skills: ['legal'] });
  const ben = await add({ name: 'Ben' });
  const { run_id, path } = await ask(['legal']);
  await untilAssigned(story.user, run_id, 'ask', anna.person_id);
  const headers = { 'x-api-key': anna.api_key, 'content-type': 'application/json', 'idempotency-key': 'hand-on' };
  const body = JSON.stringify({ person_id: ben.person_id });
  const handOn = () => send(story.orchflow.url, 'POST', `/api/v1${path}`, headers, body);
  const first = await handOn();
  expect(first).toMatchObject({ status: 200, body: { person_id: ben.person_id } });
  await story.user.post(path, { person_id: null });
  // As when its API died before it has answered.
  await story.orchflow.db
    .updateTable('idempotency_keys')
    .set({ status: null, answer_encrypted: null, locked_until: new Date(0).toISOString() })
    .where('idempotency_key', 'like', '%hand-on')
    .execute();
  expect(await handOn()).toMatchObject({ status: 200, body: first.body });
  await untilAssigned(story.user, run_id, 'ask', null);
  const { events } = (await story.user.get(`/runs/${run_id}/audit`)).body;
  const told = events.filter(({ type }: { type: string }) => type.endsWith('assigned'));
  expect(told).toHaveLength(3);
});

test('a gate without skills that is given back is for keys of the account', async () => {
  const anna = await add({});
  const { path } = await ask([]);
  expect((await story.user.post(path, { person_id: anna.person_id })).body.message).toBe('Task ask is assigned.');
  const { body } = await anna.post(path, { person_id: null });
  expect(body).toMatchObject({ person_id: null, message: 'Task ask is for keys of the account to answer.' });
});
