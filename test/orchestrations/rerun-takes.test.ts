import { expect, test } from 'vitest';
import { completeTask } from '../../db/gates.ts';
import type { Db } from '../../db/index.ts';
import { actor } from '../harness/actor.ts';
import { define, startSteps } from '../harness/orchestration.ts';
import { ask, llm, say, script, statuses, useReruns } from '../harness/rerun.ts';
import { expectFault } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** What reruns of orchestrations take over of runs that are pending, or were tried again, and what they ask for first. */

const story = useStory();
const { rerun, completed } = useReruns(story);

test('of a rerun that has not begun, iterations after the step are done again, and none of its edits after it is made', async () => {
  const { model, user } = story;
  script(model);
  const source = await startSteps(
    user,
    [
      { id: 'loop', type: 'loop', loop_count: 3, loop_step_ids: ['write', 'note'], next_step_id: 'out' },
      llm('write', { prompt_template: 'Write {state.tone} after {state.note}', next_step_id: null }),
      say('note', 'Note on {state.write}', { next_step_id: null }),
      say('out', '{state.tone}'),
    ],
    { initial_state: { tone: 'dry', note: 'nothing' } },
  );
  expect(source.body.status).toBe('completed');
  const pending = await rerun(source, 'write.3', { edits: { tone: 'loud' }, start_in: '1d' });
  model.calls.length = 0;
  const done = await completed(await rerun(pending, 'write', { edits: { tone: 'witty' } }));
  expect(model.calls.map(({ prompt }) => /Write .*/.exec(prompt)![0])).toEqual([
    'Write witty after nothing',
    expect.stringMatching(/^Write witty after Note on Output of write/),
    expect.stringMatching(/^Write witty after Note on Output of write/),
  ]);
  expect(done).toMatchObject({ response: 'witty', shared_state: { tone: 'witty' } });
  await user.openRun(pending.body.run_id).cancel();
});

test('an answer that was accepted, and of which a failed try has not heard, stands, with the files that came with it', async () => {
  const { model, user, orchflow } = story;
  const refusal = Promise.withResolvers<void>();
  model.on(async () => {
    await refusal.promise;
    return model.calls.length === 1 ? { finish: 'refusal', text: 'No.' } : 'Yes.';
  });
  const id = await define(user, [
    { id: 'fork', type: 'parallel', parallel_branches: [['ask'], ['write']], next_step_id: 'all' },
    ask('ask', { next_step_id: 'all' }),
    llm('write', { next_step_id: 'all' }),
    llm('all', { prompt_template: 'All of {state.ask.response}' }),
  ]);
  const source = await user.post(`/orchestrations/${id}/run?wait=0`, { message: 'Go' });
  const run = user.openRun(source.body.run_id);
  await run.untilWaiting('ask');
  await model.waitForCall();
  await answerUnheard(orchflow.db, run.run_id, 'Warm.', 'The prices');
  refusal.resolve();
  await run.until('failed');

  const mended = await completed(await rerun(source, 'write'));
  expect(mended.shared_state).toMatchObject({ ask: { response: 'Warm.' }, human_response: { response: 'Warm.' } });
  expect(model.calls.at(-1)!.prompt).toContain('All of Warm.');
  expect(model.calls.at(-1)!.prompt).toMatch(/<file from="ask".*>\nThe prices\n/);
  const asksAnew = user.openRun((await rerun(source, 'fork')).body.run_id);
  await asksAnew.untilWaiting('ask');
  await asksAnew.cancel();

  // Its outbox entry is for the one who wrote it to deliver, and may go now.
  await orchflow.db.updateTable('outbox').set({ next_attempt_at: new Date().toISOString() }).execute();
  expect((await user.post(`/runs/${run.run_id}/retry`, {})).status).toBe(200);
  expect((await run.until('completed')).tasks.map((task) => task.id)).toContain('ask.2');
  for (let from = source, n = 0; n < 2; n += 1) {
    from = await rerun(from, 'all');
    expect(statuses(await completed(from))).toMatchObject({ 'ask.2': ['completed', 0] });
    expect(model.calls.at(-1)!.prompt).toMatch(/<file from="ask\.2".*>\nThe prices\n/);
  }
});

test('tools and models that are gone are told at `from_task`, but not those of steps that stand', async () => {
  const { user, orchflow, model } = story;
  script(model);
  const agent = (id: string, tool: string, more = {}) => ({
    ...llm(id, { model: 'gpt-4o-mini', ...more }),
    type: 'agent',
    allowed_tools: [tool],
  });
  const source = await startSteps(
    user,
    [
      agent('one', 'http_request'),
      { id: 'fork', type: 'parallel', parallel_branches: [['left', 'more'], ['right']], next_step_id: 'out' },
      agent('left', 'http_request', { next_step_id: null }),
      llm('more', { next_step_id: null }),
      llm('right', { next_step_id: 'out' }),
      say('out', '{state.left} {state.right}'),
    ],
    {},
  );
  expect(source.body.status).toBe('completed');
  const { run_id } = source.body;
  const run = orchflow.db.selectFrom('runs').where('run_id', '=', run_id);
  const { definition_hash, agents } = await run.select(['definition_hash', 'agents']).executeTakeFirstOrThrow();
  const definitions = orchflow.db.selectFrom('definitions').where('hash', '=', definition_hash!);
  const { definition } = await definitions.select('definition').executeTakeFirstOrThrow();
  const tools = JSON.stringify(definition).replaceAll('http_request', 'crm.search');
  await orchflow.db
    .updateTable('definitions')
    .set({ definition: tools })
    .where('hash', '=', definition_hash!)
    .execute();
  const gone = async (from_task: string) => expectFault(await rerun(source, from_task), '/from_task');
  await gone('one');
  await gone('left');
  await gone('fork');
  for (const from of ['more', 'right', 'out']) await completed(await rerun(source, from));

  const models = agents.map((one) => (one.name === 'one' ? { ...one, model: 'claude-sonnet-4-5' } : one));
  await orchflow.db
    .updateTable('runs')
    .set({ agents: JSON.stringify(models) })
    .where('run_id', '=', run_id)
    .execute();
  await completed(await rerun(source, 'more'));
  const refused = await rerun(source, 'one');
  expectFault(refused, '/from_task');
  expect(refused.body.errors[0].detail).toContain('"one" wants claude-sonnet-4-5');
});

/** By an API that dies before it can tell the run. */
async function answerUnheard(db: Db, run_id: string, output: string, file: string): Promise<void> {
  const { account_id } = await db
    .selectFrom('runs')
    .select('account_id')
    .where('run_id', '=', run_id)
    .executeTakeFirstOrThrow();
  const answer = { run_id, task_id: 'ask', decision: 'approve' as const, output, by: actor, request_id: 'request_1' };
  const attachment = { file_id: 'file_1', name: 'prices.txt', media_type: 'text/plain', size: file.length, text: file };
  const { result } = await completeTask(db, { ...answer, account_id: account_id!, person_id: null }, () =>
    Promise.resolve([attachment]),
  );
  expect(result).toBe('accepted');
}
