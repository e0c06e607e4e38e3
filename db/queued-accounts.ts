import { sql, type RawBuilder } from 'kysely';

/**
 * For a `with recursive`: the table `queued`, with the `account_id` of each account that has rows in `table` which `isQueued`, and
 * which an index leads to by their account. Each account is looked for after the one before, so that what waits of one costs
 * no other anything.
 */
export function queuedAccounts(
  table: 'runs' | 'webhook_deliveries',
  isQueued: RawBuilder<boolean>,
): RawBuilder<unknown> {
  return sql`queued as (
    (select account_id from ${sql.table(table)} where ${isQueued} order by account_id limit 1)
    union all
    select following.account_id
    from queued, lateral (
      select account_id from ${sql.table(table)}
      where ${isQueued} and account_id > queued.account_id
      order by account_id limit 1) as following
  )`;
}
