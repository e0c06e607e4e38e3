import { expect, test } from 'vitest';
import { startFakeEmbeddings } from '../fakes/embeddings.ts';
import { registerAgent, runAgent } from '../harness/agent.ts';
import { knowledgeOf, type KnowledgeClient } from '../harness/knowledge.ts';
import { createStack } from '../harness/orchstack.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';
import { useStory } from '../harness/story.ts';

/** Agents that search in knowledge bases. */

const story = useStory();
let knowledge: KnowledgeClient;
let knowledge_id: string;

async function makeBase() {
  knowledge = knowledgeOf(story.orchflow.url, story.user);
  knowledge_id = await knowledge.create({ name: 'Handbook' });
  await knowledge.index(knowledge_id, { content: 'Goods may be returned within thirty days.', name: 'returns.md' });
}

/** The model searches once, and then says what it was given. */
function searchesOnce(query = 'How long may a return take?') {
  story.model.on(({ calls }) => {
    const result = calls.at(-1)?.result;
    return result === undefined
      ? { call: [{ name: 'search_knowledge', arguments: { query } }] }
      : `It says: ${JSON.stringify(result)}`;
  });
}

test('an agent of knowledge bases has the tool, and its answer says what it comes from', async () => {
  await makeBase();
  searchesOnce();
  const { user, model, provider_id } = story;
  const agent_id = await registerAgent(user, { provider_id, knowledge: [knowledge_id] });
  expect((await user.get(`/agents/${agent_id}`)).body).toMatchObject({ knowledge: [knowledge_id], tools: [] });
  const run = await runAgent(user, agent_id);
  const done = await run.until('completed');
  expect(model.calls[0]!.tools).toMatchObject([
    { name: 'search_knowledge', description: expect.stringContaining('"Handbook"') },
  ]);
  expect(done.final_output).toContain('thirty days');
  expect(done.final_output).toContain('returns.md');
  const calls = await story.orchflow.db
    .selectFrom('tool_calls')
    .innerJoin('texts', 'texts.text_id', 'tool_calls.call_id')
    .select(['tool', 'is_error', 'text'])
    .where('tool_calls.run_id', '=', run.run_id)
    .execute();
  expect(calls).toMatchObject([{ tool: 'search_knowledge', is_error: false }]);
  expect(JSON.parse(calls[0]!.text).passages).toMatchObject([{ document: 'returns.md', knowledge_id, page: null }]);
});

test('the embedding of its query is a call of its run', async () => {
  const models = await startFakeEmbeddings();
  const { user, provider_id } = story;
  const provider = { provider: 'openai', api_key: 'sk-canary', base_url: models.baseUrl('openai') };
  const embedding = { provider_id: (await user.post('/providers', provider)).body.provider_id };
  knowledge = knowledgeOf(story.orchflow.url, user);
  knowledge_id = await knowledge.create({ embedding });
  await knowledge.index(knowledge_id, { content: 'Goods may be returned within thirty days.' });
  searchesOnce();
  const run = await runAgent(user, await registerAgent(user, { provider_id, knowledge: [knowledge_id] }));
  const done = await run.until('completed');
  expect(done.usage.llm_calls).toBe(3);
  const { body } = await createStack(story.orchflow.url, user).get(`/runs/${run.run_id}`);
  const types = body.trace.map((entry: Record<string, string>) => entry.purpose ?? entry.type);
  expect(types.toSorted()).toEqual(['embed_query', 'retrieval', 'run_agent', 'run_agent']);
  await models.close();
});

test('a base that is deleted since is told of in words; a run keeps the bases that it froze', async () => {
  await makeBase();
  searchesOnce();
  const { user, provider_id } = story;
  const agent_id = await registerAgent(user, { provider_id, knowledge: [knowledge_id], require_approval: true });
  const run = await runAgent(user, agent_id);
  await run.untilWaiting('T1');
  expect((await run.task('T1')).output).toContain('thirty days');
  await user.patch(`/agents/${agent_id}`, { knowledge: [] });
  await knowledge.call('DELETE', `/${knowledge_id}`);
  await run.complete('T1', { decision: 'reject', output: 'Look again.' });
  await run.until((view) => view.tasks[0]!.attempts === 2 && view.waiting_tasks.length > 0);
  const { output } = await run.task('T1');
  expect(output).toContain(`Nothing was found. The knowledge base ${knowledge_id} is not there any more.`);
  await run.complete('T1', { decision: 'approve' });
  await run.until('completed');
});

test('a run that is done again searches in the same bases', async () => {
  await makeBase();
  searchesOnce();
  const { user, provider_id } = story;
  const agent_id = await registerAgent(user, { provider_id, knowledge: [knowledge_id] });
  const run = await runAgent(user, agent_id);
  await run.until('completed');
  const { body } = await user.post(`/runs/${run.run_id}/rerun`, { from_task: 'T1' });
  const again = await user.openRun(body.run_id).until('completed');
  expect(again.final_output).toContain('returns.md');
});

test("another account's base, and one that there is not, are refused where they are named", async () => {
  const stranger = await story.orchflow.register();
  const theirs = await knowledgeOf(story.orchflow.url, stranger).create();
  for (const id of [theirs, 'kb_unknown']) {
    const answer = await story.user.post('/agents', { name: 'thief', knowledge: [id] });
    const errors = [{ pointer: '/knowledge/0', detail: 'is not a knowledge base of this account' }];
    expectProblem(answer, { status: 422, code: 'VALIDATION_FAILED', errors });
  }
  const { api_key } = (await story.user.post('/keys', { name: 'Agents', scopes: ['agents:write'] })).body;
  const mine = await knowledgeOf(story.orchflow.url, story.user).create();
  const headers = { 'x-api-key': api_key, 'content-type': 'application/json' };
  const asked = JSON.stringify({ name: 'spy', knowledge: [mine] });
  expectProblem(await send(story.orchflow.url, 'POST', '/api/v1/agents', headers, asked), {
    status: 403,
    code: 'MISSING_SCOPE',
    scope: 'knowledge:read',
    errors: [{ pointer: '/knowledge', detail: 'is no scope of the key that asks' }],
  });
  expect((await story.user.post('/agents', { name: 'sly', tools: ['search_knowledge'] })).status).toBe(422);
});
