import { expect, test } from 'vitest';
import { startFakeWebhook } from '../fakes/webhook.ts';
import type { Script } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Which tasks of a plan answer to which `human_gates`, and what becomes of a gate that none answers to. */

const story = useStory();
const day = 24 * 3_600_000;

type Plan = NonNullable<Script['plan']>;
const legal = 'Have the lawyer look at it';

test.each<[string, gates: string[], plan: Plan, people: string[]]>([
  ['Chinese', ['法律审批'], ['市场调研', '完成法律审批', '撰写文案'], ['T2']],
  ['Japanese', ['法務承認'], ['市場調査', '最終の法務承認を得る', '記事を書く'], ['T2']],
  ['Thai', ['อนุมัติทางกฎหมาย'], ['สำรวจตลาด', 'ขออนุมัติทางกฎหมาย', 'เขียนบทความ'], ['T2']],
  ['a compound', ['Freigabe'], ['Markt untersuchen', 'Rechtsfreigabe einholen', 'Text schreiben'], ['T2']],
  ['another case', ['Satış onayı'], ['Pazarı araştır', 'SATIŞ ONAYINI AL', 'Metni yaz'], ['T2']],
  ['another spelling', ['отчёт'], ['Анализ рынка', 'Проверить отчеты', 'Текст статьи'], ['T2']],
  ['an article', ['موافقة قانونية'], ['بحث', 'الحصول على الموافقة القانونية', 'كتابة'], ['T2']],
  [
    'words that begin alike',
    ['marketing plan'],
    ['Research the market for plants', 'Write the text', 'Approve the marketing plan'],
    ['T3'],
  ],
  [
    'more words that begin alike',
    ['contract review'],
    ["Contrast reviewers' ratings", 'Write the text', 'Review the contract'],
    ['T3'],
  ],
  [
    'the number that the planner gives',
    ['pricing', 'legal approval'],
    ['Research', { title: legal, human_steps: [2] }, 'Set the pricing'],
    ['T2', 'T3'],
  ],
  [
    'a number in another form',
    ['legal approval'],
    ['Research', { title: legal, human_steps: '#1' }, { title: 'Write', human_steps: null, waits_for: 'none' }],
    ['T2'],
  ],
  [
    'a number beside the words',
    ['legal approval'],
    ['Prepare documents for legal approval', { title: legal, human_steps: [1] }, { title: 'Write', human_steps: [7] }],
    ['T1', 'T2'],
  ],
  [
    'words, where many numbers contradict them',
    ['legal approval'],
    [{ title: 'Research', human_steps: [1] }, 'Get legal approval', { title: 'Write', human_steps: [1] }],
    ['T2'],
  ],
])('tasks of people are told by %s', async (_, human_gates, plan, people) => {
  const run = await story.start({ plan }, { human_gates });
  const { tasks } = await run.untilWaiting(people[0]!);
  expect(tasks.filter(({ kind }) => kind === 'human').map(({ id }) => id)).toEqual(people);
  expect(tasks).toHaveLength(plan.length);
  await run.cancel();
});

test('what must wait for a gate waits for the task that is it, unless that is before it', async () => {
  const plan = [{ title: 'Draft', waits_for: [1] }, 'Get legal approval', { title: 'Publish', waits_for: [1] }];
  const run = await story.start({ plan, dependencies: { T2: ['T1'] } }, { human_gates: ['legal approval'] });
  const { tasks } = await run.untilWaiting('T2');
  expect(tasks.map(({ id, depends_on }) => [id, depends_on])).toEqual([
    ['T1', []],
    ['T2', ['T1']],
    ['T3', ['T2']],
  ]);
  await run.complete('T2', { output: 'Approved.' });
  await run.until('completed');
});

test('a gate that is no task of the plan stands before the tasks that must wait for it', async () => {
  const plan = ['Write the text', 'Research rivals', { title: 'Publish it', waits_for: [1] }, 'Tell the press'];
  const dependencies = { T3: ['T1'], T4: ['T3'] };
  const run = await story.start({ plan, dependencies }, { human_gates: ['legal approval'] });
  const waiting = await run.until((view) => view.waiting_tasks.length > 0 && view.tasks[1]!.status === 'completed');
  expect(waiting.tasks.map(({ id, status, depends_on }) => [id, status, depends_on])).toEqual([
    ['T1', 'completed', []],
    ['T2', 'completed', []],
    ['T3', 'pending', ['T1', 'T5']],
    ['T4', 'pending', ['T3']],
    ['T5', 'waiting_human', ['T1']],
  ]);
  await run.complete('T5', { output: 'Only without the word "best".' });
  await run.until('completed');
  expect(story.prompts('T3')[0]).toContain('Only without the word "best".');
});

test('two gates before one task, and a task behind two gates: no circle, each is asked', async () => {
  const plan = [
    { title: 'Write the text', waits_for: [1] },
    { title: 'Print it', waits_for: [1, 2] },
    { title: 'Send it', waits_for: [2] },
  ];
  const dependencies = { T2: ['T1'], T3: ['T2'] };
  const run = await story.start({ plan, dependencies }, { human_gates: ['budget', 'legal approval'] });
  const first = await run.untilWaiting('T4');
  expect(first.tasks.map(({ depends_on }) => depends_on)).toEqual([
    ['T4'],
    ['T1', 'T4', 'T5'],
    ['T2', 'T5'],
    [],
    ['T1', 'T4'],
  ]);
  await run.complete('T4', { output: 'Ten euros.' });
  await run.untilWaiting('T5');
  await run.complete('T5', { output: 'Approved.' });
  await run.until('completed');
});

const twoGates = [
  { name: 'legal approval', gate_due_in: '30d', on_timeout: 'approve' },
  { name: 'approval', gate_due_in: '1d', on_timeout: 'reject' },
];

test.each([
  ['by their words', [...twoGates], 'Get legal approval', undefined],
  ['by their numbers', [...twoGates], legal, [1, 2]],
])('two gates at one task, %s: the strictest terms hold, also in a rerun, and both are told', async (...row) => {
  const [, human_gates, title, human_steps] = row;
  const plan = ['Research rivals', 'Write the text', { title, human_steps }];
  const source = await story.start({ plan }, { human_gates });
  const waiting = await source.untilWaiting('T3');
  const { gate, description } = waiting.tasks[2]!;
  expect(Date.parse(gate!.due_at!) - Date.parse(gate!.opened_at)).toBe(day);
  expect(waiting.warnings).toEqual([
    'T3 answers to 2 human gates: "legal approval", "approval": the strictest of their terms hold.',
  ]);
  expect(description).toContain('2 human gates: "legal approval", "approval"');

  await source.complete('T3', { output: 'Approved.' });
  await source.until('completed');
  const { body } = await story.user.post(`/runs/${source.run_id}/rerun`, { from_task: 'T3' });
  const run = story.user.openRun(body.run_id);
  const again = (await run.untilWaiting('T3')).tasks[2]!;
  expect(again.gate!.kind).toBe('human_task');
  expect(Date.parse(again.gate!.due_at!) - Date.parse(again.gate!.opened_at)).toBe(day);
  expect(again.description).toBe(description);
  await run.cancel();
});

test('two gates at one task: the strictest action is taken, and everybody who is to be told is', async () => {
  const [one, two] = await Promise.all([startFakeWebhook(), startFakeWebhook()]);
  const escalating = { gate_due_in: '1s', on_timeout: 'escalate' };
  const human_gates = [
    { name: 'legal approval', ...escalating, escalation_webhook_url: one.url },
    { name: 'legal', gate_due_in: '30d', on_timeout: 'reject' },
    { name: 'approval', ...escalating, escalation_webhook_url: two.url },
  ];
  const run = await story.start({ plan: ['Get legal approval', 'Write the text', 'Research'] }, { human_gates });
  const failed = await run.until('failed');
  expect(failed.error).toContain('nobody answered; `on_timeout` is "reject"');
  for (const endpoint of [one, two]) {
    expect((await endpoint.untilReceived('gate.overdue')).payload.waiting_tasks).toEqual(['T1']);
    await endpoint.close();
  }
});

test('people who are asked at once beside an agent at work take nothing back of what is shown of it', async () => {
  const run = await story.start(
    {
      plan: ['Call the customer', 'Write the text', 'Call the bank'],
      execute: () => ({ hang: 'before_headers' }),
    },
    { human_gates: ['call the customer', 'call the bank'] },
  );
  await story.model.waitForCall(({ purpose }) => purpose === 'execute');
  await run.untilWaiting('T3');
  const { tasks } = await run.get();
  expect(tasks.map(({ id, status, attempts }) => [id, status, attempts])).toEqual([
    ['T1', 'waiting_human', 0],
    ['T2', 'running', 1],
    ['T3', 'waiting_human', 0],
  ]);
  expect(tasks[1]!.started_at).not.toBeNull();
  await run.cancel();
  await story.model.untilHungUp();
});
