import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { comparedWhole } from '../../db/chunk-search.ts';
import { saveEmbeddings } from '../../db/chunks.ts';
import { createDb } from '../../db/index.ts';
import { migrateToLatest } from '../../db/migrate.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { hashVector } from '../../src/knowledge/hash-embedder.ts';
import { knowledgeOf } from '../harness/knowledge.ts';
import { startOrchflow } from '../harness/orchflow.ts';
import { findPgvector } from '../harness/pgvector.ts';

/** The same answers with pgvector and without. */

const settings = await findPgvector();
const aardvark = 'an aardvark in the attic';

const documents: [name: string, content: string][] = [
  ['returns.md', '# Returns\nGoods may be returned within thirty days of delivery, at our cost.'],
  ['shipping.md', '# Shipping\nOrders leave the warehouse on weekdays before noon, and come within two days.'],
  ['prices.md', '# Prices\nThe plan Pro costs twenty-five euros a month; Enterprise by agreement.'],
  ['support.md', '# Support\nWe answer within a day. Who has the plan Enterprise may call at night.'],
];
const queries = ['How long may I return goods?', 'delivery time', 'What does Pro cost?', 'call at night', 'zebra'];

test.skipIf(!settings)('with pgvector, with its index, and without it', { timeout: 300_000 }, async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'orchflow-pgvector-test-'));
  const postgres = await startPostgres({
    dataDir: path.join(dir, 'postgres'),
    report: () => {},
    settings: { fsync: 'off', ...settings },
  });
  try {
    const db = createDb(postgres.url, 4, { statement_timeout: 0 });
    await migrateToLatest(db);
    const { rows: indexes } = await sql<{ name: string }>`
      select indexname as name from pg_indexes where indexname like 'chunks_nearest_%'`.execute(db);
    expect(indexes).toContainEqual({ name: 'chunks_nearest_384' });
    // One that was broken off is made anew; of the others, as with every release, nothing is made twice.
    const broken = sql`update pg_index set indisvalid = false where indexrelid = to_regclass('chunks_nearest_384')`;
    await broken.execute(db);
    await Promise.all([migrateToLatest(db), migrateToLatest(db)]);
    const { rows: valid } = await sql`
      select from pg_index where indexrelid = to_regclass('chunks_nearest_384') and indisvalid`.execute(db);
    expect(valid).toHaveLength(1);
    // Too old, or where no name is looked for: it is left unused.
    for (const [given, taken] of [
      [
        sql`update pg_extension set extversion = '0.7.4' where extname = 'vector'`,
        sql`update pg_extension set extversion = '0.8.1' where extname = 'vector'`,
      ],
      [
        sql`create schema elsewhere; alter extension vector set schema elsewhere`,
        sql`alter extension vector set schema public`,
      ],
    ] as const) {
      await given.execute(db);
      expect((await sql`select use_pgvector() as used`.execute(db)).rows).toEqual([{ used: false }]);
      await taken.execute(db);
      expect((await sql`select use_pgvector() as used`.execute(db)).rows).toEqual([{ used: true }]);
    }

    const orchflow = await startOrchflow({ environment: { DATABASE_URL: postgres.url } });
    const knowledge = knowledgeOf(orchflow.url, await orchflow.register());
    const knowledge_id = await knowledge.create();
    await knowledge.index(knowledge_id, ...documents.map(([name, content]) => ({ name, content })));
    const searchAll = async () => {
      const all = [];
      for (const query of queries) {
        const { results } = await knowledge.search(knowledge_id, query);
        all.push(results.map((found) => ({ ...found, similarity: Number(found.similarity!.toFixed(4)) })));
      }
      return all as Record<string, any>[][];
    };
    const withIt = await searchAll();
    expect(withIt.map(([first]) => first!.document)).toEqual([
      'returns.md',
      expect.any(String),
      'prices.md',
      'support.md',
      expect.any(String),
    ]);

    // As if there were so many that neighbours are looked for by the index: random ones, and one that is exactly what is looked for.
    const document_id = (await knowledge.index(knowledge_id, { content: 'Many.', name: 'many.txt' }))[0]!.document_id;
    await sql`
      insert into chunks (document_id, position, knowledge_id, text, sha256, search)
      select ${document_id}, 1 + n, ${knowledge_id}, 'Noise.', n::text, '' from generate_series(1, 500) as n`.execute(
      db,
    );
    const noise = Array.from({ length: 500 }, (_, n) => ({
      position: n + 2,
      embedding: unit(n === 469 ? hashVector(aardvark) : Float32Array.from({ length: 384 }, () => Math.random() - 0.5)),
    }));
    await saveEmbeddings(db, { document_id, knowledge_id, embedding_version: 1 }, noise);
    await sql`update documents set chunks = ${comparedWhole + 1}, chunks_done = ${comparedWhole + 1}
      where document_id = ${document_id}`.execute(db);
    const nearest = async () => (await knowledge.search(knowledge_id, aardvark, { limit: 1 })).results[0];
    const byIndex = await nearest();
    expect(byIndex).toMatchObject({ document: 'many.txt', position: 471, vector_rank: 1 });
    expect(byIndex!.similarity).toBeCloseTo(1, 4);

    await sql`drop extension vector cascade`.execute(db);
    expect(await nearest()).toMatchObject({ document: 'many.txt', position: 471, vector_rank: 1 });
    await knowledge.call('DELETE', `/${knowledge_id}/documents/${document_id}`);
    expect(await searchAll()).toEqual(withIt);
    await orchflow.stop();
    await db.destroy();
  } finally {
    await postgres.stop();
    await rm(dir, { recursive: true, force: true });
  }
});

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
