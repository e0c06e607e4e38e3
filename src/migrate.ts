import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, ConnectionOptions } from '@temporalio/client';
import { createDb } from '../db/index.ts';
import { migrateToLatest } from '../db/migrate.ts';
import { loadMigrateConfig } from './config.ts';
import { checkEncryptionKey } from './accounts/encryption-key.ts';
import { searchAttributes } from './temporal/namespace.ts';

/**
 * `npm run migrate`: brings the database to its newest schema, then makes Temporal's namespace ready for runs. With an
 * ENCRYPTION_KEY it also sees, before all, that this is the one of the database.
 */
const config = loadMigrateConfig();
const { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace } = config;

const connectDeadlineMs = 60_000;
const callDeadlineMs = 90_000;

async function migrateDatabase(): Promise<void> {
  const { ENCRYPTION_KEY: keys } = config;
  // A table with millions of rows is rewritten in minutes.
  const db = createDb(config.DATABASE_URL, 1, { statement_timeout: 0 });
  const onHeld = () =>
    console.log('Another session holds a table that is to be changed (see pg_stat_activity); trying again');
  const checked = keys ? checkEncryptionKey(db, keys) : Promise.resolve();
  const applied = await checked
    .then(() => migrateToLatest(db, { onHeld }))
    .catch((error: Error & { code?: string }) => {
      // One host with two addresses fails with an error that has no words.
      throw new Error(`The database could not be migrated: ${error.message || error.code}`, { cause: error });
    })
    .finally(() => db.destroy());
  console.log(applied.length ? `Applied ${applied.join(', ')}` : 'The database is up to date');
}

async function prepareTemporal(): Promise<void> {
  if (!address) {
    console.log('TEMPORAL_ADDRESS is not set: Temporal is left as it is');
    return;
  }
  const { connectionOptions, prepareNamespace } = await import('./temporal/client.ts');
  const connection = await connect({ ...connectionOptions(config), connectTimeout: '5s' });
  try {
    const work = () => prepareNamespace(connection, namespace);
    const created = await connection.withDeadline(Date.now() + callDeadlineMs, work);
    const done = created.length ? `Created in Temporal: ${created.join(', ')}` : 'Temporal is up to date';
    console.log(`${done} (${address}, namespace ${namespace})`);
  } catch (error) {
    // Temporal Cloud, and servers that guard their operator API: someone with the right must do it.
    const attributes = Object.entries(searchAttributes).map(([name, type]) => `${name} (${type})`);
    console.warn(
      `Temporal at ${address} does not let us prepare it: ${(error as Error).message}\n` +
        `Make sure that the namespace ${namespace} exists, and in it the search attributes ${attributes.join(', ')}.`,
    );
  } finally {
    await connection.close();
  }
}

/** Temporal may come up after us. */
async function connect(options: ConnectionOptions): Promise<Connection> {
  const { Connection } = await import('@temporalio/client');
  for (const deadline = Date.now() + connectDeadlineMs; ; await sleep(1_000)) {
    try {
      return await Connection.connect(options);
    } catch (error) {
      if (Date.now() > deadline) {
        throw new Error(`Temporal cannot be reached at ${address} (TEMPORAL_ADDRESS): ${(error as Error).message}`, {
          cause: error,
        });
      }
    }
  }
}

try {
  await migrateDatabase();
  await prepareTemporal();
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
