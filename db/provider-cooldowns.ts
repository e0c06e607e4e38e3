import { sql, type ExpressionBuilder } from 'kysely';
import type { Db } from './index.ts';
import type { Database } from './schema.ts';

/** Holds the calls of all runs to this provider back for so long. A longer block stands. */
export async function blockProvider(db: Db, provider_id: string, ms: number): Promise<void> {
  await db
    .insertInto('provider_cooldowns')
    .values({ provider_id, blocked_until: sql`now() + make_interval(secs => ${ms / 1_000})` })
    .onConflict((conflict) =>
      conflict
        .column('provider_id')
        .doUpdateSet({ blocked_until: sql`greatest(provider_cooldowns.blocked_until, excluded.blocked_until)` }),
    )
    .execute();
}

/** Until when a provider takes no calls, and for how many milliseconds. */
export type Cooldown = { provider_id: string; blocked_until: string; ms: number };

/** What holds back calls now: of the operator's own models, and of the providers of the account of a run in the query. */
export function cooldownsOfAccount(eb: ExpressionBuilder<Database, 'runs'>) {
  const own = eb.selectFrom('providers').select('provider_id').whereRef('providers.account_id', '=', 'runs.account_id');
  return eb
    .selectFrom('provider_cooldowns')
    .select([
      'provider_cooldowns.provider_id',
      'blocked_until',
      sql<number>`extract(epoch from blocked_until - now())::float8 * 1000`.as('ms'),
    ])
    .where('blocked_until', '>', sql<string>`now()`)
    .where((cooldown) =>
      cooldown.or([
        cooldown('provider_cooldowns.provider_id', 'like', 'managed/%'),
        cooldown('provider_cooldowns.provider_id', 'in', own),
      ]),
    );
}

/** Of providers that may be called again. */
export async function deleteExpiredCooldowns(db: Db): Promise<void> {
  await db
    .deleteFrom('provider_cooldowns')
    .where('blocked_until', '<', sql<string>`now()`)
    .execute();
}
