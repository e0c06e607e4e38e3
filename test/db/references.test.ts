import { expect, test } from 'vitest';
import { sql } from 'kysely';
import { createDb } from '../../db/index.ts';
import { createDatabase } from '../harness/orchflow.ts';

/** What is of a run, or of an account, goes with it: so whoever adds a table need not remember where they are forgotten. */

/** What becomes of the rows of each table with this column when the row that it names is deleted. */
async function listFates(column: 'run_id' | 'account_id', of: string): Promise<Record<string, string | null>> {
  const db = createDb(await createDatabase(), 1);
  const { rows } = await sql<{ name: string; fate: string | null }>`
    select table_name as name, (
      select case confdeltype when 'c' then 'deleted' when 'n' then 'set null' end
      from pg_constraint
      join pg_attribute on attrelid = conrelid and attnum = conkey[1]
      where contype = 'f' and conrelid = table_name::regclass and confrelid = ${of}::regclass and attname = column_name
    ) as fate
    from information_schema.columns
    where table_schema = 'public' and column_name = ${column} and table_name <> ${of}`.execute(db);
  await db.destroy();
  return Object.fromEntries(rows.map(({ name, fate }) => [name, fate]));
}

test('every table with a run_id has its rows deleted with the run', async () => {
  const { idempotency_keys, ...fates } = await listFates('run_id', 'runs');
  // Forgets it when the run is purged (purge_run).
  expect(idempotency_keys).toBe(null);
  expect(Object.keys(fates).length).toBeGreaterThan(10);
  for (const [table, fate] of Object.entries(fates)) expect(fate, table).toBe('deleted');
});

test('every table with an account_id has its rows deleted with the account', async () => {
  const { managed_spending, kept_slugs, purged_runs, files, runs, gates, assignment_looks, usage_deltas, ...fates } =
    await listFates('account_id', 'accounts');
  // Both stay, under no name; goes when it is over; goes when it is out of the store; there is none any more; each goes with its
  // run; goes when it is looked at; goes when it is added up.
  expect({ managed_spending, kept_slugs, purged_runs, files, runs, gates, assignment_looks, usage_deltas }).toEqual({
    managed_spending: null,
    kept_slugs: 'set null',
    purged_runs: 'set null',
    files: 'set null',
    runs: 'deleted',
    gates: null,
    assignment_looks: null,
    usage_deltas: null,
  });
  expect(Object.keys(fates).length).toBeGreaterThan(10);
  for (const [table, fate] of Object.entries(fates)) expect(fate, table).toBe('deleted');
});
