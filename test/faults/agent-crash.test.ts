import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { registerAgent, runAgent } from '../harness/agent.ts';
import { fetchHistories } from '../harness/replay.ts';
import { untilBlocked } from '../harness/rows.ts';
import { useStory } from '../harness/story.ts';

/** Workers that are killed in the middle of the run of an agent, and one whose history grows long. */

const story = useStory({ RUN_HISTORY_LIMIT: '100' }, { worker: false });

async function start(agent: object = {}) {
  const { user, provider_id } = story;
  return runAgent(user, await registerAgent(user, { provider_id, ...agent }));
}

test('a worker killed in the middle of the call: it is made again, and the run goes on', async () => {
  const { model } = story;
  model.on(({ prompt }) => {
    const isFirst = model.calls.filter((call) => call.prompt === prompt).length === 1;
    return isFirst ? { hang: 'before_headers' as const } : 'A fair clause.';
  });
  const worker = await story.startWorkerProcess();
  const run = await start();
  await model.until(() => model.openCalls === 1);
  await worker.kill();
  await story.startWorkerHere();
  const done = await run.until('completed');
  expect(done).toMatchObject({ final_output: 'A fair clause.', tasks: [{ attempts: 1 }], usage: { llm_calls: 1 } });
  expect(model.calls).toHaveLength(2);
});

test('a worker killed when the answer is in the journal, before it could report it: nothing is paid twice', async () => {
  const { model, orchflow } = story;
  const verdict = { verdict: 'yes' };
  model.on(() => verdict);
  const output_schema = { type: 'object', properties: { verdict: { type: 'string' } }, required: ['verdict'] };
  const worker = await story.startWorkerProcess();
  const run = await orchflow.db.transaction().execute(async (lock) => {
    await sql`lock table llm_calls in share mode`.execute(lock);
    const started = await start({ output_schema });
    await untilBlocked(orchflow.db, 'the answer is being written');
    await worker.kill();
    return started;
  });
  await story.startWorkerHere();
  const done = await run.until('completed');
  expect(JSON.parse(done.final_output!)).toEqual(verdict);
  expect(model.calls).toHaveLength(1);
});

test('with no worker there an answer is taken, and the next worker goes on with it', async () => {
  story.model.on(() => 'A fair clause.');
  const worker = await story.startWorkerProcess();
  const run = await start({ require_approval: true });
  await run.untilWaiting('T1');
  await worker.kill();
  expect((await run.complete('T1', { decision: 'approve' })).status).toBe(200);
  await story.startWorkerHere();
  expect(await run.until('completed')).toMatchObject({ final_output: 'A fair clause.' });
  expect(story.model.calls).toHaveLength(1);
});

test('one that is sent back again and again continues as new, and keeps its draft, its feedback and its numbers', async () => {
  const { model, orchflow } = story;
  model.on(() => `Draft ${model.calls.length}.`);
  await story.startWorkerHere();
  const run = await start({ require_approval: true });
  const attempts = 12;
  for (let attempt = 1; attempt < attempts; attempt += 1) {
    await run.until((view) => view.tasks[0]?.attempts === attempt && view.waiting_tasks.length === 1);
    await run.complete('T1', { decision: 'reject', output: `Remark ${attempt}.` });
  }
  await run.until((view) => view.tasks[0]?.attempts === attempts && view.waiting_tasks.length === 1);
  await run.complete('T1', { decision: 'approve' });
  const done = await run.until('completed');
  expect(done).toMatchObject({ final_output: `Draft ${attempts}.`, usage: { llm_calls: attempts } });
  for (const [index, prompt] of story.prompts('T1').entries()) {
    if (index > 0) expect(prompt).toContain(`Draft ${index}.`);
    if (index > 0) expect(prompt).toContain(`Remark ${index}.`);
  }
  expect((await fetchHistories(orchflow.client, run.run_id)).length).toBeGreaterThan(1);
  const events = await orchflow.db.selectFrom('run_events').selectAll().where('run_id', '=', run.run_id).execute();
  expect(events.filter(({ type }) => type === 'run.started' || type === 'run.planned')).toHaveLength(2);
});
