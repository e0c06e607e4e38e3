import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { knowledgeOf, type KnowledgeClient } from '../harness/knowledge.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { pdfOf } from '../harness/pdf.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { countRows } from '../harness/rows.ts';
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
    {
      id: expect.stringMatching(/^msg_/),
      type: 'knowledge.indexed',
      timestamp: expect.any(String),
      data: {
        knowledge_id,
        document_id: document!.document_id,
        name: 'handbook.pdf',
        status: 'indexed',
        pages: 2,
        chunks: 2,
        reason: null,
      },
    },
  ]);
  const { body } = await knowledge.call('GET', `/${knowledge_id}`);
  expect(body).toMatchObject({
    documents: 1,
    documents_indexed: 1,
    chunks: 2,
    embedding: { model: 'hash-384', provider_id: null, dimensions: 384, is_semantic: false },
  });
});

test.for([
  ['256', 1],
  ['0', 4],
] as const)('searches share what they read of a base, with a cache of %s MiB', async ([KNOWLEDGE_CACHE_MB, most]) => {
  const other = await startOrchflow({ environment: { KNOWLEDGE_CACHE_MB } });
  try {
    const own = knowledgeOf(other.url, await other.register());
    const knowledge_id = await own.create();
    const same = ['b', 'a', 'c'].map((name) => ({ name: `${name}.txt`, content: 'An aardvark in the attic.' }));
    const documents = await own.index(knowledge_id, ...same, { content: 'Orders leave the warehouse before noon.' });
    const queries = vi.spyOn(other.db.getExecutor(), 'executeQuery');
    const answers = await Promise.all(Array.from({ length: 4 }, () => own.search(knowledge_id, 'aardvark attic')));
    const reads = queries.mock.calls.filter(([query]) => (query as { sql: string }).sql.includes('floats'));
    expect(reads.length).toBeGreaterThan(0);
    expect(reads.length).toBeLessThanOrEqual(most);
    // Those that are as near stand in the order of their ids, by whichever way they are found.
    const ids = documents.slice(0, 3).map(({ document_id }) => document_id);
    for (const { results } of answers) {
      const found = results.filter(({ document_id }) => ids.includes(document_id));
      expect(found.map(({ document_id }) => document_id)).toEqual(ids.toSorted());
      expect(found.map(({ vector_rank }) => vector_rank)).toEqual([1, 2, 3]);
    }
  } finally {
    await other.stop();
  }
});

test('several files come at once, and one that is of no kind that is read takes all with it', async () => {
  const knowledge_id = await knowledge.create();
  const files = [
    { content: 'Goods may be returned.', name: 'a.txt' },
    { content: '# Orders\nThey leave on weekdays.', name: '../b.md' },
  ];
  const documents = await knowledge.index(knowledge_id, ...files);
  expect(documents.map(({ name, status }) => [name, status])).toEqual([
    ['a.txt', 'indexed'],
    ['b.md', 'indexed'],
  ]);
  for (const [field, wrong] of [
    ['files', { content: 'x', name: 'picture.png', type: 'image/png' }],
    ['other', { content: 'x' }],
    ['files', { content: 'x', name: '' }],
  ] as const) {
    const answer = await knowledge.upload(knowledge_id, [...(field === 'files' ? files : []), wrong], {}, field);
    expectFault(answer, `/${field}`);
  }
  expectFault(
    await knowledge.upload(
      knowledge_id,
      Array.from({ length: 11 }, () => files[0]!),
    ),
    '/files',
  );
  expectFault(await knowledge.upload(knowledge_id, []), '/files');
  const { body } = await knowledge.call('GET', `/${knowledge_id}/documents?sort=created_at&fields=name&limit=1`);
  expect(body).toEqual({
    documents: [{ document_id: documents[0]!.document_id, name: 'a.txt' }],
    has_more: true,
    next_cursor: expect.any(String),
  });
  const next = await knowledge.call('GET', `/${knowledge_id}/documents?sort=created_at&cursor=${body.next_cursor}`);
  expect(next.body.documents).toMatchObject([{ name: 'b.md' }]);
  expect((await knowledge.call('GET', `/${knowledge_id}/documents?status=failed`)).body.documents).toEqual([]);
});

test('an upload that is made again adds nothing; with other files its key is refused', async () => {
  const knowledge_id = await knowledge.create();
  const key = { 'idempotency-key': 'once' };
  const files = [
    { content: 'One.', name: '1.txt' },
    { content: 'Two.', name: '2.txt' },
  ];
  const first = await knowledge.upload(knowledge_id, files, key);
  const again = await knowledge.upload(knowledge_id, files, key);
  const ids = ({ body }: typeof first) => body.documents.map((one: { document_id: string }) => one.document_id);
  expect(ids(again)).toEqual(ids(first));
  expectProblem(await knowledge.upload(knowledge_id, files.toReversed(), key), {
    status: 422,
    code: 'FILE_REQUEST_REUSED',
  });
  // What is deleted since makes no other files of it, and does not come back.
  await knowledge.call('DELETE', `/${knowledge_id}/documents/${ids(first)[0]}`);
  expect(ids(await knowledge.upload(knowledge_id, files, key))).toEqual(ids(first).slice(1));
  const stored = await orchflow.db
    .selectFrom('files')
    .select('status')
    .where('name', 'in', ['1.txt', '2.txt'])
    .execute();
  expect(stored).toEqual([{ status: 'stored' }]);
});

test('who has more than there may be is told how many, and nothing of it is kept', async () => {
  const small = await startOrchflow({
    worker: false,
    environment: { MAX_KNOWLEDGE_BASES_PER_ACCOUNT: '1', MAX_DOCUMENTS_PER_KNOWLEDGE_BASE: '2' },
  });
  try {
    const own = knowledgeOf(small.url, await small.register());
    const knowledge_id = await own.create();
    expectProblem(await own.call('POST', '', { name: 'Another' }), {
      status: 429,
      code: 'LIMIT_REACHED',
      detail: 'This account has 1 knowledge bases, and may have no more. Delete one.',
    });
    expect((await own.upload(knowledge_id, [{ content: 'One.' }])).status).toBe(201);
    expectProblem(await own.upload(knowledge_id, [{ content: 'Two.' }, { content: 'Three.' }]), {
      status: 429,
      code: 'LIMIT_REACHED',
      detail: 'A knowledge base may have 2 documents; this one has 1, and there is no room for 2 more. Delete some.',
    });
    expectProblem(await own.upload(knowledge_id, [{ content: new Uint8Array(25 * 1024 * 1024 + 1) }]), {
      status: 413,
      code: 'FILE_TOO_LARGE',
    });
    const { body } = await own.call('GET', `/${knowledge_id}/documents`);
    expect(body.documents).toMatchObject([{ status: 'pending' }]);
    // Not until all have come: of three the second is one too many, and the third is too large.
    const many = [{ content: 'Two.' }, { content: 'Three.' }, { content: new Uint8Array(25 * 1024 * 1024 + 1) }];
    expectProblem(await own.upload(knowledge_id, many), { status: 429, code: 'LIMIT_REACHED' });
    await until(async () => (await countRows(small.db)).files === 1, 'only the file that was taken is there');
  } finally {
    await small.stop();
  }
});

test('a document whose file is gone before it is read has failed, and says so', async () => {
  const other = await startOrchflow({ worker: false });
  try {
    const own = knowledgeOf(other.url, await other.register());
    const knowledge_id = await own.create();
    const { body } = await own.upload(knowledge_id, [{ content: 'One.' }]);
    const { document_id, file_id } = body.documents[0];
    await rm(path.join(other.env.FILES_DIR!, 'stored', file_id));
    await other.startWorker();
    const document = await own.untilDone(knowledge_id, document_id);
    expect(document).toMatchObject({ status: 'failed', failure: 'Its file was deleted before it was read.' });
  } finally {
    await other.stop();
  }
});

test('a base is changed by who has seen it last', async () => {
  const created = await knowledge.call('POST', '', { name: 'Handbook', description: 'Old.' });
  const { knowledge_id } = created.body;
  const change = (body: object, etag: string) =>
    knowledge.call('PATCH', `/${knowledge_id}`, body, { 'if-match': etag });
  const first = created.headers.get('etag')!;
  const changed = await change({ description: null }, first);
  expect(changed.body).toMatchObject({ name: 'Handbook', description: null });
  expectProblem(await change({ name: 'Lost' }, first), { status: 412, code: 'PRECONDITION_FAILED' });
  expect((await change({ name: 'Rules' }, changed.headers.get('etag')!)).body.name).toBe('Rules');
  expect((await knowledge.call('GET', '?name=RULES&fields=name')).body.knowledge).toEqual([
    { knowledge_id, name: 'Rules' },
  ]);
});
