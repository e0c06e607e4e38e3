import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { sql } from 'kysely';
import type { Db } from '../db/index.ts';
import { findRunView, type RunView } from '../db/run-views.ts';
import { workflowBundle } from '../src/temporal/workflow-bundle.ts';
import type { Account } from './accounts.ts';
import type { Begun, Change } from './audit.ts';
import type { HostileReport } from './hostile/index.ts';
import type { Journal } from './journal.ts';
import type { Fallen } from './faults.ts';
import type { RunLimits } from './limits.ts';
import type { Outside } from './outside.ts';
import type { Servers } from './servers.ts';

export type Evidence = Awaited<ReturnType<typeof gatherEvidence>>;

type Secrets = { api_key: string; webhook_secret: string; provider_key: string };

type Given = {
  servers: Servers;
  outside: Outside;
  journal: Journal;
  fallen: Fallen[];
  accounts: Account[];
  hostile: HostileReport;
  /** The run ids of each account's list, in the order of `accounts`. */
  lists: (string[] | undefined)[];
  /** What accounts had before anything fell, and may have at most. */
  holdings: Holding[];
  limits: RunLimits;
  /** When everything was there again, in milliseconds since 1970. */
  healed_at: number;
};

/** All that is known after a run of chaos, read past the proxies. */
export async function gatherEvidence(given: Given) {
  const { servers, outside, journal, fallen, accounts, hostile, lists, holdings, limits, healed_at } = given;
  const { db } = servers;
  const connection = await Connection.connect({ address: servers.temporalAddress });
  const executions = await readExecutions(new Client({ connection })).finally(() => connection.close());
  const [runs, tasks, gates, texts, llm_calls, tool_calls, events, deliveries, outbox] = await Promise.all([
    db.selectFrom('runs').selectAll().orderBy('created_at').execute(),
    db.selectFrom('tasks').selectAll().orderBy('run_id').orderBy('position').execute(),
    db.selectFrom('gates').selectAll().orderBy('opened_at').execute(),
    db.selectFrom('texts').selectAll().execute(),
    db.selectFrom('llm_calls').selectAll().execute(),
    db.selectFrom('tool_calls').selectAll().orderBy('answer_id').orderBy('position').execute(),
    db.selectFrom('run_events').selectAll().orderBy('run_id').orderBy('seq').execute(),
    db.selectFrom('webhook_deliveries').selectAll().execute(),
    db.selectFrom('outbox').selectAll().execute(),
  ]);
  const { rows: changes } = await sql<Change>`select * from audit order by audit_id`.execute(db);
  const { rows: begun } = await sql<Begun>`select * from begun order by at`.execute(db);
  return {
    journal: journal.entries,
    fallen,
    accounts,
    hostile,
    lists,
    healed_at,
    gathered_at: Date.now(),
    calls: outside.calls(),
    orders: outside.web.orders,
    received: outside.deliveries,
    runs,
    tasks,
    gates,
    texts: new Map(texts.map(({ text_id, text }) => [text_id, text])),
    llm_calls,
    tool_calls,
    events,
    deliveries,
    outbox,
    changes,
    begun,
    holdings: { before: holdings, after: await readHoldings(db) },
    /** The ids of `accounts`. */
    honest: new Set(holdings.map(({ account_id }) => account_id)),
    limits,
    /** Of the runs of which a part was done again, as their clients see them now. */
    sources: await readSources(db, journal, runs),
    continued: executions.filter(({ status }) => status === 'CONTINUED_AS_NEW').length,
    /** Each with the text of all that it continues. */
    workflows: joinChains(executions),
    unreplayable: await replay(executions),
    ...(await readPlaces(given, executions)),
  };
}

export type Holding = Awaited<ReturnType<typeof readHoldings>>[number];

/** Where a secret would be seen, as text, and all that are secret. */
async function readPlaces({ servers, outside, journal, accounts, hostile }: Given, executions: Execution[]) {
  const secretsOf = ({ api_key, webhook_secret, provider_key }: Secrets) => [api_key, webhook_secret, provider_key];
  return {
    places: {
      histories: executions.map(({ text }) => text).join('\n'),
      database: await dump(servers.db),
      logs: readLogs(servers.dir),
      webhooks: outside.deliveries.map(({ body }) => body).join('\n'),
      errors: JSON.stringify(journal.entries.filter(({ outcome }) => outcome !== 'ok')),
    },
    secrets: [
      servers.secrets.encryption_key,
      new URL(servers.databaseUrl).password,
      ...[...accounts, hostile.account].flatMap(secretsOf),
    ],
  };
}

/** What each account has, by name, besides its runs: of its providers those that are active. */
export async function readHoldings(db: Db) {
  const [providers, keys, servers, orchestrations] = await Promise.all([
    db
      .selectFrom('providers')
      .select(['account_id', 'provider_id as id', 'label as name', 'status as state'])
      .execute(),
    db.selectFrom('api_keys').select(['account_id', 'key_id as id', 'name', 'scopes']).execute(),
    db.selectFrom('mcp_servers').select(['account_id', 'name as id', 'name', 'url as state']).execute(),
    db.selectFrom('orchestrations').select(['account_id', 'id', 'id as name', 'hash as state']).execute(),
  ]);
  const rowsOf = (
    kind: string,
    rows: { account_id: string; id: string; name: string | null; state?: string | null }[],
  ) => rows.map((row) => ({ kind, ...row }));
  return [
    ...rowsOf('provider', providers),
    ...rowsOf('key', keys),
    ...rowsOf('MCP server', servers),
    ...rowsOf('orchestration', orchestrations),
  ];
}

type Execution = Awaited<ReturnType<typeof readExecutions>>[number];

/** The newest execution of each workflow: a run continues as new, and one that has failed may be tried again. */
function joinChains(executions: Execution[]): Execution[] {
  const chains = Map.groupBy(executions, ({ workflow_id }) => workflow_id);
  return [...chains.values()].map((chain) => {
    const inOrder = chain.toSorted((a, b) => a.started_at - b.started_at);
    return { ...inOrder.at(-1)!, text: inOrder.map(({ text }) => text).join('\n') };
  });
}

async function readSources(db: Db, { entries }: Journal, runs: { run_id: string; account_id: string }[]) {
  const ids = new Set(entries.flatMap((entry) => (entry.op === 'start' && entry.rerun?.source.run_id) || []));
  const sources = runs.filter(({ run_id }) => ids.has(run_id));
  const views = sources.map(async ({ run_id, account_id }) => {
    const view = await findRunView(db, account_id, run_id);
    return [run_id, JSON.parse(view!) as RunView] as const;
  });
  return new Map(await Promise.all(views));
}

async function readExecutions({ workflow }: Client) {
  const executions = [];
  for await (const { workflowId, type, status, runId, startTime, memo } of workflow.list()) {
    const handle = workflow.getHandle(workflowId, runId);
    const history = await handle.fetchHistory();
    const pending =
      status.name === 'RUNNING' ? JSON.stringify((await handle.describe()).raw.pendingActivities ?? []) : '';
    const name = status.name as string;
    const [started_at, attempt] = [startTime.getTime(), Number(memo?.attempt ?? 1)];
    executions.push({
      workflow_id: workflowId,
      type,
      status: name,
      attempt,
      started_at,
      pending,
      history,
      text: textOf(history),
    });
  }
  return executions;
}

/** Payloads are base64 there: as text, so that one can search in them. */
function textOf(history: object): string {
  return JSON.stringify(history, (key, value: unknown) =>
    key === 'data' && typeof value === 'string' ? Buffer.from(value, 'base64').toString() : value,
  );
}

async function replay(executions: Execution[]): Promise<string[]> {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const bundle = await workflowBundle({ encrypts: false });
  const histories = executions.map(({ workflow_id, history }) => ({ workflowId: workflow_id, history }));
  const results = Worker.runReplayHistories({ workflowBundle: bundle }, histories);
  const all = await Array.fromAsync(results);
  return all.flatMap(({ workflowId, error }) => (error ? [`${workflowId}: ${error.message}`] : []));
}

async function dump(db: Db): Promise<string> {
  const tables = await db.introspection.getTables();
  const texts = tables.map(async ({ name }) => {
    const { rows } = await sql<{ line: string }>`select t::text as line from ${sql.table(name)} as t`.execute(db);
    return rows.map(({ line }) => line).join('\n');
  });
  return (await Promise.all(texts)).join('\n');
}

function readLogs(dir: string): string {
  const files = readdirSync(dir).filter((name) => name.endsWith('.log'));
  return files.map((name) => readFileSync(path.join(dir, name), 'utf8')).join('\n');
}
