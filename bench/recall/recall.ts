import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { replaceChunks, saveEmbeddings, takeUnembedded, type NewChunk } from '../../db/chunks.ts';
import { createDb, type Db } from '../../db/index.ts';
import { insertKnowledgeBase } from '../../db/knowledge-bases.ts';
import { migrateToLatest } from '../../db/migrate.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { extract } from '../../src/extraction/index.ts';
import { hashDimensions, hashModel } from '../../src/knowledge/hash-embedder.ts';
import { embed } from '../../src/knowledge/embed.ts';
import { searchKnowledge, type SearchDeps, type Ways } from '../../src/knowledge/search.ts';
import { createVectorCache } from '../../src/knowledge/vectors.ts';

/**
 * `node bench/recall/recall.ts [--misses]`: how often one of the first five passages answers a question, by words, by hashed words and by both.
 * The documents are those of `docs/`; each question names the one that answers it, and a text that the passage must have.
 */

type Question = { question: string; document: string; says: string };

const root = path.join(import.meta.dirname, '../..');
const account_id = 'acc_recall';
const knowledge_id = 'kb_recall';
const most = 5;
const signal = new AbortController().signal;

async function addDocument(db: Db, name: string): Promise<number> {
  const bytes = new Uint8Array(await readFile(path.join(root, 'docs', name)));
  const chunks: NewChunk[] = [];
  const unread = { format: 'markdown' as const, readBytes: () => Promise.resolve(bytes) };
  await extract(account_id, unread, (told) => void chunks.push(...told.chunks), signal);
  const document_id = `doc_${name.replace(/\W/, '_')}`;
  const row = { document_id, account_id, knowledge_id, name, file_id: '', media_type: '', size: 0, sha256: '' };
  await db
    .insertInto('documents')
    .values({ ...row, indexed_at: new Date().toISOString() })
    .execute();
  await replaceChunks(db, { document_id, attempt: 1 }, knowledge_id, { chunks, pages: null, most: Infinity });
  const base = { knowledge_id, account_id, provider_id: null, embedding_model: hashModel, dimensions: hashDimensions };
  const { chunks: left } = await takeUnembedded(db, { document_id, knowledge_id, embedding_version: 1 }, chunks.length);
  const texts = left.map(({ heading, text }) => (heading ? `${heading}\n${text}` : text));
  const { vectors } = await embed(depsOf(db), base, { texts, role: 'passage' }, { signal, timeout_ms: 1_000 });
  const rows = left.map(({ position }, index) => ({ position, embedding: vectors[index]! }));
  await saveEmbeddings(db, { document_id, knowledge_id, embedding_version: 1 }, rows);
  await db
    .updateTable('documents')
    .set({ chunks_done: chunks.length })
    .where('document_id', '=', document_id)
    .execute();
  return chunks.length;
}

const vectors = createVectorCache(64 * 1024 * 1024);
function depsOf(db: Db): SearchDeps {
  return { db, vectors, fetch, encryptionKey: [] };
}

async function isFound(db: Db, { question, document, says }: Question, ways: Ways): Promise<boolean> {
  const asked = { query: question, limit: most, ways };
  const { results } = await searchKnowledge(depsOf(db), account_id, [knowledge_id], asked, {
    signal,
    timeout_ms: 1_000,
  });
  const words = (text: string) => text.replaceAll(/\s+/g, ' ');
  return results.some((found) => found.document === document && words(found.text).includes(words(says)));
}

const dir = await mkdtemp(path.join(tmpdir(), 'orchflow-recall-'));
const postgres = await startPostgres({
  dataDir: path.join(dir, 'postgres'),
  report: () => {},
  settings: { fsync: 'off' },
});
const db = createDb(postgres.url, 5);
try {
  await migrateToLatest(db);
  await db
    .insertInto('accounts')
    .values({ account_id, name: 'Recall', email: 'r@example.com', webhook_secret_encrypted: '' })
    .execute();
  const base = { knowledge_id, account_id, name: 'Docs', description: null, provider_id: null };
  await insertKnowledgeBase(db, { ...base, embedding_model: hashModel, dimensions: hashDimensions }, 1);
  // What this very measure writes down is no answer.
  const names = (await readdir(path.join(root, 'docs'))).filter(
    (name) => name.endsWith('.md') && !/^(knowledge|orchstack)/.test(name),
  );
  let chunks = 0;
  for (const name of names) chunks += await addDocument(db, name);
  const questions: Question[] = JSON.parse(await readFile(path.join(import.meta.dirname, 'questions.json'), 'utf8'));
  console.log(`${questions.length} questions over ${chunks} passages of ${names.length} documents, recall@${most}:`);
  for (const ways of ['text', 'vectors', 'both'] as const) {
    const found: boolean[] = [];
    for (const question of questions) found.push(await isFound(db, question, ways));
    const count = found.filter(Boolean).length;
    console.log(`${ways.padEnd(8)} ${(count / questions.length).toFixed(2)}  (${count} of ${questions.length})`);
    if (!process.argv.includes('--misses')) continue;
    for (const [index, isThere] of found.entries())
      if (!isThere) console.log(`  missed: ${questions[index]!.question}`);
  }
} finally {
  await db.destroy();
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
}
