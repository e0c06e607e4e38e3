import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { createDb } from '../../db/index.ts';
import { migrateToLatest } from '../../db/migrate.ts';
import { makeNearestIndexes } from '../../db/nearest-indexes.ts';
import { choosePort } from '../../src/embedded/ports.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { hashDimensions } from '../../src/knowledge/hash-embedder.ts';
import { register, until } from '../../test/harness/client.ts';
import { knowledgeOf } from '../../test/harness/knowledge.ts';
import { pdfOf } from '../../test/harness/pdf.ts';
import { findPgvector } from '../../test/harness/pgvector.ts';
import { commandOf, residentMemory } from '../processes.ts';
import type { Servers } from '../servers.ts';
import { makeRow, mib, ms, percentile, seconds, type Row } from '../table.ts';

const passages = 100_000;
const perDocument = 1_000;
const searches = 200;
const pages = 300;

/** Where is searched. */
type Target = { url: string; user: Awaited<ReturnType<typeof register>>; database: string };

/** Searches in a hundred thousand passages, without pgvector and with it; and a PDF of three hundred pages that is indexed. */
export async function knowledge(servers: Servers): Promise<Row[]> {
  const rows = await indexing(servers);
  const { env } = await commandOf(servers.processes.api);
  rows.push(...(await searching({ ...servers, database: env.DATABASE_URL! }, 'in memory', 400)));
  const settings = await findPgvector();
  return settings ? [...rows, ...(await withPgvector(servers, settings))] : rows;
}

/** The same API on another PostgreSQL; what starts with `npm start` has no pgvector. */
async function withPgvector({ processes }: Servers, settings: Record<string, string>): Promise<Row[]> {
  const dir = await mkdtemp(path.join(tmpdir(), 'orchflow-bench-pgvector-'));
  const postgres = await startPostgres({ dataDir: path.join(dir, 'postgres'), report: () => {}, settings });
  const db = createDb(postgres.url, 1, { statement_timeout: 0 });
  await migrateToLatest(db).finally(() => db.destroy());
  const { command, env } = await commandOf(processes.api);
  const [program, ...args] = command;
  const PORT = String(await choosePort());
  const api = spawn(program!, args, { env: { ...env, DATABASE_URL: postgres.url, PORT }, stdio: 'ignore' });
  process.once('exit', () => api.kill('SIGKILL'));
  try {
    const url = `http://127.0.0.1:${PORT}`;
    await until(
      () =>
        fetch(`${url}/health`)
          .then(({ ok }) => ok)
          .catch(() => false),
      'the API answers',
    );
    return await searching({ url, user: await register(url), database: postgres.url }, 'by pgvector', 150);
  } finally {
    await new Promise<void>((resolve) => api.once('exit', () => resolve()).kill());
    await postgres.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

async function indexing({ url, user, processes }: Servers): Promise<Row[]> {
  const own = knowledgeOf(url, user);
  const knowledge_id = await own.create();
  // What a worker has loaded once, it has: the first document is not counted.
  await own.index(knowledge_id, { content: pdfOf([['Warm.']]), name: 'warm.pdf' });
  const sentence = (page: number, line: number) =>
    `Page ${page}, line ${line}: item ${page * 97 + line * 31} costs ${line} euros a month.`;
  const content = pdfOf(
    Array.from({ length: pages }, (_, page) => Array.from({ length: 48 }, (__, line) => sentence(page, line))),
  );
  const before = await residentMemory(processes.worker);
  let most = before;
  const looking = setInterval(
    () => void residentMemory(processes.worker).then((bytes) => (most = Math.max(most, bytes))),
    100,
  );
  const start = performance.now();
  const [document] = await own.index(knowledge_id, { content, name: 'long.pdf' }).finally(() => clearInterval(looking));
  const took = performance.now() - start;
  if (document!.status !== 'indexed') throw new Error(`It was not indexed: ${document!.failure}`);
  const what = `a PDF of ${pages} pages (${document!.chunks} passages)`;
  return [
    makeRow({ what: `${what}, from upload to indexed`, unit: seconds, bars: [{ most: 20_000 }] }, { now: [[took]] }),
    makeRow(
      { what: `${what}, memory of the worker`, unit: mib, bars: [{ most: 150 * 1024 * 1024 }] },
      { now: [[most - before]] },
    ),
  ];
}

/** Words as they are spread in texts: few of them make most of it. */
const word = sql`'w' || (power(random(), 4) * 20000)::integer`;

async function searching({ url, user, database }: Target, how: string, most: number): Promise<Row[]> {
  const own = knowledgeOf(url, user);
  const knowledge_id = await own.create();
  await fill(database, knowledge_id);
  const took: number[] = [];
  for (let round = 0; round < searches; round += 1) {
    const query = Array.from({ length: 8 }, () => `w${Math.floor(Math.random() ** 4 * 20_000)}`).join(' ');
    const start = performance.now();
    const { results } = await own.search(knowledge_id, query);
    if (results.length === 0) throw new Error('Nothing was found.');
    // The first one reads what the others find in memory.
    if (round > 0) took.push(performance.now() - start);
    else console.error(`  the first search ${how}: ${ms(performance.now() - start)}`);
  }
  const start = performance.now();
  const { status } = await own.call('DELETE', `/${knowledge_id}`);
  console.error(`  such a base is deleted (${status}) in ${ms(performance.now() - start)}`);
  const what = `hybrid search ${how}, ${passages.toLocaleString('en')} passages of ${hashDimensions} dimensions, p95`;
  const of = (samples: number[]) => percentile(samples, 0.95);
  return [makeRow({ what, unit: ms, of, bars: [{ most }] }, { now: [took] })];
}

/** Of words by chance, with vectors by chance: no passage is near another, which is the worst case of an index. */
async function fill(database: string, knowledge_id: string): Promise<void> {
  const db = createDb(database, 1, { statement_timeout: 0 });
  const base = db.selectFrom('knowledge_bases').select('account_id').where('knowledge_id', '=', knowledge_id);
  const { account_id } = await base.executeTakeFirstOrThrow();
  const documents = sql`generate_series(1, ${passages / perDocument}::integer) as n`;
  await sql`set maintenance_work_mem = '512MB'`.execute(db);
  // Made anew at the end, which takes a tenth of the time.
  await sql`drop index if exists chunks_nearest_384`.execute(db);
  await sql`
    insert into documents (
      document_id, account_id, knowledge_id, file_id, name, media_type, size, sha256, status, chunks, chunks_done, indexed_at)
    select ${knowledge_id} || '_' || n, ${account_id}, ${knowledge_id}, '', 'Document ' || n, 'text/plain', 1, '', 'indexed',
      ${perDocument}, ${perDocument}, now()
    from ${documents}`.execute(db);
  await sql`
    insert into chunks (document_id, position, knowledge_id, text, sha256, search, embedding, floats, embedding_version)
    select ${knowledge_id} || '_' || n, k, ${knowledge_id}, words, n || '/' || k,
      array_to_tsvector(array[${knowledge_id}]) || to_tsvector('pg_catalog.english', words), embedding, floats, 1
    from ${documents}, generate_series(1, ${perDocument}::integer) as k,
    lateral (select string_agg(${word}, ' ') as words from generate_series(1, 100) as w where w > 0 * k * n) as said,
    lateral (
      select array_agg(value order by d) as embedding, string_agg(float4send(value), '' order by d) as floats
      from (
        select d, ((random() - 0.5) / 5.65)::real as value from generate_series(1, ${hashDimensions}::integer) as d where d > 0 * k
      ) as numbers
    ) as embedded`.execute(db);
  await makeNearestIndexes(db);
  await sql`vacuum analyze chunks, documents`.execute(db);
  await db.destroy();
}
