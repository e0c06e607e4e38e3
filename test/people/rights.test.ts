import { expect, test } from 'vitest';
import { sql } from 'kysely';
import { until, type User } from '../harness/orchflow.ts';
import { registerAgent, runAgent } from '../harness/agent.ts';
import { startSteps } from '../harness/orchestration.ts';
import { addPerson, untilAssigned } from '../harness/people.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** What a person may see and answer with a key of their own, and who changes that. */

const story = useStory();

const add = (person: object) => addPerson(story.user, story.orchflow.url, person);

/** An orchestration that asks a person of these skills. */
async function ask(skills: string[], more: object = {}, by = story.user): Promise<{ run_id: string; gate_id: string }> {
  const { status, body } = await startSteps(
    by,
    [{ id: 'ask', type: 'human', human_prompt: 'Is it legal?', skills }],
    more,
  );
  expect(status, JSON.stringify(body)).toBe(200);
  return { run_id: body.run_id, gate_id: `${body.run_id.replace('run_', 'gate_')}_ask_1` };
}

const gatesOf = async (user: User, query = '') => {
  const { status, body } = await user.get(`/inbox${query}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body.gates.map(({ gate_id }: { gate_id: string }) => gate_id);
};
const complete = (user: User, run_id: string, output = 'Yes.') =>
  user.post(`/runs/${run_id}/tasks/ask/complete`, { output });
const notFound = (what: string) => ({ status: 404, code: 'NOT_FOUND', detail: `${what} not found.` });

test('a person sees and answers what is theirs, or nobody\u2019s and within their skills; all else is not there', async () => {
  const anna = await add({ skills: ['legal'], max_open: 1 });
  const ben = await add({ name: 'Ben', skills: ['legal', 'tax'], status: 'inactive' });
  const mine = await ask(['legal']);
  const pool = await ask(['legal']);
  const others = await ask(['tax']);
  const without = await ask([]);
  await untilAssigned(story.user, mine.run_id, 'ask', anna.person_id);
  expect(await gatesOf(story.user)).toHaveLength(4);
  expect(await gatesOf(anna)).toEqual([mine.gate_id, pool.gate_id]);
  expect(await gatesOf(anna, `?person_id=${ben.person_id}`)).toEqual([]);
  expect(await gatesOf(anna, `?person_id=${anna.person_id}`)).toEqual([mine.gate_id]);
  for (const { run_id, gate_id } of [others, without]) {
    expectProblem(await anna.get(`/inbox/${gate_id}`), notFound('Gate'));
    expectProblem(await complete(anna, run_id), notFound('Task'));
    const path = `/runs/${run_id}/tasks/ask/assign`;
    expectProblem(await anna.post(path, { person_id: anna.person_id }), notFound('Task'));
  }
  expectProblem(await anna.post(`/runs/${mine.run_id}/tasks/other/complete`, { output: 'x' }), notFound('Task'));

  await story.user.patch(`/people/${ben.person_id}`, { status: 'active' });
  await untilAssigned(story.user, pool.run_id, 'ask', ben.person_id);
  expect(await gatesOf(anna)).toEqual([mine.gate_id]);
  expectProblem(await complete(anna, pool.run_id), notFound('Task'));
  expect((await complete(anna, mine.run_id)).status).toBe(200);
  // Their own answer is known to them, another one is not taken.
  expectProblem(await complete(anna, mine.run_id), {
    status: 409,
    code: 'TASK_NOT_WAITING',
    task_status: expect.any(String),
    detail: expect.any(String),
    answer: expect.objectContaining({ output: '{"response":"Yes."}' }),
  });
  expectProblem(await complete(ben, mine.run_id), notFound('Task'));
  expect((await ben.get('/inbox')).body.gates.map(({ run_id }: { run_id: string }) => run_id).toSorted()).toEqual(
    [pool.run_id, others.run_id].toSorted(),
  );
});

test('an edit of what is not theirs tells nothing of what its agent must make', async () => {
  const anna = await add({ skills: ['legal'] });
  const output_schema = { type: 'object', properties: { verdict: { enum: ['yes'] } }, required: ['verdict'] };
  const { provider_id } = story;
  const agent_id = await registerAgent(story.user, { provider_id, output_schema, require_approval: true });
  story.model.on(() => ({ verdict: 'yes' }));
  const run = await runAgent(story.user, agent_id);
  await run.untilWaiting('T1');
  const path = `/runs/${run.run_id}/tasks/T1/complete`;
  for (const output of ['no JSON', '{"verdict":"no"}', '{"verdict":"yes"}']) {
    expectProblem(await anna.post(path, { decision: 'edit', output }), notFound('Task'));
  }
  await story.user.post(`/runs/${run.run_id}/tasks/T1/assign`, { person_id: anna.person_id });
  expectFault(await anna.post(path, { decision: 'edit', output: '{"verdict":"no"}' }), '/output');
  expect((await anna.post(path, { decision: 'edit', output: '{"verdict":"yes"}' })).status).toBe(200);
});

test('people of another account see and answer nothing, whatever they know', async () => {
  const stranger = await story.orchflow.register();
  const theirs = await addPerson(stranger, story.orchflow.url, { skills: ['legal'] });
  const { run_id, gate_id } = await ask(['legal']);
  expect(await gatesOf(theirs)).toEqual([]);
  expectProblem(await theirs.get(`/inbox/${gate_id}`), notFound('Gate'));
  expectProblem(await complete(theirs, run_id), notFound('Task'));
  const path = `/runs/${run_id}/tasks/ask/assign`;
  expectProblem(await theirs.post(path, { person_id: theirs.person_id }), notFound('Task'));
  const errors = [{ pointer: '/person_id', detail: 'is not a person of this account' }];
  expectProblem(await story.user.post(path, { person_id: theirs.person_id }), { ...notFound('Person'), errors });
  expect((await story.user.get(`/inbox?person_id=${theirs.person_id}`)).body.gates).toEqual([]);
});

test('a gate is assigned by hand, with who and why, and is then with who it was given to, whatever they know', async () => {
  const anna = await add({ skills: ['legal'] });
  const ben = await add({ name: 'Ben', max_open: 1 });
  const { run_id, gate_id } = await ask(['legal']);
  await untilAssigned(story.user, run_id, 'ask', anna.person_id);
  const path = `/runs/${run_id}/tasks/ask/assign`;
  const given = await story.user.post(path, { person_id: ben.person_id, note: 'He knows the case.' });
  expect(given).toMatchObject({ status: 200, body: { run_id, task_id: 'ask', gate_id, person_id: ben.person_id } });
  expect(await gatesOf(anna)).toEqual([]);
  expect(await gatesOf(ben)).toEqual([gate_id]);
  // The same again tells nothing more.
  expect((await story.user.post(path, { person_id: ben.person_id })).status).toBe(200);

  const other = await ask([]);
  expectProblem(await story.user.post(`/runs/${other.run_id}/tasks/ask/assign`, { person_id: ben.person_id }), {
    status: 409,
    code: 'PERSON_NOT_FREE',
    detail: 'They are inactive, or have as many open gates as they may have.',
  });
  expectFault(await story.user.post(path, {}), '/person_id');
  expectFault(await story.user.post(path, { person_id: null, person: 'x' }), '/person');

  // Ben gives it back: it is nobody's, and stays so until somebody takes it.
  expect((await ben.post(path, { person_id: null })).body).toMatchObject({ person_id: null });
  expect((await ben.post(path, { person_id: ben.person_id })).status).toBe(404);
  await story.user.patch(`/people/${anna.person_id}`, { skills: ['legal', 'tax'] });
  const free = await ask(['tax']);
  await untilAssigned(story.user, free.run_id, 'ask', anna.person_id);
  expect(await untilAssigned(story.user, run_id, 'ask', null)).toMatchObject({ person: null });
  expect((await story.user.get(`/runs/${run_id}`)).body.warnings).toEqual([]);
  expect((await anna.post(path, { person_id: anna.person_id })).body).toMatchObject({ person_id: anna.person_id });
  expect((await complete(anna, run_id)).status).toBe(200);
  await story.user.openRun(run_id).until('completed');
  expectProblem(await story.user.post(path, { person_id: null }), {
    status: 409,
    code: 'TASK_NOT_WAITING',
    task_status: 'completed',
    detail: 'The task is completed and waits for nobody.',
  });

  const { events } = (await story.user.get(`/runs/${run_id}/audit`)).body;
  const told = events.filter(({ type }: { type: string }) => type.endsWith('assigned'));
  expect(told.map(({ type, data }: any) => [type, data.person_id, data.taken_from, data.by?.kind, data.note])).toEqual([
    ['gate.assigned', anna.person_id, undefined, undefined, undefined],
    ['gate.assigned', ben.person_id, anna.person_id, 'key', 'He knows the case.'],
    ['gate.unassigned', undefined, ben.person_id, 'person', undefined],
    ['gate.assigned', anna.person_id, undefined, 'person', undefined],
  ]);
});

test('an answer of somebody who lost the gate a moment before is not taken', async () => {
  const anna = await add({ skills: ['legal'] });
  const ben = await add({ name: 'Ben' });
  const { run_id } = await ask(['legal']);
  await untilAssigned(story.user, run_id, 'ask', anna.person_id);
  const { db } = story.orchflow;
  let answered: ReturnType<typeof complete> | undefined;
  await db.transaction().execute(async (trx) => {
    await trx.selectFrom('runs').select('run_id').where('run_id', '=', run_id).forUpdate().execute();
    answered = complete(anna, run_id);
    const blocked = sql`select from pg_stat_activity
      where wait_event_type = 'Lock' and datname = current_database() and query like '%runs%for update%'`;
    await until(async () => (await blocked.execute(db)).rows.length > 0, 'the answer has come so far');
    await trx.updateTable('gates').set({ person_id: ben.person_id }).where('run_id', '=', run_id).execute();
  });
  expectProblem(await answered!, notFound('Task'));
  expect((await story.user.openRun(run_id).get()).status).toBe('waiting_human');
});
