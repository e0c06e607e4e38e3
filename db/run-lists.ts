import { sql, type SelectQueryBuilder } from 'kysely';
import type { RunStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import type { Database, Run, RunKind } from './schema.ts';

/** Runs of an account, as lists show them. */

export type RunListItem = Pick<
  Run,
  | 'run_id'
  | 'status'
  | 'phase'
  | 'task'
  | 'error'
  | 'metadata'
  | 'tags'
  | 'orchestration_id'
  | 'created_at'
  | 'started_at'
  | 'completed_at'
> & {
  waiting_tasks: string[];
};

/** All that is given holds of each run. `q`: whole words of its goal, as web searches take them (`"two words" or -not`). */
export type RunFilter = {
  status?: RunStatus;
  kind?: RunKind;
  orchestration_id?: string;
  tags?: string[];
  metadata?: (readonly [key: string, value: string])[];
  q?: string;
  created_after?: string;
  created_before?: string;
};

const waitingTasks = sql<string[]>`array(
  select tasks.id from gates join tasks using (run_id) where gates.run_id = runs.run_id and gates.status = 'open'
  and tasks.id = gates.task_id order by tasks.position)`;

/** A page of an account's runs, newest first unless `oldest_first`, starting after `after`. */
export function listRuns(
  db: Db,
  account_id: string,
  filter: RunFilter,
  page: { limit: number; oldest_first?: boolean; after?: { created_at: string; id: string } },
): Promise<RunListItem[]> {
  const direction = page.oldest_first ? 'asc' : 'desc';
  const isAfter = sql.raw(page.oldest_first ? '>' : '<');
  return filtered(db, account_id, filter)
    .select(['run_id', 'status', 'phase', 'task', 'error', 'metadata', 'tags', 'orchestration_id'])
    .select(['created_at', 'started_at', 'completed_at'])
    .select(waitingTasks.as('waiting_tasks'))
    .$if(page.after !== undefined, (query) =>
      query.where(
        sql<boolean>`(created_at, run_id) ${isAfter} (${page.after!.created_at}::timestamptz, ${page.after!.id})`,
      ),
    )
    .orderBy('created_at', direction)
    .orderBy('run_id', direction)
    .limit(page.limit)
    .execute();
}

/** How many runs of an account there are in each status; those with none are left out. */
export async function countRuns(db: Db, account_id: string, filter: RunFilter): Promise<Map<RunStatus, number>> {
  const rows = await filtered(db, account_id, filter)
    .select(['status', sql<number>`count(*)`.as('count')])
    .groupBy('status')
    .execute();
  return new Map(rows.map(({ status, count }) => [status, count]));
}

function filtered(db: Db, account_id: string, filter: RunFilter): SelectQueryBuilder<Database, 'runs', object> {
  const { status, kind, orchestration_id, tags = [], metadata = [], q, created_after, created_before } = filter;
  const isSearched = q !== undefined || tags.length > 0 || metadata.length > 0;
  // Of a key that is given with two values no run is left below.
  const labels = sql`run_labels(${account_id}, ${tags}::text[], ${JSON.stringify(Object.fromEntries(metadata))}::jsonb)`;
  return (
    db
      .selectFrom('runs')
      .where('account_id', '=', account_id)
      .$if(status !== undefined, (query) => query.where('status', '=', status!))
      .$if(kind !== undefined, (query) => query.where('kind', '=', kind!))
      // The index has these alone, and is taken for nothing else.
      .$if(orchestration_id !== undefined, (query) =>
        query.where('orchestration_id', '=', orchestration_id!).where('kind', '=', 'orchestration'),
      )
      .$if(created_after !== undefined, (query) => query.where('created_at', '>', created_after!))
      .$if(created_before !== undefined, (query) => query.where('created_at', '<', created_before!))
      // The document may be of words that look like a label.
      .$if(tags.length > 0, (query) => query.where(sql<boolean>`tags @> ${tags}::text[]`))
      .where((query) =>
        query.and(
          metadata.map(([key, value]) => sql<boolean>`metadata @> jsonb_build_object(${key}::text, ${value}::text)`),
        ),
      )
      .$if(isSearched, (query) =>
        query.where(
          'run_id',
          'in',
          db
            .selectFrom('run_search')
            .select('run_id')
            .where(sql<boolean>`document @@ array_to_string(${labels}, ' & ')::tsquery`)
            .$if(q !== undefined, (search) =>
              search.where(sql<boolean>`document @@ websearch_to_tsquery('simple', ${q})`),
            ),
        ),
      )
  );
}
