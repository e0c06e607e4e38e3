import { expect, test } from 'vitest';
import { sql } from 'kysely';
import { startFakeEmbeddings } from '../fakes/embeddings.ts';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { knowledgeOf } from '../harness/knowledge.ts';
import { startOrchflow, until } from '../harness/orchflow.ts';
import { tablesWith } from '../harness/rows.ts';
import { useStory } from '../harness/story.ts';

/** `RUN_RETENTION_DAYS`: runs are purged so long after their end, by whichever API keeps house. */

const story = useStory();

test('runs that ended longer ago are purged; those that ended later, or have not ended, stay', async () => {
  const { orchflow, user } = story;
  const { db } = orchflow;
  const [old, older, young] = [await story.start({}), await story.start({}), await story.start({})];
  const waiting = await story.start({}, { ask_me_about: ['x'] });
  for (const run of [old, older, young]) await run.until('completed');
  await waiting.untilWaiting('T1');
  const age = async (run_id: string, days: number) => {
    const moment = sql<string>`now() - make_interval(days => ${days})`;
    const times = run_id === waiting.run_id ? {} : { completed_at: moment };
    await db
      .updateTable('runs')
      .set({ created_at: moment, ...times })
      .where('run_id', '=', run_id)
      .execute();
  };
  await Promise.all([age(old.run_id, 31), age(older.run_id, 400), age(young.run_id, 29), age(waiting.run_id, 400)]);

  // Each API keeps house when it begins. Without the setting, nothing is too old.
  await (await startOrchflow({ environment: orchflow.env, worker: false })).stop();
  expect((await user.get('/runs')).body.runs).toHaveLength(4);
  const environment = { ...orchflow.env, RUN_RETENTION_DAYS: '30' };
  const another = await startOrchflow({ environment, worker: false });
  for (const { run_id } of [old, older]) {
    await until(async () => (await tablesWith(db, 'run_id', run_id)).length === 0, `nothing of ${run_id} is left`);
  }
  await another.stop();
  expect((await user.get(`/runs/${old.run_id}`)).status).toBe(404);
  expect(await young.get()).toMatchObject({ status: 'completed', final_output: 'The final output.' });
  expect(await waiting.get()).toMatchObject({ status: 'waiting_human' });
  await waiting.cancel();
});

test('what is of no run goes by its age, and what a base has used stays as it was counted', async () => {
  const { orchflow, user } = story;
  const { db } = orchflow;
  const [models, endpoint] = await Promise.all([startFakeEmbeddings(), startFakeWebhook()]);
  const provider = { provider: 'openai', api_key: 'sk-canary', base_url: models.baseUrl('openai') };
  const { provider_id } = (await user.post('/providers', provider)).body;
  await user.post('/webhooks/subscriptions', { url: endpoint.url, events: ['knowledge.indexed'] });
  const knowledge = knowledgeOf(orchflow.url, user);
  const knowledge_id = await knowledge.create({ embedding: { provider_id } });
  const usage = async () => (await knowledge.call('GET', `/${knowledge_id}`)).body.usage;
  expect(await usage()).toEqual({ llm_calls: 0, input_tokens: 0, cost_usd: 0 });
  await knowledge.index(knowledge_id, { content: 'Goods may be returned within thirty days.' });
  await knowledge.search(knowledge_id, 'returns');
  await until(() => endpoint.requests.length === 1, 'its subscriber hears of it');
  // Each call of the fake is of 7 tokens, and a million of them is 0.02 USD.
  const used = { llm_calls: 2, input_tokens: 14, cost_usd: 0.000_000_28 };
  expect(await usage()).toEqual(used);

  const ofNoRun = async () => [
    ...(await db.selectFrom('llm_calls').select('call_id as id').where('run_id', 'is', null).execute()),
    ...(await db.selectFrom('webhook_deliveries').select('delivery_id as id').where('run_id', 'is', null).execute()),
  ];
  expect(await ofNoRun()).toHaveLength(3);
  const keepHouse = () => startOrchflow({ environment: { ...orchflow.env, RUN_RETENTION_DAYS: '30' }, worker: false });
  const [old] = await ofNoRun();
  const before = sql<string>`now() - interval '31 days'`;
  await db.updateTable('llm_calls').set({ created_at: before }).where('call_id', '=', old!.id).execute();
  await db.updateTable('webhook_deliveries').set({ created_at: before }).where('run_id', 'is', null).execute();
  const another = await keepHouse();
  await until(async () => (await ofNoRun()).length === 1, 'what is old is gone, and the rest is there');
  await another.stop();
  expect(await usage()).toEqual(used);
  await Promise.all([models.close(), endpoint.close()]);
});
