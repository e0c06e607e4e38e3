import { expect, test } from 'vitest';
import { inTurn } from '../harness/script.ts';
import type { TestRun } from '../harness/orchflow.ts';
import { resume, runSteps } from '../harness/orchestration.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** Who has done what to a run, and why; and that nothing is lost of what was tried and said. */

const story = useStory();
const anna = 'anna@acme.example';

async function keyOf(user = story.user) {
  const [{ key_id, name }] = (await user.get('/keys')).body.keys;
  return { kind: 'key', id: key_id, name };
}

async function auditOf(run_id: string) {
  const { status, body } = await story.user.get(`/runs/${run_id}/audit`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body as { events: { seq: number; type: string; data: Record<string, any>; texts: Record<string, string> }[] };
}
const eventOf = async ({ run_id }: TestRun, type: string) =>
  (await auditOf(run_id)).events.find((event) => event.type === type);

test('an answer says who gave it, for whom and why, in the gate, the event and the audit', async () => {
  const by = { ...(await keyOf()), on_behalf_of: anna };
  const run = await story.start({}, { ask_me_about: ['the budget'], on_behalf_of: anna });
  await run.untilWaiting('T1');
  expect((await run.task('T1')).gate).toMatchObject({ by: null, note: null });
  const answer = { output: 'Ten euros.', note: 'The board said so.', on_behalf_of: anna };
  expect((await run.complete('T1', answer)).status).toBe(200);
  expect((await run.until('completed')).tasks[0]!.gate).toMatchObject({ by, note: 'The board said so.' });
  expect((await eventOf(run, 'gate.answered'))!).toMatchObject({
    data: { by, note: 'The board said so.' },
    texts: { answer: 'Ten euros.' },
  });
  expect((await eventOf(run, 'run.created'))!.data).toEqual({ by });
});

test('a note stands beside what was said as the answer', async () => {
  const run = await story.start({}, { require_approval: true });
  await run.untilWaiting('T1');
  await run.complete('T1', { decision: 'reject', output: 'Name the rivals.', note: 'Legal asked.' });
  await run.until(({ tasks }) => tasks[0]!.attempts === 2 && tasks[0]!.gate?.status === 'open');
  const { gates } = (await story.user.get(`/runs/${run.run_id}/tasks/T1/attempts`)).body;
  expect(gates[0]).toMatchObject({ decision: 'reject', answer: 'Name the rivals.', note: 'Legal asked.', attempt: 1 });
  expect((await eventOf(run, 'gate.answered'))!.data.note).toBe('Name the rivals.\n\nLegal asked.');
  await run.cancel();
});

test('a cancel and a rerun say the same', async () => {
  const by = { ...(await keyOf()), on_behalf_of: anna };
  const run = await story.start({}, { ask_me_about: ['the budget'] });
  await run.untilWaiting('T1');
  const words = new URLSearchParams({ note: 'Not this year.', on_behalf_of: anna });
  expect((await story.user.delete(`/runs/${run.run_id}?${words.toString()}`)).status).toBe(200);
  expect((await eventOf(run, 'run.cancelled'))!.data).toEqual({ by, note: 'Not this year.' });

  const source = await story.start({});
  await source.until('completed');
  const edits = { T1: 'Two rivals only.' };
  const rerun = { from_task: 'T3', edits, note: 'Shorter.', on_behalf_of: anna };
  const { body } = await story.user.post(`/runs/${source.run_id}/rerun`, rerun);
  const again = story.user.openRun(body.run_id);
  expect((await eventOf(again, 'run.created'))!.data).toEqual({
    by,
    note: 'Shorter.',
    forked_from: source.run_id,
    from_task: 'T3',
    edited: ['T1'],
  });
  await again.until('completed');
});

test('a note in a body that is none is told where it goes', async () => {
  const paused = await runSteps(story.user, [{ id: 'ask', type: 'human' }]);
  const path = `/orchestrations/runs/${paused.body.run_id}`;
  for (const how of ['retry', 'cancel']) {
    const refused = await story.user.post(`${path}/${how}`, { note: 'Why not.', nte: 'x' });
    expect(refused).toMatchObject({
      status: 422,
      body: {
        errors: [
          { pointer: '/note', detail: 'goes into the query: `?note=…`' },
          { pointer: '/nte', detail: 'is not a field of this request' },
        ],
      },
    });
  }
  expect((await story.user.post(`${path}/cancel?note=Why+not.`, undefined)).status).toBe(200);
});

test('an operator is known by the identity that Temporal has', async () => {
  const { client } = story.orchflow;
  const identity = client.options.identity;
  const by = { kind: 'operator', id: identity, name: null, on_behalf_of: null };
  const run = await story.start({}, { ask_me_about: ['the budget'] });
  await run.untilWaiting('T1');
  const handle = client.workflow.getHandle(run.run_id);
  await handle.signal('completeTask', { task_id: 'T1', output: 'Ten euros.' });
  expect((await run.until('completed')).tasks[0]!.gate).toMatchObject({ by });
  expect((await eventOf(run, 'gate.answered'))!.data).toMatchObject({ by });

  const other = await story.start({}, { ask_me_about: ['the budget'] });
  await other.untilWaiting('T1');
  await client.workflow.getHandle(other.run_id).cancel();
  await other.until('cancelled');
  expect((await eventOf(other, 'run.cancelled'))!.data).toEqual({ by });
});

test('orchestrations say it in the same way', async () => {
  const by = { ...(await keyOf()), on_behalf_of: anna };
  const asks = [{ id: 'ask', type: 'human', human_prompt: 'What?' }];
  const paused = await runSteps(story.user, asks);
  const { run_id } = paused.body;
  expect((await resume(story.user, paused, 'This.', { note: 'I know.', on_behalf_of: anna })).body.status).toBe(
    'completed',
  );
  const { events } = await auditOf(run_id);
  expect(events.find(({ type }) => type === 'gate.answered')).toMatchObject({
    data: { by, note: 'I know.' },
    texts: { answer: expect.stringContaining('This.') },
  });

  const other = await runSteps(story.user, asks);
  const cancel = `/orchestrations/runs/${other.body.run_id}/cancel?on_behalf_of=${encodeURIComponent(anna)}`;
  expect((await story.user.post(cancel, undefined)).status).toBe(200);
  const cancelled = (await auditOf(other.body.run_id)).events.find(({ type }) => type === 'run.cancelled');
  expect(cancelled!.data).toEqual({ by });
});

test('all attempts of a task can be read, with drafts, evaluations, feedback, edits and calls of tools', async () => {
  const call = { call: [{ name: 'run_javascript', arguments: { code: '6 * 7' } }], text: 'Let me see.' };
  const drafts = inTurn(call, 'It is 42.', 'It is 42, of 6 and 7.');
  const run = await story.start(
    {
      execute: ({ task_id }) => (task_id === 'T1' ? drafts() : undefined),
      evaluate: inTurn({ passed: false, score: 0.2, feedback: 'Say of what.' }),
      dependencies: { T2: ['T1'], T3: ['T2'] },
    },
    { agents: [{ name: 'researcher', tools: ['run_javascript'] }], require_approval: true },
  );
  await run.untilWaiting('T1');
  await run.complete('T1', { decision: 'edit', output: 'Forty-two.', note: 'Words, not digits.' });
  await run.untilWaiting('T2');
  const { status, body } = await story.user.get(`/runs/${run.run_id}/tasks/T1/attempts`);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    run_id: run.run_id,
    task_id: 'T1',
    attempts: [
      {
        attempt: 1,
        draft: 'It is 42.',
        evaluation: { passed: false, score: 0.2, feedback: 'Say of what.' },
        calls: [
          {
            purpose: 'execute_task',
            text: 'Let me see.',
            tool_calls: [{ tool: 'run_javascript', arguments: '{"code":"6 * 7"}', result: '42', is_error: false }],
          },
          { purpose: 'execute_task', text: 'It is 42.', tool_calls: [] },
          { purpose: 'evaluate_task' },
        ],
      },
      { attempt: 2, draft: 'It is 42, of 6 and 7.', evaluation: { passed: true }, calls: [{}, {}] },
    ],
    gates: [{ kind: 'approval', attempt: 2, decision: 'edit', answer: 'Forty-two.', note: 'Words, not digits.' }],
  });
  expect(body.attempts).toHaveLength(2);
  for (const { started_at } of body.attempts) expect(Date.parse(started_at)).toBeGreaterThan(0);

  const pending = await story.user.get(`/runs/${run.run_id}/tasks/T3/attempts`);
  expect(pending.body).toMatchObject({ task_id: 'T3', attempts: [], gates: [] });

  const { events } = await auditOf(run.run_id);
  const textsOf = (wanted: string) => events.filter(({ type }) => type === wanted).map(({ texts }) => texts);
  expect(textsOf('tool.called')).toEqual([{ arguments: '{"code":"6 * 7"}' }]);
  expect(textsOf('tool.result')).toEqual([{ result: '42' }]);
  expect(textsOf('task.evaluated').slice(0, 2)).toEqual([
    { output: 'It is 42.', feedback: 'Say of what.' },
    { output: 'It is 42, of 6 and 7.' },
  ]);
  expect(textsOf('task.completed')).toEqual([{ output: 'Forty-two.' }]);
  await run.cancel();
});

test('the audit has every event that there is, in order, also of a long run', async () => {
  const run = await story.start({ dependencies: { T2: ['T1'], T3: ['T2'] } });
  await run.until('completed');
  const { events, ...about } = (await story.user.get(`/runs/${run.run_id}/audit`)).body;
  expect(about).toMatchObject({ run_id: run.run_id, kind: 'goal', status: 'completed', event_seq: events.length });
  expect(about.started_by).toBe((await keyOf()).id);
  expect(events.length).toBeGreaterThan(10);
  expect(events.map(({ seq }: { seq: number }) => seq)).toEqual(events.map((_: unknown, index: number) => index + 1));
  expect(events.at(-1)).toMatchObject({ type: 'run.completed', texts: { output: 'The final output.' } });
});

test('what is too long, or of several lines, is refused at its name, and nothing is done', async () => {
  const run = await story.start({}, { ask_me_about: ['the budget'] });
  await run.untilWaiting('T1');
  expectFault(await run.complete('T1', { output: 'x', note: 'x'.repeat(2_001) }), '/note');
  expectFault(await run.complete('T1', { output: 'x', on_behalf_of: 'a\nb' }), '/on_behalf_of');
  const cancelled = await story.user.delete(`/runs/${run.run_id}?note=`);
  expect(cancelled.status).toBe(422);
  expect((await run.get()).waiting_tasks).toEqual(['T1']);
  await run.cancel();
});

test("another account's attempts and audit are as unknown ones", async () => {
  const run = await story.start({}, { ask_me_about: ['the budget'] });
  await run.untilWaiting('T1');
  const other = await story.orchflow.register();
  for (const path of ['audit', 'tasks/T1/attempts']) {
    expectProblem(await other.get(`/runs/${run.run_id}/${path}`), { status: 404, code: 'NOT_FOUND' });
  }
  expectProblem(await story.user.get(`/runs/${run.run_id}/tasks/T9/attempts`), { status: 404, code: 'NOT_FOUND' });
  await run.cancel();
});

test('texts that are too long together are cut to equal shares in the attempts, and it is said', async () => {
  const run = await story.start({}, { require_approval: true });
  await run.untilWaiting('T1');
  // As by a person who has sent it back many times.
  const { db } = story.orchflow;
  const first = db.selectFrom('llm_calls').selectAll().where('call_id', 'like', `${run.run_id}/T1/execute_task/1/%`);
  const { tool_calls: _, ...call } = await first.executeTakeFirstOrThrow();
  const long = 'x'.repeat(250_000);
  for (let attempt = 2; attempt <= 40; attempt += 1) {
    const call_id = `${run.run_id}/T1/execute_task/${attempt}/1`;
    await db.insertInto('texts').values({ text_id: call_id, run_id: run.run_id, text: long }).execute();
    await db
      .insertInto('llm_calls')
      .values({ ...call, call_id })
      .execute();
  }
  const { body } = await story.user.get(`/runs/${run.run_id}/tasks/T1/attempts`);
  expect(body.attempts).toHaveLength(40);
  expect(body.attempts[39].draft).toMatch(/^x+… \(cut: it has 250000 bytes\)$/);
  expect(JSON.stringify(body).length).toBeLessThan(5 * 1024 * 1024);
  await run.cancel();
});
