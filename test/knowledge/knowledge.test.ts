import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { knowledgeOf, type KnowledgeClient } from '../harness/knowledge.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { pdfOf } from '../harness/pdf.ts';
import { subscribe } from '../harness/subscription.ts';

/** A knowledge base, from its making to its end. */

let orchflow: Orchflow;
let user: User;
let knowledge: KnowledgeClient;
let webhook: FakeWebhook;

beforeAll(async () => {
  orchflow = await startOrchflow();
  user = await orchflow.register();
  knowledge = knowledgeOf(orchflow.url, user);
  webhook = await startFakeWebhook();
});
afterAll(() => Promise.all([orchflow.stop(), webhook.down()]));

const told = (type: string) =>
  webhook.requests.map(({ body }) => JSON.parse(body)).filter((event) => event.type === type);

test('a PDF is indexed, found by what it says and where, and its subscribers hear of it', async () => {
  await subscribe(user, webhook, { events: ['knowledge.indexed'] });
  const knowledge_id = await knowledge.create({ description: 'What everybody should know.' });
  const handbook = pdfOf([
    ['Returns', 'Goods may be returned within thirty days of delivery.'],
    ['Shipping', 'Orders leave the warehouse on weekdays before noon.'],
  ]);
  const [document] = await knowledge.index(knowledge_id, {
    content: handbook,
    name: 'handbook.pdf',
    type: 'application/pdf',
  });
  expect(document).toMatchObject({
    status: 'indexed',
    pages: 2,
    pages_done: 2,
    chunks: 2,
    chunks_done: 2,
    failure: null,
  });

  const { results, warnings } = await knowledge.search(knowledge_id, 'How many days for a return?', { limit: 1 });
  expect(warnings).toEqual([]);
  expect(results).toEqual([
    expect.objectContaining({
      document_id: document!.document_id,
      document: 'handbook.pdf',
      page: 1,
      text: 'Returns\nGoods may be returned within thirty days of delivery.',
      text_rank: 1,
      vector_rank: 1,
      score: 2 / 61,
    }),
  ]);
  await until(() => told('knowledge.indexed').length > 0, 'knowledge.indexed');
  expect(told('knowledge.indexed')).toEqual([
    expect.objectContaining({
      run_id: null,
      seq: null,
      data: {
        knowledge_id,
        document_id: document!.document_id,
        name: 'handbook.pdf',
        status: 'indexed',
        pages: 2,
        chunks: 2,
        reason: null,
      },
    }),
  ]);
  const { body } = await knowledge.call('GET', `/${knowledge_id}`);
  expect(body).toMatchObject({
    documents: 1,
    documents_indexed: 1,
    chunks: 2,
    embedding: { model: 'hash-384', provider_id: null, dimensions: 384, is_semantic: false },
  });
});
