import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { sql } from 'kysely';
import { startFakeEmbeddings, type FakeEmbeddings } from '../fakes/embeddings.ts';
import { startFakeModel } from '../fakes/model.ts';
import { tryCommand } from '../harness/command.ts';
import { registerAgent, runAgent } from '../harness/agent.ts';
import { knowledgeOf, type KnowledgeClient } from '../harness/knowledge.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { killProcesses, startWorkerHere, startWorkerProcess } from '../harness/processes.ts';
import { replayHistories } from '../harness/replay.ts';
import { untilBlocked } from '../harness/rows.ts';

/** Workers that are killed while they index: what is paid for is not paid for again. */

let orchflow: Orchflow;
let models: FakeEmbeddings;
let user: User;
let knowledge: KnowledgeClient;
let knowledge_id: string;

beforeAll(async () => {
  [orchflow, models] = await Promise.all([startOrchflow({ worker: false }), startFakeEmbeddings()]);
  user = await orchflow.register();
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
  await startWorkerHere(orchflow.env);
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
  await startWorkerHere(orchflow.env);
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
  await startWorkerHere(orchflow.env);
  const document = await knowledge.untilDone(knowledge_id, body.documents[0].document_id);
  expect(document).toMatchObject({ status: 'indexed', chunks_done: document.chunks });
});

test('killed after a search of an agent was embedded: its query is not paid again', async () => {
  const model = await startFakeModel();
  const query = 'How long may a return take?';
  model.on(({ calls }) =>
    calls.length === 0 ? { call: [{ name: 'search_knowledge', arguments: { query } }] } : 'Thirty days.',
  );
  const worker = await startWorkerProcess(orchflow.env);
  await knowledge.index(knowledge_id, { content: 'Goods may be returned within thirty days.' });
  const provider_id = await user.addProvider(model);
  const agent_id = await registerAgent(user, { provider_id, knowledge: [knowledge_id] });
  const run = await orchflow.db.transaction().execute(async (lock) => {
    await sql`lock table tool_calls in share mode`.execute(lock);
    const begun = await runAgent(user, agent_id);
    await untilBlocked(orchflow.db, 'what was found is being written');
    await worker.kill();
    return begun;
  });
  await startWorkerHere(orchflow.env);
  await run.until('completed');
  expect(embedded().filter((text) => text === query)).toHaveLength(1);
  // Its readers hear of its end before its workflow has ended.
  await orchflow.client.workflow.getHandle(run.run_id).result();
  await model.close();
});

test('after a restore: an indexing that Temporal has lost is begun anew, one that has ended there is done once more', async () => {
  const reconcile = async (...args: string[]) => {
    const { stdout } = await tryCommand('reconcile', orchflow.env, ...args);
    return stdout.trimEnd().split('\n');
  };
  const worker = await startWorkerProcess(orchflow.env);
  const [ended] = await knowledge.index(knowledge_id, { content: 'It has ended in Temporal.' });
  const { client } = orchflow;
  await client.workflow.getHandle(`${ended!.document_id}/index/1`).result();
  await worker.kill();
  await orchflow.db
    .updateTable('documents')
    .set({ status: 'pending' })
    .where('document_id', '=', ended!.document_id)
    .execute();
  const { body } = await knowledge.upload(knowledge_id, [{ content: 'It is lost in Temporal.' }]);
  const lost = body.documents[0].document_id as string;
  const handle = client.workflow.getHandle(`${lost}/index/1`);
  const isKnown = () =>
    handle.describe().then(
      () => true,
      () => false,
    );
  await until(isKnown, 'Temporal has it');
  const workflowExecution = { workflowId: handle.workflowId };
  await client.workflowService.deleteWorkflowExecution({ namespace: client.options.namespace, workflowExecution });
  await until(async () => !(await isKnown()), 'Temporal has lost it');

  const lines = await reconcile();
  expect(lines).toContain(
    `${ended!.document_id}  PostgreSQL waits for its indexing; it has ended in Temporal. To do: index it once more.`,
  );
  expect(lines).toContain(
    `${lost}  PostgreSQL waits for its indexing; Temporal does not know it. To do: begin it anew in Temporal.`,
  );
  expect(lines.at(-1)).toBe('0 runs and 2 documents compared, 2 differ. Say it again with --mend, and it is done.');
  expect((await reconcile('--mend')).at(-1)).toBe('0 runs and 2 documents compared, 2 differ; mended: 2.');
  await startWorkerHere(orchflow.env);
  for (const document_id of [ended!.document_id, lost]) {
    expect(await knowledge.untilDone(knowledge_id, document_id)).toMatchObject({ status: 'indexed' });
  }
  expect(await reconcile()).toEqual(['0 runs compared, 0 differ.']);
});
