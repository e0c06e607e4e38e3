import { expect, test } from 'vitest';
import type { ModelCall, Reply } from '../fakes/model.ts';
import type { TestRun } from '../harness/orchflow.ts';
import { expectFault } from '../harness/problem.ts';
import { resume, runSteps } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** What people say beside a decision: it is kept, and it decides nothing by itself where money or a tool hangs on it. */

const story = useStory();
const longText = 'word '.repeat(2_000);

const approval = () => story.start({}, { require_approval: true });
const failing = () => story.start({ evaluate: () => ({ passed: false, score: 1, feedback: 'Too long.' }) }, {});
const budget = () =>
  story.start(
    { dependencies: { T2: ['T1'], T3: ['T1'] }, execute: ({ task_id }) => (task_id === 'T1' ? longText : undefined) },
    { max_tokens: 12_500 },
  );
function tool() {
  const execute = ({ task_id, calls }: ModelCall): Reply | undefined =>
    task_id === 'T1' && calls.length === 0
      ? { call: [{ name: 'run_javascript', arguments: { code: '1 + 1' } }] }
      : undefined;
  const agents = [{ name: 'researcher', tools: [{ name: 'run_javascript', require_approval: true }] }];
  return story.start({ execute }, { agents });
}

async function answeredOf({ run_id }: TestRun): Promise<Record<string, unknown>[]> {
  const rows = await story.orchflow.db
    .selectFrom('run_events')
    .select('data')
    .where('run_id', '=', run_id)
    .where('type', '=', 'gate.answered')
    .orderBy('seq')
    .execute();
  return rows.map(({ data }) => data);
}

const waiting = (run: TestRun, kind: string, task_id: string) =>
  run.until(({ tasks }) =>
    tasks.some(({ id, gate }) => id === task_id && gate?.status === 'open' && gate.kind === kind),
  );

test.each<[string, () => Promise<TestRun>, string, string, object]>([
  ['an approval, without a decision', approval, 'approval', 'T1', {}],
  ['an approval', approval, 'approval', 'T1', { decision: 'approve' }],
  ['a rejection', approval, 'approval', 'T1', { decision: 'reject' }],
  ['a retry', failing, 'escalation', 'T1', { decision: 'retry' }],
  ['a grant', budget, 'budget', '_budget_1', { decision: 'approve' }],
  ['a refusal of money', budget, 'budget', '_budget_1', { decision: 'reject' }],
  ['a call that is approved', tool, 'tool_approval', 'T1', { decision: 'approve' }],
  ['a call that is refused', tool, 'tool_approval', 'T1', { decision: 'reject' }],
])('what is said with %s can be read', async (_, start, kind, task_id, answer) => {
  const run = await start();
  await waiting(run, kind, task_id);
  const { status, body } = await run.complete(task_id, { ...answer, output: 'My own words.' });
  expect(status).toBe(200);
  const [event] = await answeredOf(run);
  expect(event).toMatchObject({ task_id, gate_id: body.gate_id, note: 'My own words.' });
  const { gate } = (await run.until(({ tasks }) => tasks.some(({ id }) => id === task_id))).tasks.find(
    ({ id }) => id === task_id,
  )!;
  // The task may wait at its next gate by now.
  if (gate!.gate_id === body.gate_id) expect(gate!.note).toBe('My own words.');
  await run.cancel();
});

test('the note of an approval stays with its task, and whoever sent it is told that the draft stands', async () => {
  const run = await approval();
  await waiting(run, 'approval', 'T1');
  const { body } = await run.complete('T1', { output: 'My version.' });
  expect(body.message).toContain('The draft stays the output, and the text is kept as the note of its gate');
  const [task] = (await run.get()).tasks;
  expect(task).toMatchObject({ output: 'Output of T1.', gate: { decision: 'approve', note: 'My version.' } });
  await run.until(({ waiting_tasks }) => waiting_tasks.includes('T2'));
  await run.complete('T2', { decision: 'edit', output: 'Mine.' });
  // What became the output is no note.
  const edited = await run.until(({ tasks }) => tasks[1]!.status === 'completed');
  expect(edited.tasks[1]).toMatchObject({ output: 'Mine.', gate: { decision: 'edit', note: null } });
  await run.cancel();
});

test.each<[string, () => Promise<TestRun>, string, string]>([
  ['a call', tool, 'tool_approval', 'T1'],
  ['money', budget, 'budget', '_budget_1'],
])('words alone decide nothing about %s, over REST and by signal', async (_, start, kind, task_id) => {
  const run = await start();
  await waiting(run, kind, task_id);
  const before = (await run.get()).waiting_tasks;
  expectFault(await run.complete(task_id, { output: 'No, do not.' }), '/decision');
  await story.orchflow.client.workflow.getHandle(run.run_id).signal('completeTask', { task_id, output: 'No, do not.' });
  const { warnings, waiting_tasks } = await run.until((view) =>
    view.warnings.some((text) => text.startsWith('A signal')),
  );
  expect(warnings.at(-1)).toContain(`A signal for ${task_id} was not taken: Say one of`);
  expect(waiting_tasks).toEqual(before);
  await run.cancel();
});

test('a resumed gate that is no form takes a decision with one text, and names what it does not know', async () => {
  story.model.on(() => ({ call: [{ name: 'run_javascript', arguments: { code: '2' } }] }));
  const step = { id: 'work', type: 'tool', forced_tool: 'run_javascript', require_approval: true, output_key: 'it' };
  const paused = await runSteps(story.user, [step]);
  for (const [response, ...members] of [
    ['Reject it.', 'decision'],
    [{}, 'decision'],
    [{ output: 'Fine.' }, 'decision'],
    [{ decision: 'maybe' }, 'decision'],
    [{ decision: 'approve', reason: 'Fine.', score: 1 }, 'reason', 'score'],
    [{ decision: 'reject', output: 'No.', notes: 'Why not' }, 'notes'],
    [{ decision: 'reject', output: 5 }, 'output'],
    [{ decision: 'reject', output: '\u200b\u3164' }, 'output'],
    [{ decision: 'reject' }, 'output'],
  ] as [unknown, ...string[]][]) {
    const { status, body } = await resume(story.user, paused, response);
    expect([status, body.errors.map(({ pointer }: any) => pointer)], JSON.stringify(response)).toEqual([
      422,
      members.map((member) => `/response/${member}`),
    ]);
  }
  const edited = { decision: 'Edit', output: { code: '20 + 3' } };
  expect((await resume(story.user, paused, edited)).body).toMatchObject({
    status: 'completed',
    response: expect.stringContaining('23'),
  });

  const again = await runSteps(story.user, [step]);
  await resume(story.user, again, { decision: 'approve', notes: 'Go ahead.' });
  const [event] = await answeredOf(story.user.openRun(again.body.run_id));
  expect(event).toMatchObject({ decision: 'approve', note: 'Go ahead.' });
});

test.each(['\u200b', '\u3164', ' \u2060\ufeff\n', '\u2800'])(
  '%j says nothing: no answer, no feedback, no edit',
  async (output) => {
    const asking = await story.start({}, { ask_me_about: ['budget'] });
    await asking.untilWaiting('T1');
    expectFault(await asking.complete('T1', { output }), '/output');
    await story.orchflow.client.workflow.getHandle(asking.run_id).signal('completeTask', { task_id: 'T1', output });
    expect((await asking.until(({ warnings }) => warnings.length > 0)).waiting_tasks).toEqual(['T1']);
    await asking.cancel();
    const run = await approval();
    await waiting(run, 'approval', 'T1');
    for (const decision of ['reject', 'edit']) expectFault(await run.complete('T1', { decision, output }), '/output');
    await run.cancel();
    expectFault(await story.user.post('/runs', { task: output }), '/task');
  },
);
