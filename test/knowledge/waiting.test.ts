import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import path from 'node:path';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { deleteAccount } from '../../src/accounts/deletion.ts';
import { startFakeEmbeddings, type FakeEmbeddings } from '../fakes/embeddings.ts';
import { knowledgeOf } from '../harness/knowledge.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { formOf, filePart } from '../harness/upload.ts';

/** Documents that wait for others, that are too many or long, and whose account goes meanwhile. */

let orchflow: Orchflow;
let models: FakeEmbeddings;

beforeAll(async () => {
  [orchflow, models] = await Promise.all([
    startOrchflow({ environment: { WORKER_PLACES: '5' } }),
    startFakeEmbeddings(),
  ]);
});
afterEach(() => models.on(() => undefined));
afterAll(() => Promise.all([orchflow.stop(), models.close()]));

/** A base that the fake embeds for. */
async function makeBase(user: User) {
  const provider = { provider: 'openai', api_key: 'sk-canary', base_url: models.baseUrl('openai') };
  const { provider_id } = (await user.post('/providers', provider)).body;
  const knowledge = knowledgeOf(orchflow.url, user);
  return { knowledge, knowledge_id: await knowledge.create({ embedding: { provider_id } }) };
}

test('an account whose documents take all of its places leaves some to others, and goes on when it has them again', async () => {
  const { promise: answers, resolve: answer } = Promise.withResolvers<void>();
  const slow = await makeBase(await orchflow.register());
  models.on(async ({ texts }) => (texts[0]!.startsWith('Slow') ? void (await answers) : undefined));
  const files = Array.from({ length: 6 }, (_, n) => ({ content: `Slow document ${n}.`, name: `${n}.txt` }));
  const { body } = await slow.knowledge.upload(slow.knowledge_id, files);
  // Four of five places: the last one is for others.
  await until(() => models.calls.length === 4, 'its places are taken');

  const quick = await makeBase(await orchflow.register());
  const [document] = await quick.knowledge.index(quick.knowledge_id, { content: 'Quick.' });
  expect(document).toMatchObject({ status: 'indexed' });
  const listed = await slow.knowledge.call('GET', `/${slow.knowledge_id}/documents?fields=status`);
  const statuses = listed.body.documents.map(({ status }: { status: string }) => status);
  expect(statuses).not.toContain('indexed');
  expect(statuses).not.toContain('failed');
  expect(models.calls.filter(({ texts }) => texts[0]!.startsWith('Slow'))).toHaveLength(4);

  answer();
  const ids: string[] = body.documents.map(({ document_id }: { document_id: string }) => document_id);
  const done = await Promise.all(ids.map((id) => slow.knowledge.untilDone(slow.knowledge_id, id)));
  expect(done.map(({ status }) => status)).toEqual(ids.map(() => 'indexed'));
  // What had found no place was asked for once.
  expect(models.calls.filter(({ texts }) => texts[0]!.startsWith('Slow'))).toHaveLength(6);
});

test('a base has so many passages, and the document that would be more has failed, in words', async () => {
  const { knowledge, knowledge_id } = await makeBase(await orchflow.register());
  const [first] = await knowledge.index(knowledge_id, { content: 'First.' });
  const most = 200_000;
  const fill = (chunks: number) =>
    orchflow.db.updateTable('documents').set({ chunks }).where('document_id', '=', first!.document_id).execute();
  await fill(most);
  const [failed] = await knowledge.index(knowledge_id, { content: 'Second.' });
  const failure = 'A knowledge base may have 200000 passages; this one has 1, and the others have 200000.';
  expect(failed).toMatchObject({ status: 'failed', failure });
  // With room for it again, the same document is indexed.
  await fill(most - 1);
  const path = `/${knowledge_id}/documents/${failed!.document_id}`;
  expect((await knowledge.call('POST', `${path}/index`)).body).toMatchObject({ status: 'pending', failure: null });
  expect(await knowledge.untilDone(knowledge_id, failed!.document_id)).toMatchObject({ status: 'indexed', chunks: 1 });
});

test('a long document is indexed also where the statistics of the database know nothing of it', async () => {
  await sql`alter table chunks set (autovacuum_enabled = false)`.execute(orchflow.db);
  await sql`
    insert into chunks (document_id, knowledge_id, position, text, sha256, search, embedding_version)
    select 'doc_other', 'kb_other', n, 'Other.', md5(n::text), ''::tsvector, 1 from generate_series(1, 5000) as n`.execute(
    orchflow.db,
  );
  await sql`analyze chunks`.execute(orchflow.db);
  const knowledge = knowledgeOf(orchflow.url, await orchflow.register());
  const knowledge_id = await knowledge.create();
  const content = Array.from({ length: 600 }, (_, n) => `Item ${n} is number ${n}. `.repeat(50)).join('\n\n');
  // Were it to go through the base for each of its passages, no statement of its indexing would come to an end.
  const [document] = await knowledge.index(knowledge_id, { content });
  expect(document).toMatchObject({ status: 'indexed', failure: null });
  expect(document!.chunks).toBeGreaterThanOrEqual(600);
  // The same text once more is not embedded again.
  expect(await knowledge.index(knowledge_id, { content, name: 'again.txt' })).toMatchObject([{ status: 'indexed' }]);
});

test('the files of an account that is deleted while they come are nowhere', async () => {
  const user = await orchflow.register();
  const { knowledge_id } = await makeBase(user);
  const { account_id } = await orchflow.db
    .selectFrom('knowledge_bases')
    .select('account_id')
    .where('knowledge_id', '=', knowledge_id)
    .executeTakeFirstOrThrow();
  const listed = async () => {
    const folder = orchflow.env.FILES_DIR!;
    const names = await Promise.all(['stored', 'incoming'].map((name) => readdir(path.join(folder, name))));
    return names.flat();
  };
  const before = await listed();
  const { body, headers } = formOf(filePart('One.', 'gone-1.txt', 'files'), filePart('Two.', 'gone-2.txt', 'files'));
  const url = `${orchflow.url}/v1/knowledge/${knowledge_id}/upload`;
  const sent = request(url, { method: 'POST', headers: { ...headers, 'x-api-key': user.api_key } });
  const answered = new Promise<number | undefined>((resolve, reject) => {
    sent.on('response', (response) => resolve(response.resume().statusCode)).on('error', reject);
  });
  const half = body.indexOf('gone-2.txt');
  sent.write(body.slice(0, half));
  await until(async () => (await listed()).length === before.length + 1, 'the first file has come');
  await deleteAccount(orchflow.db, account_id);
  sent.end(body.slice(half));
  expect(await answered).toBe(401);
  expect(await listed()).toEqual(before);
  expect(
    await orchflow.db.selectFrom('files').select('file_id').where('name', 'in', ['gone-1.txt', 'gone-2.txt']).execute(),
  ).toEqual([]);
});
