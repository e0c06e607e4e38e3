import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { sql } from 'kysely';
import type { Db } from '../db/index.ts';
import { findRunView, type RunView } from '../db/run-views.ts';
import type { Account } from './accounts.ts';
import type { Accepted, Begun, Change, Filed, Given as GivenGate, Missed } from './audit.ts';
import type { HostileReport } from './hostile/index.ts';
import type { Audit } from './clients.ts';
import { readCalled, type UsageTold } from './called.ts';
import { joinChains, readExecutions, replay, type Execution } from './executions.ts';
import { readHoldings, type Holding } from './holdings.ts';
import type { Entry, Journal } from './journal.ts';
import { readLibrary } from './library.ts';
import { readPurged } from './purged.ts';
import type { Fallen } from './faults.ts';
import type { RunLimits } from './limits.ts';
import type { Outside } from './outside.ts';
import type { Servers } from './servers.ts';
import type { Starved } from './starved.ts';
import { readStore } from './store.ts';

export type Evidence = Awaited<ReturnType<typeof gatherEvidence>>;

type Secrets = { api_key: string; webhook_secret: string; provider_key: string; subscription_secret?: string };

type Given = {
  servers: Servers;
  outside: Outside;
  journal: Journal;
  fallen: Fallen[];
  accounts: Account[];
  hostile: HostileReport;
  /** The run ids of each account's list, in the order of `accounts`. */
  lists: (string[] | undefined)[];
  /** Of the runs whose tasks were steered, as their clients read it. */
  audits: Map<string, Audit | undefined>;
  /** What each account is told that its calls have come to, in the order of `accounts`. */
  usage: (UsageTold | undefined)[];
  /** How many an operator had answered. */
  queries: number;
  starved: Starved[];
  /** What accounts had before anything fell, and may have at most. */
  holdings: Holding[];
  limits: RunLimits;
  /** When everything was there again, in milliseconds since 1970. */
  healed_at: number;
};

/** All that is known after a run of chaos, read past the proxies. */
export async function gatherEvidence(given: Given) {
  const { servers, outside, fallen, accounts, hostile, lists, audits, queries, holdings, limits, healed_at } = given;
  const { journal, usage, starved } = given;
  const { db } = servers;
  const connection = await Connection.connect({ address: servers.temporalAddress });
  const executions = await readExecutions(new Client({ connection })).finally(() => connection.close());
  const [runs, tasks, gates, texts, llm_calls, tool_calls, events, deliveries, outbox] = await Promise.all([
    db
      .selectFrom('runs')
      .selectAll()
      .where('account_id', 'is not', null)
      .orderBy('created_at')
      .$narrowType<{ account_id: string }>()
      .execute(),
    db.selectFrom('tasks').selectAll().orderBy('run_id').orderBy('position').execute(),
    db.selectFrom('gates').selectAll().orderBy('opened_at').execute(),
    db.selectFrom('texts').selectAll().execute(),
    db.selectFrom('llm_calls').selectAll().execute(),
    db.selectFrom('tool_calls').selectAll().orderBy('answer_id').orderBy('position').execute(),
    db.selectFrom('run_events').selectAll().orderBy('run_id').orderBy('seq').execute(),
    db.selectFrom('webhook_deliveries').selectAll().execute(),
    db.selectFrom('outbox').selectAll().execute(),
  ]);
  // The folder first: what housekeeping removes there has no row afterwards.
  const store = await readStore(db, servers.filesDir);
  const [calls, received] = [outside.calls(), outside.deliveries];
  const purged = await readPurged(db, journal.entries, { runs, deliveries, received, calls });
  const stays = (run_id: string) => !purged.has(run_id);
  const named = ({ call_id }: { call_id: string }) => stays(call_id.split('/')[0]!);
  return {
    /** Without what is about runs that were purged: that is in `purged`. */
    journal: journal.entries.filter((entry) => !runsOf(entry, journal.entries).some((run_id) => purged.has(run_id))),
    /** All that was asked. */
    asked: journal.entries,
    purged,
    purgedCounts: await db.selectFrom('purged_run_counts').selectAll().execute(),
    audits,
    usage,
    queries,
    starved,
    fallen,
    accounts,
    hostile,
    lists,
    healed_at,
    gathered_at: Date.now(),
    calls: calls.filter(named),
    orders: outside.web.orders.filter(named),
    received: received.filter(({ payload }) => stays(payload.run_id)),
    runs,
    tasks,
    gates,
    texts: new Map(texts.map(({ text_id, text }) => [text_id, text])),
    llm_calls,
    tool_calls,
    events,
    deliveries,
    outbox,
    ...(await readAudits(db)),
    store,
    ...(await readCalled(db)),
    begins: outside.web.begins,
    library: await readLibrary(db, { calls: outside.embedder.calls, received, accounts, executions }),
    files: await db.selectFrom('files').selectAll().execute(),
    run_files: await db.selectFrom('run_files').selectAll().execute(),
    holdings: { before: holdings, after: await readHoldings(db) },
    /** The ids of `accounts`. */
    honest: new Set(holdings.map(({ account_id }) => account_id)),
    limits,
    /** Of the runs of which a part was done again, as their clients see them now. */
    sources: await readSources(db, journal, runs),
    continued: executions.filter(({ status }) => status === 'CONTINUED_AS_NEW').length,
    /** Each with the text of all that it continues. */
    workflows: joinChains(executions).filter(({ workflow_id }) => stays(workflow_id.split('/')[0]!)),
    unreplayable: await replay(executions),
    ...(await readPlaces(given, executions)),
  };
}

/** What the database has noted by itself. */
async function readAudits(db: Db) {
  const [changes, accepted, begun, filed, given, missed] = await Promise.all([
    sql<Change>`select * from audit order by audit_id`.execute(db),
    sql<Accepted>`select * from accepted order by at`.execute(db),
    sql<Begun>`select * from begun order by begun_id`.execute(db),
    sql<Filed>`select * from filed`.execute(db),
    sql<GivenGate>`select * from given`.execute(db),
    sql<Missed>`select * from missed`.execute(db),
  ]);
  const noted = { changes: changes.rows, accepted: accepted.rows, begun: begun.rows, filed: filed.rows };
  return { ...noted, given: given.rows, missed: missed.rows };
}

/** Where a secret would be seen, as text, and all that are secret. */
async function readPlaces({ servers, outside, journal, accounts, hostile }: Given, executions: Execution[]) {
  const secretsOf = ({ api_key, webhook_secret, provider_key, subscription_secret = webhook_secret }: Secrets) => [
    api_key,
    webhook_secret,
    provider_key,
    subscription_secret,
  ];
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
      servers.secrets.codec_token,
      new URL(servers.databaseUrl).password,
      ...[...accounts, hostile.account].flatMap(secretsOf),
    ],
  };
}

/** The runs that an entry is about; a start is about those that any of its tries began. */
function runsOf(entry: Entry, entries: Entry[]): string[] {
  if ('run_id' in entry) return [entry.run_id];
  if (entry.op !== 'start') return [];
  return entries.flatMap((one) =>
    one.op === 'start' && one.run === entry.run && one.outcome === 'ok' ? [one.body.run_id] : [],
  );
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
