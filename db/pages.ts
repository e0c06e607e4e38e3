import { sql, type RawBuilder, type SelectQueryBuilder } from 'kysely';

/** Pages of lists: each begins behind the last entry of the one before, by what the list is sorted by, and ties by the id. */

/** What a list is sorted by, of which type that is, and its id: columns of one table, whose index has this order. */
export type Sorting = { by: RawBuilder<unknown>; id: RawBuilder<unknown>; type: RawBuilder<unknown> };

/** So many entries, in one direction, behind the last entry of the page before. */
export type Page<Value extends string | number = string> = {
  limit: number;
  descending: boolean;
  after?: { value: Value; id: string } | undefined;
};

/** A list by a time. */
export function byTime(time: string, id: string): Sorting {
  return { by: sql.ref(time), id: sql.ref(id), type: sql`timestamptz` };
}

/** The entries of a query that are on this page. */
export function onPage<DB, Tables extends keyof DB, Output>(
  query: SelectQueryBuilder<DB, Tables, Output>,
  { by, id, type }: Sorting,
  { limit, descending, after }: Page<string | number>,
) {
  const direction = descending ? 'desc' : 'asc';
  const beyond = sql.raw(descending ? '<' : '>');
  return query
    .$if(after !== undefined, (some) =>
      some.where(sql<boolean>`(${by}, ${id}) ${beyond} (${after!.value}::${type}, ${after!.id})`),
    )
    .orderBy(by, direction)
    .orderBy(id, direction)
    .limit(limit);
}
