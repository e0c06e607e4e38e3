import { expect, test } from 'vitest';
import { untilAssigned, addPerson } from '../harness/people.ts';
import { useStory } from '../harness/story.ts';

/** Where it is not said which skills a human step takes, the planner chooses among those that there are. */

const story = useStory();

const add = (person: object) => addPerson(story.user, story.orchflow.url, person);
const plan = [
  { title: 'Draft the terms' },
  { title: 'Check the contract', human_steps: [1] },
  { title: 'Publish them' },
];
/** The plan of a model that says this of the skills of its human steps. */
const choosing = (step_skills: unknown) => ({
  split: () => ({ tasks: plan.map((task) => ({ description: 'Do it.', ...task })), step_skills }),
});
const asked = () => story.model.callsFor('split').map(({ prompt }) => prompt);

test('a human step that asks for no skills gets those that the planner chooses, and an agent gets none', async () => {
  await add({ skills: ['tax'] });
  const anna = await add({ skills: ['legal'] });
  await add({ skills: ['cooking'], status: 'inactive' });
  const run = await story.start(choosing({ 1: ['Legal', 'witchcraft'], 2: ['tax'] }), { human_gates: ['contract'] });
  await run.untilWaiting('T2');
  expect((await untilAssigned(story.user, run.run_id, 'T2', anna.person_id)).skills).toEqual(['legal']);
  const [prompt] = asked();
  expect(prompt).toContain('<skills>\nlegal\ntax\n</skills>');
  expect(prompt).toContain('"step_skills": {"1": []}');
  expect(prompt).not.toContain('cooking');
  expect((await anna.post(`/runs/${run.run_id}/tasks/T2/complete`, { output: 'Fine.' })).status).toBe(200);
  await run.until('completed');
});

test.each<[string, unknown]>([
  ['by their numbers', { 1: [], 2: ['legal'] }],
  ['by their numbers in words', { 'Step 2': 'legal' }],
  ['in their order', [[], ['legal']]],
])('a step that no task was planned for gets what the planner chooses for it, said %s', async (_how, step_skills) => {
  const anna = await add({ skills: ['legal'] });
  const tasks = [
    { title: 'Draft the terms', description: 'Do it.' },
    { title: 'Send them out', description: 'Do it.', waits_for: [2] },
    { title: 'Publish them', description: 'Do it.', waits_for: [2] },
  ];
  const run = await story.start(
    { split: () => ({ tasks, step_skills }) },
    { human_gates: ['read by the board', 'legal approval'] },
  );
  await run.untilWaiting('T5');
  expect((await untilAssigned(story.user, run.run_id, 'T5', anna.person_id)).skills).toEqual(['legal']);
  expect((await anna.post(`/runs/${run.run_id}/tasks/T5/complete`, { output: 'Fine.' })).status).toBe(200);
  await run.untilWaiting('T4');
  expect((await run.task('T4')).gate).toMatchObject({ skills: [], person: null });
  await run.cancel();
});

test.each<[string, unknown]>([
  ['none', { 1: [] }],
  ['what nobody knows', { 1: ['witchcraft'] }],
  ['what are no names', { 1: { of: 3 } }],
  ['for another step', { 7: ['legal'] }],
  ['a text', 'legal'],
  ['nothing', undefined],
])('a planner that chooses %s leaves the step to the account', async (_what, skills) => {
  await add({ skills: ['legal'] });
  const run = await story.start(choosing(skills), { human_gates: ['contract'] });
  await run.untilWaiting('T2');
  expect((await run.task('T2')).gate).toMatchObject({ skills: [], person: null });
  await run.complete('T2', { output: 'Fine.' });
  await run.until('completed');
});

test('what is said of skills stands, also that there are none; then, and without people who know something, nothing is asked of them', async () => {
  const prompts: string[] = [];
  for (const [human_gates, skills, expected] of [
    [['contract'], undefined, []],
    [['contract'], [], []],
    [[{ name: 'contract', skills: [] }], ['legal'], []],
    [[{ name: 'contract', skills: ['tax'] }], ['legal'], ['tax']],
  ] as const) {
    if (skills) await add({ skills });
    const run = await story.start(choosing({ 1: ['legal'] }), { human_gates });
    await run.untilWaiting('T2');
    expect((await run.task('T2')).gate!.skills).toEqual(expected);
    prompts.push(asked().at(-1)!);
    await run.complete('T2', { output: 'Fine.' });
    await run.until('completed');
  }
  expect(new Set(prompts).size).toBe(1);
  expect(prompts[0]).not.toContain('skills');
});
