import { sql, type SelectQueryBuilder } from 'kysely';
import type { RunStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { byTime, onPage, type Page, type Sorting } from './pages.ts';
import type { PendingFor } from './run-queue.ts';
import type { Usage } from './run-views.ts';
import type { Database, Mode, Run, RunKind, RunOrigin } from './schema.ts';

/** Runs of an account, as lists show them. */

export type RunListItem = Pick<
  Run,
  | 'run_id'
  | 'kind'
  | 'origin'
  | 'status'
  | 'phase'
  | 'task'
  | 'error'
  | 'error_code'
  | 'metadata'
  | 'tags'
  | 'orchestration_id'
  | 'agent_id'
  | 'created_at'
  | 'start_at'
  | 'started_at'
  | 'completed_at'
> & {
  pending_for: PendingFor | null;
  waiting_tasks: string[];
  cost_usd: number;
};

/** All that is given holds of each run. `q`: whole words of its goal, as web searches take them (`"two words" or -not`). */
export type RunFilter = {
  status?: RunStatus;
  pending_for?: PendingFor;
  kind?: RunKind;
  orchestration_id?: string;
  agent_id?: string;
  origin?: RunOrigin;
  mode?: Mode;
  channel?: string;
  user_id?: string;
  tags?: string[];
  metadata?: (readonly [key: string, value: string])[];
  q?: string;
  created_after?: string;
  created_before?: string;
  /** What its model calls have cost so far, as its usage says it: those without a known price count as 0. */
  cost_usd_from?: number;
  cost_usd_to?: number;
};

/** A page of a list: what it is sorted by, ties by the id, and the last run before it. */
export type RunPage = Page<string | number> & { sort: 'created_at' | 'cost_usd' };

const waitingTasks = sql<string[]>`array(
  select tasks.id from gates join tasks using (run_id) where gates.run_id = runs.run_id and gates.status = 'open'
  and tasks.id = gates.task_id order by tasks.position)`;

const costUsd = sql<number>`(
  select cost_usd::double precision from run_costs where run_costs.run_id = runs.run_id)`;

/** Value and id of one table, whose index has this order. */
const sortings: Record<RunPage['sort'], Sorting> = {
  created_at: byTime('runs.created_at', 'runs.run_id'),
  cost_usd: { by: sql`run_costs.cost_usd`, id: sql`run_costs.run_id`, type: sql`numeric` },
};

/** A page of an account's runs. */
export function listRuns(db: Db, account_id: string, filter: RunFilter, page: RunPage): Promise<RunListItem[]> {
  return pageOfRuns(filtered(db, account_id, filter, page.sort === 'cost_usd'), page)
    .select(['runs.run_id', 'status', 'phase', 'task', 'error', 'error_code', 'metadata', 'tags', 'orchestration_id'])
    .select(['kind', 'origin', 'agent_id'])
    .select(['created_at', 'start_at', 'started_at', 'completed_at'])
    .select(sql<PendingFor | null>`pending_for(runs)`.as('pending_for'))
    .select(waitingTasks.as('waiting_tasks'))
    .select(costUsd.as('cost_usd'))
    .execute();
}

/** A run as an entry of a list that says what it came to, in short. */
export type RunSummary = Pick<
  Run,
  | 'run_id'
  | 'kind'
  | 'origin'
  | 'mode'
  | 'status'
  | 'agent_id'
  | 'orchestration_id'
  | 'channel'
  | 'user_id'
  | 'task'
  | 'error'
  | 'error_code'
  | 'metadata'
  | 'tags'
  | 'created_at'
  | 'start_at'
  | 'started_at'
  | 'completed_at'
> & {
  pending_for: PendingFor | null;
  usage: Usage;
  cost_usd: number;
  /** From its beginning to its end, or until now; 0 of one that has not begun. */
  duration_ms: number;
};

/** A page of an account's runs, in short. */
export function listRunSummaries(db: Db, account_id: string, filter: RunFilter, page: RunPage): Promise<RunSummary[]> {
  return runSummary(pageOfRuns(filtered(db, account_id, filter, page.sort === 'cost_usd'), page)).execute();
}

/** The columns of a `RunSummary`, of the runs in a query. */
export function runSummary<T extends object>(runs: SelectQueryBuilder<Database, 'runs', T>) {
  const ended = sql`extract(epoch from greatest(coalesce(completed_at, now()) - started_at, '0'))`;
  return runs
    .select([
      'runs.run_id',
      'kind',
      'origin',
      'mode',
      'runs.status',
      'agent_id',
      'orchestration_id',
      'channel',
      'user_id',
      'task',
    ])
    .select([
      'runs.error',
      'error_code',
      'metadata',
      'tags',
      'runs.created_at',
      'start_at',
      'started_at',
      'completed_at',
    ])
    .select(sql<PendingFor | null>`pending_for(runs)`.as('pending_for'))
    .select(sql<Usage>`usage_of(runs.run_id)`.as('usage'))
    .select(costUsd.as('cost_usd'))
    .select(sql<number>`coalesce(round(${ended} * 1000), 0)::float8`.as('duration_ms'));
}

function pageOfRuns<T extends object>(runs: SelectQueryBuilder<Database, 'runs', T>, { sort, ...page }: RunPage) {
  return onPage(runs, sortings[sort], page);
}

/** How many runs of an account there are in each status; those with none are left out. */
export async function countRuns(db: Db, account_id: string, filter: RunFilter): Promise<Map<RunStatus, number>> {
  const rows = await filtered(db, account_id, filter, false)
    .select(['status', sql<number>`count(*)`.as('count')])
    .groupBy('status')
    .execute();
  return new Map(rows.map(({ status, count }) => [status, count]));
}

function filtered(
  db: Db,
  account_id: string,
  filter: RunFilter,
  byCost: boolean,
): SelectQueryBuilder<Database, 'runs', object> {
  const {
    status,
    pending_for,
    kind,
    orchestration_id,
    agent_id,
    origin,
    mode,
    channel,
    user_id,
    tags = [],
    metadata = [],
    q,
    created_after,
    created_before,
    cost_usd_from: from,
    cost_usd_to: to,
  } = filter;
  const isSearched = q !== undefined || tags.length > 0 || metadata.length > 0;
  // Of a key that is given with two values no run is left below.
  const labels = sql`run_labels(${account_id}, ${tags}::text[], ${JSON.stringify(Object.fromEntries(metadata))}::jsonb)`;
  return (
    db
      .selectFrom('runs')
      .where('runs.account_id', '=', account_id)
      .$if(byCost || from !== undefined || to !== undefined, (query) =>
        query.innerJoin('run_costs', (costs) =>
          costs.onRef('run_costs.run_id', '=', 'runs.run_id').onRef('run_costs.account_id', '=', 'runs.account_id'),
        ),
      )
      .$if(from !== undefined, (query) => query.where(sql<boolean>`run_costs.cost_usd >= ${from}::numeric`))
      .$if(to !== undefined, (query) => query.where(sql<boolean>`run_costs.cost_usd <= ${to}::numeric`))
      .$if(status !== undefined, (query) => query.where('status', '=', status!))
      // Those that wait have an index of their own.
      .$if(pending_for !== undefined, (query) =>
        query.where('queued_at', 'is not', null).where(sql<boolean>`pending_for(runs) = ${pending_for}`),
      )
      .$if(kind !== undefined, (query) => query.where('kind', '=', kind!))
      // The index has these alone, and is taken for nothing else.
      .$if(orchestration_id !== undefined, (query) =>
        query.where('orchestration_id', '=', orchestration_id!).where('kind', '=', 'orchestration'),
      )
      .$if(agent_id !== undefined, (query) => query.where('agent_id', '=', agent_id!))
      .$if(origin !== undefined, (query) => query.where('origin', '=', origin!))
      .$if(mode !== undefined, (query) => query.where('mode', '=', mode!))
      .$if(channel !== undefined, (query) => query.where('channel', '=', channel!))
      .$if(user_id !== undefined, (query) => query.where('user_id', '=', user_id!))
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
          'runs.run_id',
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
