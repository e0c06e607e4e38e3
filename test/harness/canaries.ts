import assert from 'node:assert/strict';
import { sql } from 'kysely';
import { createDb } from '../../db/index.ts';
import { loadConfig } from '../../src/config.ts';
import { isWellFormedKey } from '../../src/crypto.ts';
import { createTemporalClient } from '../../src/temporal/client.ts';

/**
 * Every test is a search for leaks as well. The secrets of tests have forms that nothing else has (our own keys and
 * webhook secrets, and providers' keys, which begin with `sk-canary`), or are in their Orchflow's environment. No text
 * that leaves the product, or stays in it, may hold one.
 */
const secretForms = /(?:orch|os_(?:live|test|oat|ort|oac|cs))_[0-9A-Za-z]{49}|whsec_[\w+/]{43}|sk-canary[\w-]*/;

/** A prefix so short comes by chance in what is sealed; the checksum of a key does not. */
const shortForm = /sk_[0-9A-Za-z]{49}/g;

function secretIn(text: string): string | undefined {
  return secretForms.exec(text)?.[0] ?? text.match(shortForm)?.find(isWellFormedKey);
}

/** The secrets of these settings. */
function secretsOf(env: Record<string, string>): string[] {
  const { ENCRYPTION_KEY = '', CODEC_TOKEN = '', REGISTRATION_CODES = '', DATABASE_URL = '' } = env;
  return [
    ...ENCRYPTION_KEY.split(','),
    ...REGISTRATION_CODES.split(','),
    CODEC_TOKEN,
    new URL(DATABASE_URL).password,
  ].filter(Boolean);
}

/** Throws when there is a secret in the text: one with a form, or one of this environment. */
export function assertNoSecret(text: string, where: string, env?: Record<string, string>): void {
  const found = secretIn(text) ?? (env && secretsOf(env).find((secret) => text.includes(secret)));
  if (found === undefined) return;
  const at = text.indexOf(found);
  assert.fail(`A secret is in ${where}: ${text.slice(Math.max(at - 300, 0), at + found.length)}`);
}

/** Throws when an Orchflow has left a secret in the text of its database, in Temporal, or in its log. */
export async function assertNothingLeaked(env: Record<string, string>, log: string): Promise<void> {
  const config = loadConfig(env);
  const db = createDb(config.DATABASE_URL, 1, { statement_timeout: 0 });
  const { connection, workflow } = createTemporalClient(config);
  try {
    assertNoSecret(log, 'the log', env);

    const { rows: tables } = await sql<{ name: string }>`
      select table_name as name from information_schema.tables where table_schema = 'public'`.execute(db);
    for (const { name } of tables) {
      const { rows } = await sql<{ text: string | null }>`
        select string_agg(t::text, E'\n') as text from ${sql.table(name)} t`.execute(db);
      assertNoSecret(rows[0]?.text ?? '', `table ${name}`, env);
    }

    // Of its runs and its deliveries, and what they were before they continued as new.
    for await (const { workflowId, runId } of workflow.list({ query: `TaskQueue = '${config.TEMPORAL_TASK_QUEUE}'` })) {
      const history = await workflow.getHandle(workflowId, runId).fetchHistory();
      assertNoSecret(textsOf(history).join('\n'), `the history of ${workflowId}`, env);
    }
  } finally {
    await Promise.all([db.destroy(), connection.close()]);
  }
}

/** All texts of a history: its fields, and its payloads. */
export function textsOf(value: unknown): string[] {
  if (value instanceof Uint8Array) return [Buffer.from(value).toString()];
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
}
