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

/** A connection on which an answer did not come in time may be dead for ever: it is not used again. */
class DisposableClient extends pg.Client {
  override query(...args: unknown[]): any {
    const result: unknown = super.query(...(args as [string]));
    if (result instanceof Promise) {
      result.catch((error: Error) => {
        if (error.message === readTimeout)
          (this as unknown as { connection: pg.Connection }).connection.stream.destroy();
      });
    }
    return result;
  }
}

/** A pool whose connections may be lost at any time. */
export function createPool(url: string, options: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({ Client: DisposableClient, connectionString: url, keepAlive: true, ...options });
  // A connection that is lost is replaced at the next use. Unhandled, its 'error' event would end the process: the pool
  // listens only while it is idle, and a transaction holds it.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/** A pool of at most `poolSize` connections. A statement, or the wait for a connection, fails after seconds and never hangs. */
export function createDb(url: string, poolSize = 10): Db {
  const pool = createPool(url, {
    max: poolSize,
    types: types as pg.CustomTypesConfig,
    connectionTimeoutMillis: 2_500,
    statement_timeout: 10_000,
    query_timeout: 12_000,
  });
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
}

// SQLSTATE classes 08 (connection), 53 (resources), 57 (operator intervention), and Node's own socket errors.
const unavailable = /^(08|53|57)|^E(CONNREFUSED|CONNRESET|PIPE|TIMEDOUT|HOSTUNREACH|AI_AGAIN|NOTFOUND)|ENOTFOUND$/;
const unavailableMessages =
  /timeout exceeded when trying to connect|Connection terminated|connection error and is not queryable|Query read timeout/;

/** True when Postgres could not be reached or asked to come back later: the statement may be tried again. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return unavailable.test(code) || unavailableMessages.test(error.message);
}

const versionDeadline_ms = 2_500;

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
