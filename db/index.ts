import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import type { Database } from './schema.ts';

export type Db = Kysely<Database>;

const TIMESTAMPTZ = 1184;
const INT8 = 20;

/** Rows go to the wire as they are, so timestamps are ISO texts and counts are numbers. */
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (oid === TIMESTAMPTZ) return (text: string) => new Date(text).toISOString();
    if (oid === INT8) return Number;
    return pg.types.getTypeParser(oid, format as 'text');
  },
};

const readTimeout = 'Query read timeout';
const stalePlan = 'cached plan must not change result type';

/** More are not prepared: texts that vary without end, as with the length of a list, must not fill Postgres's memory. */
const maxPrepared = 500;
let preparations = 0;
const preparedNames = new Map<string, string>();

/** The name under which a connection prepares a statement: parsed and planned once, and not each time. */
function preparedName(text: string): string | undefined {
  if (!preparedNames.has(text) && preparedNames.size < maxPrepared) {
    preparations += 1;
    preparedNames.set(text, `orchflow_${preparations}`);
  }
  return preparedNames.get(text);
}

/** Prepares statements, and disposes of itself when an answer did not come in time: it may be dead for ever. */
class Client extends pg.Client {
  override query(...args: unknown[]): any {
    const [text, values] = args;
    const isStatement = typeof text === 'string' && Array.isArray(values) && values.length > 0;
    const query = isStatement ? [{ name: preparedName(text), text, values }] : args;
    const result: unknown = super.query(...(query as [string]));
    if (result instanceof Promise) {
      result.catch(({ message }: Error) => {
        if (message === readTimeout) (this as unknown as { connection: pg.Connection }).connection.stream.destroy();
        // A migration has changed a table below us: all statements are prepared anew.
        if (message === stalePlan) preparedNames.clear();
      });
    }
    return result;
  }
}

/** A pool whose connections may be lost at any time. */
export function createPool(url: string, options: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({ Client, connectionString: url, keepAlive: true, ...options });
  // A connection that is lost is replaced at the next use. Unhandled, its 'error' event would end the process: the pool
  // listens only while it is idle, and a transaction holds it.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/**
 * A pool of at most `poolSize` connections. A statement, or the wait for a connection, fails after seconds and never
 * hangs; with a `statement_timeout` of 0 a statement may take as long as it needs.
 */
export function createDb(url: string, poolSize = 10, { statement_timeout = 10_000 } = {}): Db {
  const pool = createPool(url, {
    max: poolSize,
    types: types as pg.CustomTypesConfig,
    connectionTimeoutMillis: 2_500,
    statement_timeout,
    query_timeout: statement_timeout && statement_timeout + 2_000,
  });
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
}

// SQLSTATE classes 08 (connection), 40 (deadlock, serialization), 53 (resources), 57 (operator intervention), and Node's
// own socket errors.
const unavailable = /^(08|40|53|57)|^E(CONNREFUSED|CONNRESET|PIPE|TIMEDOUT|HOSTUNREACH|AI_AGAIN|NOTFOUND)|ENOTFOUND$/;
const unavailableMessages =
  /timeout exceeded when trying to connect|Connection terminated|connection error and is not queryable|Query read timeout|cached plan must not change/;

/** True when Postgres could not be reached, or undid it all and asked to come back: it may be tried again. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return unavailable.test(code) || unavailableMessages.test(error.message);
}

/** Within the time for an answer. */
const versionDeadline_ms = 1_500;

/** The version of the Postgres server, or undefined when it does not answer. */
export async function findServerVersion(db: Db): Promise<string | undefined> {
  try {
    const signal = AbortSignal.timeout(versionDeadline_ms);
    const { rows } = await sql<{ server_version: string }>`show server_version`.execute(db, { signal });
    return rows[0]?.server_version;
  } catch {
    return undefined;
  }
}

/** The time by the clock of Postgres, which all processes share. */
export async function findTime(db: Db): Promise<Date> {
  const { rows } = await sql<{ now: string }>`select now()`.execute(db);
  return new Date(rows[0]!.now);
}
