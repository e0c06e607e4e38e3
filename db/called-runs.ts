import { sql, type RawBuilder, type SelectQueryBuilder, type SqlBool } from 'kysely';
import type { RunStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { byTime, onPage, type Page } from './pages.ts';
import type { Usage } from './run-views.ts';
import type { AgentCall, Database, Run } from './schema.ts';

/** Runs that are calls of agents, as who calls sees them, and in short as the author of the agent does. */

export type CalledRun = Pick<
  AgentCall,
  | 'run_id'
  | 'agent'
  | 'version'
  | 'version_id'
  | 'endpoint'
  | 'tenant'
  | 'key_id'
  | 'root_run_id'
  | 'parent_run_id'
  | 'created_at'
> &
  Pick<Run, 'status' | 'error' | 'error_code' | 'started_at' | 'completed_at' | 'forked_from'> & {
    /** From its beginning to its end, or until now; null of one that has not begun. */
    duration_ms: number | null;
    usage: Usage;
    cost_usd: number;
  };

/** How a run stands; where it failed because it took too long, `timeout` and not `failed`. */
export type CallState = RunStatus | 'timeout';

/** All that is given holds of each call. `name` is without its organisation, `agent` with it. */
export type CallFilter = {
  name?: string | undefined;
  agent?: string | undefined;
  version?: string | undefined;
  tenant?: string | undefined;
  states?: CallState[] | undefined;
  from?: string | undefined;
  to?: string | undefined;
  run_ids?: { first: string; last: string } | undefined;
};

/** A page: after the call with these two, or with so many before it. */
export type CallPage = Pick<Page, 'limit' | 'after'> & { offset?: number | undefined };

const timeouts = sql`error_code in ('TIMEOUT', 'SANDBOX_TIMEOUT')`;
/** Whether a run has failed because it took too long. */
export const timedOut = sql`(status = 'failed' and coalesce(${timeouts}, false))`;

/** From the beginning of a run to its end, or until now, in milliseconds; null of one that has not begun. */
export const duration = sql<number | null>`
  round(extract(epoch from greatest(coalesce(completed_at, now()) - started_at, '0')) * 1000)::bigint`;

/** A page of the calls that the account has made, newest first. */
export function listCalls(db: Db, account_id: string, filter: CallFilter, page: CallPage): Promise<CalledRun[]> {
  return calledRuns(pageOfCalls(db, account_id, filter, page)).execute();
}

/** How many there are, counted up to `most`. */
export function countCalls(db: Db, account_id: string, filter: CallFilter, most: number): Promise<number> {
  return countUpTo(db, pageOfCalls(db, account_id, filter, { limit: most }));
}

/** The call that is this run; undefined when the account has none of this id. */
export function findCalledRun(db: Db, account_id: string, run_id: string): Promise<CalledRun | undefined> {
  const run = called(db).where('agent_calls.account_id', '=', account_id).where('agent_calls.run_id', '=', run_id);
  return calledRuns(run).executeTakeFirst();
}

/** At most this many of a chain are shown. */
export const mostOfChain = 1_000;

/** How a call stands in its chain. */
export type ChainedRun = CalledRun & {
  vendor: string | null;
  model: string | null;
  tool_calls: number;
  /** Calls of models and tools that have failed. */
  errors: number;
};

/** All calls of the account that go back to this first one, in the order in which they were made. */
export function listChain(db: Db, account_id: string, root_run_id: string): Promise<ChainedRun[]> {
  const own = called(db).where('agent_calls.account_id', '=', account_id);
  const newest = (column: 'vendor' | 'model') => sql<string | null>`(
    select ${sql.ref(column)} from llm_calls where run_id = runs.run_id order by created_at desc, call_id desc limit 1)`;
  return calledRuns(own.where('agent_calls.root_run_id', '=', root_run_id))
    .select([newest('vendor').as('vendor'), newest('model').as('model')])
    .select(sql<number>`(select count(*) from tool_calls where run_id = runs.run_id)`.as('tool_calls'))
    .select(
      sql<number>`(select count(*) from tool_calls where run_id = runs.run_id and is_error)
        + (select count(*) from failed_tries where run_id = runs.run_id)`.as('errors'),
    )
    .orderBy('agent_calls.created_at')
    .orderBy('agent_calls.run_id')
    .limit(mostOfChain)
    .execute();
}

/** A call of an agent, for its author. Of one that another account made there is nothing that says whose it is, or what was in it. */
export type CallOfOwn =
  | (CalledRun & { by: 'own' })
  | (Pick<CalledRun, 'status' | 'error_code' | 'duration_ms'> & { by: 'others'; created_at: string });

/** A page of the calls of a version of the account's agents, whoever has made them, newest first. */
export async function listCallsOfVersion(
  db: Db,
  owner_id: string,
  version_id: string,
  page: CallPage,
): Promise<CallOfOwn[]> {
  const rows = await calledRuns(pageOf(callsOfVersion(db, owner_id, version_id), 'agent_calls', page))
    .select('agent_calls.account_id')
    .execute();
  return rows.map(({ account_id, ...call }) => {
    if (account_id === owner_id) return { by: 'own', ...call };
    const { status, error_code, duration_ms, created_at } = call;
    // To the minute: to the millisecond it would be found again where somebody has told of a call.
    return { by: 'others', status, error_code, duration_ms, created_at: `${created_at.slice(0, 16)}:00.000Z` };
  });
}

export function countCallsOfVersion(db: Db, owner_id: string, version_id: string, most: number): Promise<number> {
  return countUpTo(db, pageOf(callsOfVersion(db, owner_id, version_id), 'agent_calls', { limit: most }));
}

function callsOfVersion(db: Db, owner_id: string, version_id: string) {
  return called(db).where('agent_calls.owner_id', '=', owner_id).where('agent_calls.version_id', '=', version_id);
}

/** The input and the output of a call, whole; null is none yet. */
export async function findCallTexts(db: Db, run_id: string): Promise<{ input: string | null; output: string | null }> {
  const { rows } = await sql<{ input: string | null; output: string | null }>`
    select coalesce((select text from texts where text_id = agent_run ->> 'input_id'), task) as input, run_output(runs) as output
    from runs where run_id = ${run_id}`.execute(db);
  return rows[0] ?? { input: null, output: null };
}

function called(db: Db) {
  return db.selectFrom('agent_calls').innerJoin('runs', 'runs.run_id', 'agent_calls.run_id');
}

type Called = SelectQueryBuilder<Database, 'agent_calls' | 'runs', object>;

function filtered(
  db: Db,
  account_id: string,
  { name, agent, version, tenant, states, from, to, run_ids }: CallFilter,
): Called {
  const conditions: (RawBuilder<SqlBool> | undefined)[] = [
    name === undefined ? undefined : sql`split_part(agent, '/', 2) = ${name}`,
    // Its index is by the name alone.
    agent === undefined
      ? undefined
      : sql`split_part(agent, '/', 2) = ${agent.split('/')[1] ?? ''} and agent = ${agent}`,
    version === undefined ? undefined : sql`agent_calls.version = ${version}`,
    tenant === undefined ? undefined : sql`tenant = ${tenant}`,
    states && sql`(${sql.join(states.map(isIn), sql` or `)})`,
    from === undefined ? undefined : sql`agent_calls.created_at >= ${from}`,
    to === undefined ? undefined : sql`agent_calls.created_at < ${to}`,
    run_ids && sql`agent_calls.run_id between ${run_ids.first} and ${run_ids.last}`,
  ];
  return called(db)
    .where('agent_calls.account_id', '=', account_id)
    .$if(states !== undefined, (query) => query.where('runs.account_id', '=', account_id))
    .where((builder) => builder.and(conditions.filter((condition) => condition !== undefined)));
}

function isIn(one: CallState): RawBuilder<SqlBool> {
  if (one === 'timeout') return sql`${timedOut}`;
  return one === 'failed' ? sql`(status = 'failed' and not coalesce(${timeouts}, false))` : sql`status = ${one}`;
}

function pageOfCalls(db: Db, account_id: string, filter: CallFilter, page: CallPage): Called {
  // Both were made in one moment. In the order of the runs, their index by status leads to the page.
  return pageOf(filtered(db, account_id, filter), filter.states ? 'runs' : 'agent_calls', page);
}

function pageOf(calls: Called, table: 'agent_calls' | 'runs', { limit, after, offset = 0 }: CallPage): Called {
  const sorting = byTime(`${table}.created_at`, `${table}.run_id`);
  return onPage(calls, sorting, { limit, descending: true, after }).offset(offset);
}

function calledRuns(calls: Called) {
  return calls
    .select(['agent_calls.run_id', 'agent', 'agent_calls.version', 'version_id', 'endpoint', 'tenant'])
    .select(sql<string>`key_of_call(agent_calls)`.as('key_id'))
    .select(['root_run_id', 'parent_run_id', 'agent_calls.created_at'])
    .select(['status', 'error', 'error_code', 'started_at', 'completed_at', 'forked_from'])
    .select(duration.as('duration_ms'))
    .select(sql<Usage>`usage_of(runs.run_id)`.as('usage'))
    .select(
      sql<number>`coalesce((select cost_usd from run_costs where run_costs.run_id = runs.run_id), 0)::float8`.as(
        'cost_usd',
      ),
    );
}

/** In the order of a page, so that no more is read than is counted. */
async function countUpTo(db: Db, calls: Called): Promise<number> {
  const ids = calls.select('agent_calls.run_id');
  const { rows } = await sql<{ count: number }>`select count(*) as count from (${ids}) as found`.execute(db);
  return rows[0]!.count;
}
