import { sql } from 'kysely';
import type { Definition } from '../workflows/contract/definition.ts';
import type { Db } from './index.ts';
import { withinLimit } from './limits.ts';
import { byTime, onPage, type Page } from './pages.ts';

export type StoredOrchestration = {
  id: string;
  hash: string;
  definition: Definition;
  created_at: string;
  updated_at: string;
};

function ownOrchestrations(db: Db, account_id: string) {
  return db
    .selectFrom('orchestrations')
    .innerJoin('definitions', 'definitions.hash', 'orchestrations.hash')
    .select(['id', 'orchestrations.hash', 'definition', 'created_at', 'updated_at'])
    .where('account_id', '=', account_id);
}

const summary = [
  'id',
  // Definitions of 0.1.0 may hold what is no text to Postgres, elsewhere: `->>` would look at all of them.
  sql<string>`(definition -> 'name') #>> '{}'`.as('name'),
  sql<string>`(definition -> 'description') #>> '{}'`.as('description'),
] as const;

/** The account's own orchestrations, by id; `steps` is how many each has. The definitions stay where they are. */
export function listOrchestrations(
  db: Db,
  account_id: string,
): Promise<{ id: string; name: string; description: string; steps: number }[]> {
  return db
    .selectFrom('orchestrations')
    .innerJoin('definitions', 'definitions.hash', 'orchestrations.hash')
    .select([...summary, sql<number>`json_array_length(definition -> 'steps')`.as('steps')])
    .where('account_id', '=', account_id)
    .orderBy('id')
    .execute();
}

export type OrchestrationItem = {
  id: string;
  name: string;
  description: string;
  step_count: number;
  created_at: string;
  updated_at: string;
};

/** A page of the account's own orchestrations: those that were made in this time, by when they were made or changed last. */
export function listOrchestrationPage(
  db: Db,
  account_id: string,
  { created_after, created_before }: { created_after?: string; created_before?: string },
  { by, ...page }: Page & { by: 'created_at' | 'updated_at' },
): Promise<OrchestrationItem[]> {
  const orchestrations = db
    .selectFrom('orchestrations')
    .innerJoin('definitions', 'definitions.hash', 'orchestrations.hash')
    .select([...summary, sql<number>`json_array_length(definition -> 'steps')`.as('step_count')])
    .select(['created_at', 'updated_at'])
    .where('account_id', '=', account_id)
    .$if(created_after !== undefined, (query) => query.where('created_at', '>=', created_after!))
    .$if(created_before !== undefined, (query) => query.where('created_at', '<', created_before!));
  return onPage(orchestrations, byTime(by, 'id'), page).execute();
}

export function findOrchestration(db: Db, account_id: string, id: string): Promise<StoredOrchestration | undefined> {
  return ownOrchestrations(db, account_id).where('id', '=', id).executeTakeFirst();
}

/** The definition of this hash. Throws when there is none. */
export async function findDefinition(db: Db, hash: string): Promise<Definition> {
  const { definition } = await db
    .selectFrom('definitions')
    .select('definition')
    .where('hash', '=', hash)
    .executeTakeFirstOrThrow();
  return definition;
}

/** Keeps a definition under the hash of its content, while a run or an orchestration refers to it, and for an hour at least. */
export async function keepDefinition(db: Db, hash: string, definition: Definition): Promise<void> {
  await db
    .insertInto('definitions')
    .values({ hash, definition: JSON.stringify(definition) })
    .onConflict((conflict) =>
      conflict
        .column('hash')
        .doUpdateSet({ kept_at: sql`now()` })
        .where('definitions.kept_at', '<', sql<string>`now() - interval '10 minutes'`),
    )
    .execute();
}

/** Forgets the definitions that nothing refers to, and that nobody is about to refer to; 1,000 in a statement. */
export async function deleteUnusedDefinitions(db: Db): Promise<void> {
  const most = 1_000;
  for (let deleted = most; deleted === most;) {
    const { numAffectedRows = 0n } = await sql`
      delete from definitions where kept_at < now() - interval '1 hour' and hash in (
        select hash from definitions
        where kept_at < now() - interval '1 hour'
          and not exists (select from runs where definition_hash = definitions.hash)
          and not exists (select from orchestrations where orchestrations.hash = definitions.hash)
        limit ${most})`.execute(db);
    deleted = Number(numAffectedRows);
  }
}

/**
 * Returns false when the account has one of this id; nothing changes then. Throws `LimitReached` when it has `most`
 * others.
 */
export function insertOrchestration(
  db: Db,
  { hash, definition, ...orchestration }: { account_id: string; id: string; hash: string; definition: Definition },
  most: number,
): Promise<boolean> {
  const { account_id, id } = orchestration;
  const others = sql<{ count: number }>`
    select count(*) from orchestrations where account_id = ${account_id} and id <> ${id}`;
  return withinLimit(db, account_id, { what: 'orchestrations', most, others }, async (trx) => {
    await keepDefinition(trx, hash, definition);
    const inserted = await trx
      .insertInto('orchestrations')
      .values({ ...orchestration, hash })
      .onConflict((conflict) => conflict.doNothing())
      .returning('id')
      .executeTakeFirst();
    return inserted !== undefined;
  });
}

/**
 * Replaces the definition, if `before` is given the one of this hash only; runs under way keep theirs. Returns false when the
 * account has none of this id, or has another.
 */
export async function updateOrchestration(
  db: Db,
  { account_id, id, hash, definition }: { account_id: string; id: string; hash: string; definition: Definition },
  before?: string,
): Promise<boolean> {
  await keepDefinition(db, hash, definition);
  const { numUpdatedRows } = await db
    .updateTable('orchestrations')
    .set({ hash, updated_at: sql<string>`now()` })
    .where('account_id', '=', account_id)
    .where('id', '=', id)
    .$if(before !== undefined, (query) => query.where('hash', '=', before!))
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Returns false when the account has none of this id. */
export async function deleteOrchestration(db: Db, account_id: string, id: string): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('orchestrations')
    .where('account_id', '=', account_id)
    .where('id', '=', id)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}
