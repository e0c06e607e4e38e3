import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { sql } from 'kysely';
import { startFakeEmbeddings, type FakeEmbeddings } from '../fakes/embeddings.ts';
import { knowledgeOf, type KnowledgeClient } from '../harness/knowledge.ts';
import { startOrchflow, until, type Orchflow } from '../harness/orchflow.ts';
import { killProcesses, startWorkerProcess } from '../harness/processes.ts';
import { replayHistories } from '../harness/replay.ts';
import { untilBlocked } from '../harness/rows.ts';

/** Workers that are killed while they index: what is paid for is not paid for again. */

let orchflow: Orchflow;
let models: FakeEmbeddings;
let knowledge: KnowledgeClient;
let knowledge_id: string;

beforeAll(async () => {
  [orchflow, models] = await Promise.all([startOrchflow({ worker: false }), startFakeEmbeddings()]);
  const user = await orchflow.register();
  knowledge = knowledgeOf(orchflow.url, user);
  const provider = { provider: 'openai', api_key: 'sk-canary', base_url: models.baseUrl('openai') };
  const { provider_id } = (await user.post('/providers', provider)).body;
  knowledge_id = await knowledge.create({ embedding: { provider_id } });
});
afterAll(async () => {
  await replayHistories(orchflow).finally(() => orchflow.stop());
  await models.close();
});
afterEach(async () => {
  await killProcesses();
  models.on(() => undefined);
  models.calls.length = 0;
});

/** Three batches, and none of a text that another test has. */
function content(about: string): string {
  return Array.from({ length: 150 }, (_, index) => `Item ${index} of ${about} is number ${index}. `.repeat(30)).join(
    '\n\n',
  );
}

const embedded = () => models.calls.flatMap(({ texts }) => texts);

test('killed in a call: this batch is asked for again, and no other', async () => {
  models.on(() => (models.calls.length === 2 ? { hang: true } : undefined));
  const worker = await startWorkerProcess(orchflow.env);
  const { body } = await knowledge.upload(knowledge_id, [{ content: content('calls') }]);
  await until(() => models.calls.length === 2, 'the second batch is asked for');
  await worker.kill();
  await startWorkerProcess(orchflow.env);
  const document = await knowledge.untilDone(knowledge_id, body.documents[0].document_id);
  expect(document).toMatchObject({ status: 'indexed' });
  const [first, hanging, ...rest] = models.calls.map(({ texts }) => texts);
  expect(rest[0]).toEqual(hanging);
  expect([first, ...rest].flat()).toHaveLength(document.chunks!);
  expect(new Set(embedded()).size).toBe(document.chunks);
});

test('killed while the vectors are written: they are there with the call, or neither is', async () => {
  const worker = await startWorkerProcess(orchflow.env);
  const document_id = await orchflow.db.transaction().execute(async (lock) => {
    await sql`lock table llm_calls in share mode`.execute(lock);
    const { body } = await knowledge.upload(knowledge_id, [{ content: content('writing') }]);
    await until(() => models.calls.length === 1, 'the first batch is asked for');
    await untilBlocked(orchflow.db, 'its vectors are being written');
    await worker.kill();
    return body.documents[0].document_id as string;
  });
  await startWorkerProcess(orchflow.env);
  const document = await knowledge.untilDone(knowledge_id, document_id);
  expect(document).toMatchObject({ status: 'indexed' });
  expect(new Set(embedded()).size).toBe(document.chunks);
  const { rows } = await sql<{ calls: number }>`
    select count(*)::integer as calls from llm_calls where call_id like ${`${document_id}/%`}`.execute(orchflow.db);
  // The one that was in flight was paid for, and its answer was lost with the worker, or else was kept.
  expect(models.calls.length - rows[0]!.calls).toBeLessThanOrEqual(1);
});

test('accepted while there is no worker, and while it is being read: the next one does it', async () => {
  const { body } = await knowledge.upload(knowledge_id, [{ content: content('nobody') }]);
  expect(body.documents).toMatchObject([{ status: 'pending' }]);
  const worker = await startWorkerProcess(orchflow.env);
  await until(async () => {
    const path = `/${knowledge_id}/documents/${body.documents[0].document_id}`;
    return (await knowledge.call('GET', path)).body.status !== 'pending';
  }, 'it is being indexed');
  await worker.kill();
  await startWorkerProcess(orchflow.env);
  const document = await knowledge.untilDone(knowledge_id, body.documents[0].document_id);
  expect(document).toMatchObject({ status: 'indexed', chunks_done: document.chunks });
});
