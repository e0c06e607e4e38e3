import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql, type RawBuilder } from 'kysely';
import pg from 'pg';
import { channel, type LiveMessage } from './live.ts';

/** What another program sends on this channel must not end this process. */
function readPayload(payload = ''): LiveMessage[] {
  try {
    const messages: unknown = JSON.parse(payload);
    return Array.isArray(messages) ? messages : [];
  } catch {
    return [];
  }
}

/** Of the advisory locks that say which listeners are alive. */
const aliveLocks = 1_869_763_432;

/** Whether the process that listens under this number is alive: its connection holds the lock of it. */
export function listenerIsAlive(listener: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select from pg_locks
    where locktype = 'advisory' and classid = ${sql.lit(aliveLocks)}::oid and objid = ${listener}::oid and objsubid = 2 and granted
      and database = (select oid from pg_database where datname = current_database()))`;
}

/** How soon a lost connection is replaced, and how often a silent one is tried. */
const reconnectDelay = 1_000;
const pingInterval = 15_000;

/**
 * Hears what all processes tell, on one connection of its own, which is replaced whenever it is lost. `onConnect` says
 * that from now on nothing is missed; what was told before may have been. `listener` is the number under which others see that this
 * process is alive; while it has no connection they do not.
 */
export function listenLive(
  url: string,
  {
    onMessage,
    onConnect,
    onLost,
  }: {
    onMessage: (message: LiveMessage) => void;
    onConnect: () => void;
    onLost: (error: unknown) => void;
  },
): { listener: number; stop: () => Promise<void> } {
  const listener = randomInt(1, 2 ** 31 - 1);
  const stopping = new AbortController();
  const stopped = new Promise<void>((resolve) => stopping.signal.addEventListener('abort', () => resolve()));

  async function listen(): Promise<void> {
    const client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: 2_500,
      query_timeout: 5_000,
      keepAlive: true,
      application_name: 'orchflow-live',
    });
    const lost = Promise.withResolvers<never>();
    lost.promise.catch(() => {});
    client.on('error', lost.reject);
    client.on('end', () => lost.reject(new Error('The connection ended.')));
    client.on('notification', ({ payload }) => readPayload(payload).forEach(onMessage));
    try {
      await client.connect();
      await client.query(`listen ${channel}`);
      // A connection that was lost may hold it for a while, where Postgres has not noticed.
      const live = () => client.query(`select pg_try_advisory_lock(${aliveLocks}, ${listener}) as is_held`);
      let isHeld = (await live()).rows[0]?.is_held === true;
      onConnect();
      while (!stopping.signal.aborted) {
        await Promise.race([lost.promise, stopped, sleep(pingInterval, undefined, { ref: false })]);
        if (isHeld) await client.query('select 1');
        else isHeld = (await live()).rows[0]?.is_held === true;
      }
    } finally {
      void client.end().catch(() => {});
    }
  }

  const listening = (async () => {
    while (!stopping.signal.aborted) {
      await listen().catch((error: unknown) => stopping.signal.aborted || onLost(error));
      await Promise.race([stopped, sleep(reconnectDelay, undefined, { ref: false })]);
    }
  })();

  return {
    listener,
    async stop() {
      stopping.abort();
      await listening;
    },
  };
}
