import { expect, test } from 'vitest';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { until, type User } from '../harness/orchflow.ts';
import { startSteps } from '../harness/orchestration.ts';
import { addPerson, untilAssigned } from '../harness/people.ts';
import { useStory } from '../harness/story.ts';
import { eventsOf, subscribe, toldOf, untilTold } from '../harness/subscription.ts';

/** Gates that ask for skills are assigned to people. */

const story = useStory();

const add = (person: object) => addPerson(story.user, story.orchflow.url, person);
const eventsOfRun = (run_id: string) => eventsOf(story.user, story.orchflow.url, run_id);

/** An orchestration that asks a person of these skills, and is done when they have answered. */
async function ask(skills: string[], more: object = {}): Promise<string> {
  const step = { id: 'ask', type: 'human', human_prompt: 'Is it legal?', skills };
  const { status, body } = await startSteps(story.user, [step], more);
  expect(status, JSON.stringify(body)).toBe(200);
  return body.run_id;
}

const assigned = (run_id: string, person_id: string | null) => untilAssigned(story.user, run_id, 'ask', person_id);
const answer = (by: User, run_id: string) => by.post(`/runs/${run_id}/tasks/ask/complete`, { output: 'Yes.' });

test("a goal's legal question lands with who knows the law and is free, is answered with their own key, and the run goes on", async () => {
  const endpoint = await startFakeWebhook();
  const heard = await startFakeWebhook();
  await subscribe(story.user, heard, { events: ['gate.assigned', 'gate.answered'] });
  await add({ name: 'Ben', skills: ['tax'] });
  const anna = await add({ name: 'Anna', skills: ['legal', 'tax'], notify_url: endpoint.url });
  const run = await story.start(
    { plan: ['Draft the terms', 'Get legal approval', 'Publish them'], dependencies: { T2: ['T1'], T3: ['T2'] } },
    { human_gates: [{ name: 'legal approval', skills: ['Legal'] }] },
  );
  await run.untilWaiting('T2');
  const gate = await untilAssigned(story.user, run.run_id, 'T2', anna.person_id);
  expect(gate).toMatchObject({ skills: ['legal'], person: { name: 'Anna' }, assigned_at: expect.any(String) });
  expect((await run.get()).warnings).toEqual([]);
  expect((await story.user.get(`/people/${anna.person_id}`)).body.open_gates).toBe(1);

  await until(() => endpoint.requests.length === 1, 'Anna is told');
  const notice = JSON.parse(endpoint.requests[0]!.body);
  expect(notice).toMatchObject({
    id: endpoint.requests[0]!.headers['webhook-id'],
    type: 'gate.assigned',
    run_id: run.run_id,
    task_id: 'T2',
    gate_id: gate.gate_id,
    title: 'Get legal approval',
    data: { person_id: anna.person_id, name: 'Anna', skills: ['legal'] },
  });
  const { deliveries } = (await story.user.get(`/webhooks/deliveries?run_id=${run.run_id}`)).body;
  expect(deliveries).toContainEqual(
    expect.objectContaining({ delivery_id: notice.id, event: 'gate.assigned', subscription_id: null }),
  );

  const note = 'As we agreed.';
  const answered = await anna.post(`/runs/${run.run_id}/tasks/T2/complete`, {
    output: 'Without the word "best".',
    note,
  });
  expect(answered).toMatchObject({ status: 200, body: { gate_id: gate.gate_id } });
  const done = await run.until('completed');
  const by = { kind: 'person', id: anna.person_id, name: 'Anna', on_behalf_of: null };
  expect(done.tasks[1]).toMatchObject({ output: 'Without the word "best".', gate: { by, note, status: 'answered' } });
  expect(story.prompts('T3')[0]).toContain('Without the word "best".');
  await untilTold(heard, run.run_id, 'gate.answered');
  expect(toldOf(heard, run.run_id).map(({ type, data }) => [type, data.by ?? data.person_id])).toEqual([
    ['gate.assigned', anna.person_id],
    ['gate.answered', by],
  ]);
  const types = (await eventsOfRun(run.run_id)).map(({ type }) => type).filter((type) => type.startsWith('gate.'));
  expect(types).toEqual(['gate.opened', 'gate.assigned', 'gate.answered']);
  const audit = (await story.user.get(`/runs/${run.run_id}/audit`)).body;
  expect(audit.events).toContainEqual(
    expect.objectContaining({ type: 'gate.answered', data: expect.objectContaining({ by }) }),
  );
  expect((await story.user.get(`/people/${anna.person_id}`)).body.open_gates).toBe(0);
  expect(endpoint.requests).toHaveLength(1);
  await Promise.all([endpoint.close(), heard.close()]);
});

test('what is asked about at the start asks one person for all of it, who has all of its skills', async () => {
  await add({ skills: ['brand'] });
  const both = await add({ skills: ['brand', 'pricing'] });
  const ask_me_about = [
    'the deadline',
    { about: 'our voice', skills: ['brand'] },
    { about: 'the price', skills: ['pricing'] },
  ];
  const run = await story.start({}, { ask_me_about });
  await run.untilWaiting('T1');
  const gate = await untilAssigned(story.user, run.run_id, 'T1', both.person_id);
  expect(gate.skills).toEqual(['brand', 'pricing']);
  const view = await run.get();
  expect(view.ask_me_about).toEqual(ask_me_about);
  expect(view.tasks[0]!.description).toBe('Please tell us about:\n- the deadline\n- our voice\n- the price');
});

test('a task that answers to several gates needs all that they ask for; a rerun asks for the same', async () => {
  const human_gates = [
    { name: 'legal approval', skills: ['legal'] },
    { name: 'tax approval', skills: ['tax'] },
  ];
  const run = await story.start({ plan: ['Draft', 'Get legal and tax approval', 'Publish'] }, { human_gates });
  await run.untilWaiting('T2');
  expect((await run.task('T2')).gate).toMatchObject({ skills: ['legal', 'tax'], person: null });
  await run.complete('T2', { output: 'Yes.' });
  await run.until('completed');
  const anna = await add({ skills: ['legal', 'tax'] });
  const rerun = (await story.user.post(`/runs/${run.run_id}/rerun`, { from_task: 'T2' })).body;
  expect((await untilAssigned(story.user, rerun.run_id, 'T2', anna.person_id)).skills).toEqual(['legal', 'tax']);
});

test('a gate is with who has the fewest open ones, and no gate without skills is anybody\u2019s', async () => {
  const people = [await add({ skills: ['legal'] }), await add({ skills: ['legal', 'tax'] })];
  const counts = async () =>
    Promise.all(people.map(async ({ person_id }) => (await story.user.get(`/people/${person_id}`)).body.open_gates));
  for (let asked = 0; asked < 4; asked += 1) await ask(['legal']);
  expect(await counts()).toEqual([2, 2]);
  await ask(['legal', 'tax']);
  await ask(['tax', 'legal']);
  expect(await counts()).toEqual([2, 4]);
  for (let asked = 0; asked < 2; asked += 1) await ask(['legal']);
  expect(await counts()).toEqual([4, 4]);
  const without = await ask([]);
  expect(await assigned(without, null)).toMatchObject({ skills: [], person: null, assigned_at: null });
  expect((await story.user.get(`/runs/${without}`)).body.warnings).toEqual([]);
});

test('who fits is found later: somebody is added, learns, is active again, or has a place', async () => {
  const run_ids = [await ask(['law of the sea'])];
  await assigned(run_ids[0]!, null);
  const view = (await story.user.get(`/runs/${run_ids[0]}`)).body;
  expect(view.warnings).toEqual([
    'ask asks for a person who knows: law of the sea. Nobody who does is free; it is assigned as soon as somebody is.',
  ]);
  expect((await story.user.get(`/orchestrations/runs/${run_ids[0]}`)).body.warnings).toEqual(view.warnings);

  const anna = await add({ skills: ['law of the sea'], max_open: 1 });
  await assigned(run_ids[0]!, anna.person_id);
  expect((await story.user.get(`/runs/${run_ids[0]}`)).body.warnings).toEqual([]);

  run_ids.push(await ask(['law of the sea']));
  await assigned(run_ids[1]!, null);
  await answer(anna, run_ids[0]!);
  await assigned(run_ids[1]!, anna.person_id);

  run_ids.push(await ask(['law of the sea']));
  await assigned(run_ids[2]!, null);
  const ben = await add({ name: 'Ben', skills: [], status: 'inactive' });
  await story.user.patch(`/people/${ben.person_id}`, { skills: ['Law of the Sea'] });
  await assigned(run_ids[2]!, null);
  await story.user.patch(`/people/${ben.person_id}`, { status: 'active' });
  await assigned(run_ids[2]!, ben.person_id);

  run_ids.push(await ask(['knots']));
  await story.user.patch(`/people/${ben.person_id}`, { skills: ['law of the sea', 'knots'] });
  await assigned(run_ids[3]!, ben.person_id);
  const types = (await eventsOfRunUntilDone(run_ids[2]!, ben)).filter((type) => type.startsWith('gate.'));
  expect(types).toEqual(['gate.opened', 'gate.unassigned', 'gate.assigned', 'gate.answered']);
});

async function eventsOfRunUntilDone(run_id: string, by: User): Promise<string[]> {
  await answer(by, run_id);
  await story.user.openRun(run_id).until('completed');
  return (await eventsOfRun(run_id)).map(({ type }) => type);
}

test.each<[string, (person_id: string) => Promise<unknown>]>([
  ['is inactive', (person_id) => story.user.patch(`/people/${person_id}`, { status: 'inactive' })],
  ['is removed', (person_id) => story.user.delete(`/people/${person_id}`)],
  ['has forgotten it', (person_id) => story.user.patch(`/people/${person_id}`, { skills: [] })],
])('what somebody has who %s goes to the next who fits, and then waits for one', async (_what, change) => {
  const anna = await add({ skills: ['legal'] });
  const run_id = await ask(['legal']);
  await assigned(run_id, anna.person_id);
  const ben = await add({ name: 'Ben', skills: ['legal'] });
  await change(anna.person_id);
  await assigned(run_id, ben.person_id);
  await change(ben.person_id);
  await assigned(run_id, null);
  expect((await story.user.get(`/runs/${run_id}`)).body.warnings).toHaveLength(1);
  const cleo = await add({ name: 'Cleo', skills: ['legal'] });
  await assigned(run_id, cleo.person_id);
  await eventsOfRunUntilDone(run_id, cleo);
  const told = (await eventsOfRun(run_id)).flatMap(({ type, data }) =>
    type.endsWith('assigned') ? [[type, data.person_id, data.taken_from]] : [],
  );
  expect(told).toEqual([
    ['gate.assigned', anna.person_id, undefined],
    ['gate.assigned', ben.person_id, anna.person_id],
    ['gate.unassigned', undefined, ben.person_id],
    ['gate.assigned', cleo.person_id, undefined],
  ]);
});

test('who may have fewer by now keeps those that came first', async () => {
  const anna = await add({ skills: ['legal'] });
  const run_ids: string[] = [];
  for (let asked = 0; asked < 3; asked += 1) {
    run_ids.push(await ask(['legal']));
    await assigned(run_ids.at(-1)!, anna.person_id);
  }
  const ben = await add({ name: 'Ben', skills: ['legal'], max_open: 1 });
  await story.user.patch(`/people/${anna.person_id}`, { max_open: 1 });
  const open = async ({ person_id }: { person_id: string }) =>
    (await story.user.get(`/people/${person_id}`)).body.open_gates;
  await until(async () => (await open(anna)) === 1 && (await open(ben)) === 1, 'each has one');
  await assigned(run_ids[0]!, anna.person_id);
});

test('of many gates that open at once, nobody has more than they may have', async () => {
  const people = [await add({ skills: ['legal'], max_open: 1 }), await add({ skills: ['legal'], max_open: 2 })];
  const run_ids = await Promise.all(Array.from({ length: 6 }, () => ask(['legal'])));
  const open = async () =>
    Promise.all(people.map(async ({ person_id }) => (await story.user.get(`/people/${person_id}`)).body.open_gates));
  expect(await open()).toEqual([1, 2]);
  const gates = await story.orchflow.db.selectFrom('gates').selectAll().where('run_id', 'in', run_ids).execute();
  expect(gates.filter(({ person_id }) => person_id === null).map(({ assignment }) => assignment)).toEqual(
    Array.from({ length: 3 }, () => 'wanted'),
  );
  // Each answer makes a place, until all are answered.
  for (let left = 6; left > 0; left -= 1) {
    const waiting = async () =>
      story.orchflow.db
        .selectFrom('gates')
        .select(['run_id', 'person_id'])
        .where('run_id', 'in', run_ids)
        .where('status', '=', 'open')
        .where('person_id', 'is not', null)
        .execute();
    await until(async () => (await waiting()).length === Math.min(left, 3), `${left} are left`);
    const [one] = await waiting();
    await answer(
      people.find(({ person_id }) => person_id === one!.person_id)!,
      one!.run_id,
    );
    expect((await open()).every((count, index) => count <= index + 1)).toBe(true);
  }
});

test('it changes a hundred times at most whose a gate is; then it stays with all who have the skills', async () => {
  const anna = await add({ skills: ['legal'] });
  const ben = await add({ name: 'Ben', skills: ['legal'], max_open: 1 });
  const [last, handed] = [await ask(['legal']), await ask(['legal'])];
  await assigned(last, anna.person_id);
  await assigned(handed, ben.person_id);
  await story.orchflow.db.updateTable('gates').set({ assigned_times: 100 }).execute();
  const refused = await ben.post(`/runs/${handed}/tasks/ask/assign`, { person_id: anna.person_id });
  expect(refused).toMatchObject({ status: 409, body: { code: 'STEERED_TOO_OFTEN' } });
  await assigned(handed, ben.person_id);
  await story.user.patch(`/people/${anna.person_id}`, { status: 'inactive' });
  await assigned(last, null);
  await story.user.patch(`/people/${anna.person_id}`, { status: 'active' });
  await story.user.patch(`/people/${ben.person_id}`, { max_open: 5 });
  const third = await ask(['legal']);
  await assigned(third, anna.person_id);
  await assigned(last, null);
  expect((await answer(ben, last)).status).toBe(200);
});
