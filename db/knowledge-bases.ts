import { sql } from 'kysely';
import { deleteDocumentsOf } from './documents.ts';
import type { Db } from './index.ts';
import { indexAgain, isIndexing } from './indexings.ts';
import { holdAccount, withinLimit } from './limits.ts';
import { byTime, onPage, type Page } from './pages.ts';
import type { KnowledgeBase } from './schema.ts';

const viewColumns = [
  'knowledge_bases.knowledge_id',
  'name',
  'description',
  'provider_id',
  'embedding_model',
  'dimensions',
  'version',
  'knowledge_bases.created_at',
  'updated_at',
] as const;

/** A base as its account reads it, with how much is in it. */
export type KnowledgeBaseView = Pick<
  KnowledgeBase,
  | 'knowledge_id'
  | 'name'
  | 'description'
  | 'provider_id'
  | 'embedding_model'
  | 'dimensions'
  | 'version'
  | 'created_at'
  | 'updated_at'
> & { documents: number; documents_indexed: number; chunks: number; usage: EmbeddingUsage };

/** All calls of its models, also those whose journal is gone by their age, or with the run that searched. */
export type EmbeddingUsage = { llm_calls: number; input_tokens: number; cost_usd: number };

function ownBases(db: Db, account_id: string) {
  return db
    .selectFrom('knowledge_bases')
    .innerJoinLateral(
      (eb) =>
        eb
          .selectFrom('documents')
          .whereRef('documents.knowledge_id', '=', 'knowledge_bases.knowledge_id')
          .select([
            sql<number>`count(*)::integer`.as('documents'),
            sql<number>`(count(*) filter (where status = 'indexed'))::integer`.as('documents_indexed'),
            sql<number>`coalesce(sum(chunks), 0)::integer`.as('chunks'),
          ])
          .as('held'),
      (join) => join.onTrue(),
    )
    .innerJoin('knowledge_usage', 'knowledge_usage.knowledge_id', 'knowledge_bases.knowledge_id')
    .select(viewColumns)
    .select(['held.documents', 'held.documents_indexed', 'held.chunks'])
    .select(
      sql<EmbeddingUsage>`json_build_object('llm_calls', llm_calls, 'input_tokens', input_tokens, 'cost_usd', cost_usd)`.as(
        'usage',
      ),
    )
    .where('account_id', '=', account_id);
}

export type NewKnowledgeBase = Pick<
  KnowledgeBase,
  'knowledge_id' | 'account_id' | 'name' | 'description' | 'provider_id' | 'embedding_model' | 'dimensions'
>;

/**
 * Makes a base. One of this id that is there already comes from the first try of the request. Throws `LimitReached` when the
 * account has `most` others.
 */
export function insertKnowledgeBase(db: Db, base: NewKnowledgeBase, most: number): Promise<KnowledgeBaseView> {
  const { account_id, knowledge_id } = base;
  const others = sql<{ count: number }>`
    select count(*) from knowledge_bases where account_id = ${account_id} and knowledge_id <> ${knowledge_id}`;
  return withinLimit(db, account_id, { what: 'knowledge bases', most, others }, async (trx) => {
    await trx
      .insertInto('knowledge_bases')
      .values(base)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return (await findKnowledgeBase(trx, account_id, knowledge_id))!;
  });
}

/** A page of the account's bases; with a `name` those of this name, whatever its case. */
export function listKnowledgeBases(
  db: Db,
  account_id: string,
  { name, ...page }: Page & { name?: string | undefined },
): Promise<KnowledgeBaseView[]> {
  const bases = ownBases(db, account_id).$if(name !== undefined, (query) =>
    query.where(sql<boolean>`lower(knowledge_bases.name) = lower(${name})`),
  );
  return onPage(bases, byTime('knowledge_bases.created_at', 'knowledge_bases.knowledge_id'), page).execute();
}

/** Undefined when the account has none of this id. */
export function findKnowledgeBase(
  db: Db,
  account_id: string,
  knowledge_id: string,
): Promise<KnowledgeBaseView | undefined> {
  return ownBases(db, account_id).where('knowledge_bases.knowledge_id', '=', knowledge_id).executeTakeFirst();
}

/** Those of these ids that the account has. */
export async function listKnownBases(db: Db, account_id: string, knowledge_ids: string[]): Promise<string[]> {
  if (knowledge_ids.length === 0) return [];
  const rows = await db
    .selectFrom('knowledge_bases')
    .select('knowledge_id')
    .where('account_id', '=', account_id)
    .where('knowledge_id', 'in', knowledge_ids)
    .execute();
  return rows.map(({ knowledge_id }) => knowledge_id);
}

/** Another model of the embeddings; `dimensions` is null until it has answered. */
export type EmbeddingChange = Pick<KnowledgeBase, 'provider_id' | 'embedding_model' | 'dimensions'>;

export type KnowledgeBaseChange = Partial<Pick<KnowledgeBase, 'name' | 'description'>> & {
  embedding?: EmbeddingChange;
};

/**
 * Changes a base. With another embedding, all of its documents are indexed anew: those that were found go on to be found,
 * by their words alone until they are embedded. Undefined when the account has none of this id; `changed` when its version is
 * none of these `versions`, where there are any; `indexing` when another embedding would begin anew what has not ended yet.
 */
export function updateKnowledgeBase(
  db: Db,
  account_id: string,
  knowledge_id: string,
  { embedding, ...change }: KnowledgeBaseChange,
  versions?: string[],
): Promise<KnowledgeBaseView | 'changed' | 'indexing' | undefined> {
  return db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id);
    const before = await trx
      .selectFrom('knowledge_bases')
      .select(['provider_id', 'embedding_model', 'dimensions', 'version'])
      .where('account_id', '=', account_id)
      .where('knowledge_id', '=', knowledge_id)
      .forUpdate()
      .executeTakeFirst();
    if (!before) return undefined;
    if (versions && !versions.includes(String(before.version))) return 'changed';
    const isOther = embedding !== undefined && !isSameEmbedding(before, embedding);
    if (isOther && (await isIndexing(trx, knowledge_id))) return 'indexing';
    if (Object.keys(change).length > 0 || isOther) {
      await trx
        .updateTable('knowledge_bases')
        .set({ ...change, updated_at: sql<string>`now()`, version: sql`version + 1` })
        .$if(isOther, (query) => query.set({ ...embedding, embedding_version: sql`embedding_version + 1` }))
        .where('knowledge_id', '=', knowledge_id)
        .execute();
    }
    if (isOther) await indexAgain(trx, knowledge_id);
    return findKnowledgeBase(trx, account_id, knowledge_id);
  });
}

/** Dimensions that are not asked for are those that the model has. */
function isSameEmbedding(before: EmbeddingChange, wanted: EmbeddingChange): boolean {
  return (
    before.provider_id === wanted.provider_id &&
    before.embedding_model === wanted.embedding_model &&
    (wanted.dimensions === null || before.dimensions === wanted.dimensions)
  );
}

/**
 * Deletes a base with its documents, whose indexing ends, and their files. Returns the ids of these, which the store is to
 * forget; undefined when the account has no such base.
 */
export function deleteKnowledgeBase(db: Db, account_id: string, knowledge_id: string): Promise<string[] | undefined> {
  return db.transaction().execute(async (trx) => {
    const base = await trx
      .selectFrom('knowledge_bases')
      .select('knowledge_id')
      .where('account_id', '=', account_id)
      .where('knowledge_id', '=', knowledge_id)
      .forUpdate()
      .executeTakeFirst();
    if (!base) return undefined;
    const file_ids = await deleteDocumentsOf(trx, { knowledge_id });
    await trx.deleteFrom('knowledge_bases').where('knowledge_id', '=', knowledge_id).execute();
    return file_ids;
  });
}

/** What searching and embedding need of a base. */
export type SearchedBase = Pick<
  KnowledgeBase,
  'knowledge_id' | 'account_id' | 'name' | 'provider_id' | 'embedding_model' | 'dimensions' | 'embedding_version'
> & { has_pgvector: boolean };

/** Those of these bases that the account has, and whether the server has pgvector for them. */
export async function listSearchedBases(db: Db, account_id: string, knowledge_ids: string[]): Promise<SearchedBase[]> {
  if (knowledge_ids.length === 0) return [];
  return db
    .selectFrom('knowledge_bases')
    .select(['knowledge_id', 'account_id', 'name', 'provider_id', 'embedding_model', 'dimensions', 'embedding_version'])
    .select(sql<boolean>`has_pgvector()`.as('has_pgvector'))
    .where('account_id', '=', account_id)
    .where('knowledge_id', 'in', knowledge_ids)
    .execute();
}

/** Notes how many dimensions a model has that had not answered before. Returns those that stand. */
export async function setDimensions(
  db: Db,
  { knowledge_id, embedding_version }: Pick<KnowledgeBase, 'knowledge_id' | 'embedding_version'>,
  dimensions: number,
): Promise<number | undefined> {
  const row = await db
    .updateTable('knowledge_bases')
    .set({ dimensions: sql`coalesce(dimensions, ${dimensions})` })
    .where('knowledge_id', '=', knowledge_id)
    .where('embedding_version', '=', embedding_version)
    .returning('dimensions')
    .executeTakeFirst();
  return row?.dimensions ?? undefined;
}
