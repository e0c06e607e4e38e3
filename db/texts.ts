import { sql, type Insertable, type Kysely } from 'kysely';
import type { Database } from './schema.ts';
import type { Db } from './index.ts';

type NewText = Insertable<Database['texts']>;

/** The texts of these ids. Ids without a text are left out. */
export async function listTexts(db: Db, ids: string[]): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom('texts')
    .select(['text_id', 'text'])
    .where(sql<boolean>`text_id = any(${ids})`)
    .execute();
  return new Map(rows.map((row) => [row.text_id, row.text]));
}

/** Keeps a text under its id. The first one stands. */
export async function insertText(db: Kysely<Database>, text: NewText): Promise<void> {
  await db
    .insertInto('texts')
    .values(text)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Keeps several texts. */
export async function insertTexts(db: Kysely<Database>, texts: NewText[]): Promise<void> {
  await db.insertInto('texts').values(texts).execute();
}

/** Keeps a text once more, under another id. */
export async function copyText(
  db: Kysely<Database>,
  text_id: string,
  copy: { text_id: string; run_id: string },
): Promise<void> {
  await db
    .insertInto('texts')
    .columns(['text_id', 'run_id', 'text'])
    .expression((eb) =>
      eb
        .selectFrom('texts')
        .select([
          sql<string>`${copy.text_id}::text`.as('text_id'),
          sql<string>`${copy.run_id}::text`.as('run_id'),
          'text',
        ])
        .where('text_id', '=', text_id),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
