import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startFakeEmbeddings, type FakeEmbeddings } from '../fakes/embeddings.ts';
import { knowledgeOf, type KnowledgeClient } from '../harness/knowledge.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { createStack } from '../harness/orchstack.ts';
import { expectFault, expectNoProvider, expectProblem } from '../harness/problem.ts';

/** Embeddings by the providers of accounts: what they are asked, what is paid, and what becomes of it when they fail. */

let orchflow: Orchflow;
let user: User;
let knowledge: KnowledgeClient;
let models: FakeEmbeddings;
const provider_ids: Record<string, string> = {};

beforeAll(async () => {
  [orchflow, models] = await Promise.all([startOrchflow(), startFakeEmbeddings()]);
  user = await orchflow.register();
  knowledge = knowledgeOf(orchflow.url, user);
  for (const vendor of ['openai', 'gemini', 'ollama'] as const) {
    const provider = { provider: vendor, api_key: 'sk-canary', base_url: models.baseUrl(vendor) };
    provider_ids[vendor] = (await user.post('/providers', provider)).body.provider_id;
  }
});
afterAll(() => Promise.all([orchflow.stop(), models.close()]));
afterEach(() => {
  models.on(() => undefined);
  models.calls.length = 0;
});

const returns = 'Goods may be returned within thirty days of delivery.';
const shipping = 'Orders leave the warehouse on weekdays before noon.';

/** So many passages, none of which is another. */
function longText(passages: number): string {
  const sentences = Array.from({ length: passages }, (_, index) =>
    `Paragraph ${index} is about item ${index}. `.repeat(36),
  );
  return sentences.join('\n\n');
}

function callsOf(purpose: string) {
  return orchflow.db.selectFrom('llm_calls').selectAll().where('purpose', '=', purpose).orderBy('created_at').execute();
}

describe.each([
  ['openai', 'text-embedding-3-small', null, 384, 7],
  ['gemini', 'gemini-embedding-001', null, 384, 13],
  ['ollama', 'nomic-embed-text', null, 384, 9],
  ['openai', 'text-embedding-3-large', 256, 256, 7],
] as const)('%s %s', (vendor, model, dimensions, size, tokens) => {
  test('embeds passages and queries, and the calls are journalled with what they cost', async () => {
    const provider_id = provider_ids[vendor]!;
    const knowledge_id = await knowledge.create({
      embedding: { provider_id, model, ...(dimensions && { dimensions }) },
    });
    await orchflow.db.deleteFrom('llm_calls').execute();
    const [document] = await knowledge.index(knowledge_id, { content: returns, name: 'returns.txt' });
    expect(document).toMatchObject({ status: 'indexed', chunks: 1, chunks_done: 1 });
    const { body } = await knowledge.call('GET', `/${knowledge_id}`);
    expect(body.embedding).toEqual({ model, provider_id, dimensions: size, is_semantic: true });

    const { results, warnings } = await knowledge.search(knowledge_id, 'returned goods');
    expect(warnings).toEqual([]);
    expect(results).toMatchObject([{ document: 'returns.txt', text_rank: 1, vector_rank: 1 }]);
    expect(results[0]!.similarity).toBeGreaterThan(0.2);
    const asked = models.calls.length;
    const key = { name: 'Test', scopes: ['knowledge:read'], mode: 'test' };
    const { api_key } = (await createStack(orchflow.url, user).post('/api-keys', key)).body;
    const inTest = await knowledgeOf(orchflow.url, { api_key }).search(knowledge_id, 'returned goods');
    expect(inTest).toMatchObject({
      results: [{ text_rank: 1, vector_rank: null }],
      warnings: [expect.stringMatching(/this is a test/)],
    });
    expect(models.calls).toHaveLength(asked);
    expect(models.calls.map((call) => [call.vendor, call.model, call.texts])).toEqual([
      [vendor, model, [returns]],
      [vendor, model, ['returned goods']],
    ]);
    expect([models.calls[0]!.headers.authorization, models.calls[0]!.headers['x-goog-api-key']]).toContain(
      vendor === 'gemini' ? 'sk-canary' : 'Bearer sk-canary',
    );
    const [embedded] = await callsOf('embed_chunks');
    expect(embedded).toMatchObject({
      vendor,
      model,
      provider_id,
      run_id: null,
      input_tokens: vendor === 'gemini' ? 14 : tokens,
    });
    expect(embedded!.cost_usd).toEqual(vendor === 'ollama' ? 0 : expect.closeTo(0, 4));
    expect(await callsOf('embed_query')).toMatchObject([{ vendor, model, provider_id }]);
  });
});

describe('what is paid', () => {
  test('a long document goes in batches, each of which is one call; the same text is not embedded again', async () => {
    const knowledge_id = await knowledge.create({ embedding: { provider_id: provider_ids.openai } });
    const [first] = await knowledge.index(knowledge_id, { content: longText(150), name: 'long.txt' });
    expect(
      models.calls
        .map(({ texts }) => texts.length)
        .slice(0, -1)
        .every((count) => count === 64),
    ).toBe(true);
    expect(models.calls.flatMap(({ texts }) => texts)).toHaveLength(first!.chunks!);
    const paid = models.calls.length;
    const [again] = await knowledge.index(knowledge_id, { content: longText(150), name: 'copy.txt' });
    expect(again).toMatchObject({ status: 'indexed', chunks: first!.chunks, chunks_done: first!.chunks });
    expect(models.calls).toHaveLength(paid);
  });

  test('a model that is busy is asked again; of a batch that has failed the others are kept', async () => {
    const knowledge_id = await knowledge.create({ embedding: { provider_id: provider_ids.openai } });
    models.on(() => (models.calls.length === 2 ? { status: 429, headers: { 'retry-after': '1' } } : undefined));
    const [document] = await knowledge.index(knowledge_id, { content: longText(120) });
    expect(document).toMatchObject({ status: 'indexed' });
    const sizes = models.calls.map(({ texts }) => texts[0]);
    expect(sizes[1]).toBe(sizes[2]);
    expect(new Set(sizes).size).toBe(sizes.length - 1);
  });
});

describe('what goes wrong', () => {
  test.for<[what: string, reply: object, reason: RegExp]>([
    ['a key that is not taken', { status: 401 }, /does not take|key/i],
    ['a model that there is not', { status: 404, body: { error: { message: 'The model does not exist' } } }, /model/i],
  ])('%s: the document has failed, and says so', async ([, reply, reason]) => {
    const knowledge_id = await knowledge.create({ embedding: { provider_id: provider_ids.openai } });
    models.on(() => reply as { status: number });
    const [document] = await knowledge.index(knowledge_id, { content: returns });
    expect(document).toMatchObject({ status: 'failed', chunks: 1, chunks_done: 0, indexed_at: null });
    expect(document!.failure).toMatch(reason);

    // Once that is mended, it is indexed without being sent again, and no sooner and no later.
    models.on(() => undefined);
    const path = `/${knowledge_id}/documents/${document!.document_id}/index`;
    const again = await knowledge.call('POST', path);
    expect(again).toMatchObject({ status: 200, body: { status: 'pending', failure: null } });
    expect(await knowledge.untilDone(knowledge_id, document!.document_id)).toMatchObject({ status: 'indexed' });
    expectProblem(await knowledge.call('POST', path), { status: 409, code: 'DOCUMENT_NOT_FAILED' });
  });

  test('a model that changes its dimensions, and a provider that is gone', async () => {
    const knowledge_id = await knowledge.create({ embedding: { provider_id: provider_ids.ollama } });
    await knowledge.index(knowledge_id, { content: returns });
    models.on(() => ({ size: 100 }));
    const [document] = await knowledge.index(knowledge_id, { content: shipping });
    expect(document!.failure).toContain('100 dimensions, and this knowledge base has 384');
    // What was answered is paid, though it is of no use.
    const paid = (await callsOf('embed_chunks')).filter(({ call_id }) => call_id.startsWith(document!.document_id));
    expect(paid).toMatchObject([{ vendor: 'ollama' }]);

    const provider = { provider: 'ollama', base_url: models.baseUrl('ollama') };
    const provider_id = (await user.post('/providers', provider)).body.provider_id;
    const other = await knowledge.create({ embedding: { provider_id } });
    await user.delete(`/providers/${provider_id}`);
    const [lost] = await knowledge.index(other, { content: returns });
    expect(lost!.failure).toContain(`Provider ${provider_id} is not active any more`);
  });

  test('a query that cannot be embedded is looked for by its words, and a warning says so', async () => {
    const knowledge_id = await knowledge.create({ name: 'Shop', embedding: { provider_id: provider_ids.openai } });
    await knowledge.index(knowledge_id, { content: returns });
    models.on(() => ({ status: 500 }));
    const { results, warnings } = await knowledge.search(knowledge_id, 'returned');
    expect(results).toMatchObject([{ text_rank: 1, vector_rank: null, similarity: null }]);
    expect(warnings).toEqual([expect.stringMatching(/^Shop was searched by words only: .*500/)]);
  });

  test('an embedding that cannot be is refused at the door', async () => {
    const create = (embedding: object) => knowledge.call('POST', '', { name: 'Wrong', embedding });
    const { provider_id } = (await user.post('/providers', { provider: 'anthropic', api_key: 'sk-canary' })).body;
    for (const [embedding, pointer] of [
      [{ provider_id }, '/embedding/provider_id'],
      [{ model: 'text-embedding-3-small' }, '/embedding/provider_id'],
      [{ provider_id: provider_ids.ollama, dimensions: 12 }, '/embedding/dimensions'],
      [{ provider_id: provider_ids.openai, dimensions: 5_000 }, '/embedding/dimensions'],
    ] as const) {
      expectFault(await create(embedding), pointer);
    }
    expectNoProvider(await create({ provider_id: 'prv_unknown' }), '/embedding/provider_id');
    const large = await create({ provider_id: provider_ids.openai, model: 'text-embedding-3-large' });
    expect(large.body.embedding.dimensions).toBe(1_536);
  });
});

test('with another model all is embedded anew; meanwhile it is found by its words', async () => {
  const knowledge_id = await knowledge.create({ embedding: { provider_id: provider_ids.openai } });
  const [document] = await knowledge.index(knowledge_id, { content: returns });
  const { promise: held, resolve: release } = Promise.withResolvers<undefined>();
  models.on(({ vendor }) => (vendor === 'ollama' ? held : undefined));
  const embedding = { provider_id: provider_ids.ollama };
  const changed = await knowledge.call('PATCH', `/${knowledge_id}`, { embedding });
  expect(changed.body).toMatchObject({
    documents_indexed: 0,
    embedding: { model: 'nomic-embed-text', dimensions: null },
  });
  await until(() => models.calls.some(({ vendor }) => vendor === 'ollama'), 'it is embedded anew');
  const back = { embedding: { provider_id: provider_ids.openai } };
  expectProblem(await knowledge.call('PATCH', `/${knowledge_id}`, back), { status: 409, code: 'KNOWLEDGE_INDEXING' });
  expect((await knowledge.call('PATCH', `/${knowledge_id}`, { embedding, name: 'Renamed' })).status).toBe(200);
  expect((await knowledge.search(knowledge_id, 'returned')).results).toMatchObject([
    { text_rank: 1, vector_rank: null },
  ]);
  release(undefined);
  await knowledge.untilDone(knowledge_id, document!.document_id);
  expect((await knowledge.search(knowledge_id, 'returned')).results).toMatchObject([{ text_rank: 1, vector_rank: 1 }]);
  // What is asked for once more is what it is.
  const calls = models.calls.length;
  await knowledge.call('PATCH', `/${knowledge_id}`, { embedding });
  expect((await knowledge.call('GET', `/${knowledge_id}`)).body).toMatchObject({ documents_indexed: 1 });
  expect(models.calls).toHaveLength(calls);
});

test.each(['terminate', 'cancel'] as const)(
  'an operator may %s an indexing: the document has failed, and says so',
  async (how) => {
    const knowledge_id = await knowledge.create({ embedding: { provider_id: provider_ids.openai } });
    models.on(() => ({ hang: true }));
    const { body } = await knowledge.upload(knowledge_id, [{ content: returns }]);
    const { document_id } = body.documents[0];
    await until(() => models.calls.length === 1, 'it is being embedded');
    await orchflow.client.workflow.getHandle(`${document_id}/index/1`)[how]();
    const document = await knowledge.untilDone(knowledge_id, document_id);
    expect(document).toMatchObject({ status: 'failed', failure: expect.stringContaining('by the operator') });
  },
);

test.each(['document', 'base'])(
  'a %s that is deleted while it is indexed: its call is broken off, and nothing is left',
  async (what) => {
    const knowledge_id = await knowledge.create({ embedding: { provider_id: provider_ids.openai } });
    models.on(() => ({ hang: true }));
    const { body } = await knowledge.upload(knowledge_id, [{ content: returns }]);
    const { document_id, file_id } = body.documents[0];
    await until(() => models.calls.length === 1, 'it is being embedded');
    const path = what === 'document' ? `/${knowledge_id}/documents/${document_id}` : `/${knowledge_id}`;
    expect((await knowledge.call('DELETE', path)).status).toBe(200);
    const handle = orchflow.client.workflow.getHandle(`${document_id}/index/1`);
    await until(async () => (await handle.describe()).status.name === 'CANCELLED', 'its workflow has ended');
    await until(async () => {
      const { rows } = await sql`select from chunks where document_id = ${document_id}`.execute(orchflow.db);
      return rows.length === 0;
    }, 'nothing of it is left');
    expect((await user.get(`/files/${file_id}`)).status).toBe(404);
  },
);
