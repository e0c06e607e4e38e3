import { sql } from 'kysely';
import type { Db } from './index.ts';

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

/** When the provider may be called again, and in how many milliseconds; undefined when it may be now. */
export function findBlock(db: Db, provider_id: string): Promise<{ blocked_until: string; ms: number } | undefined> {
  return db
    .selectFrom('provider_cooldowns')
    .select(['blocked_until', sql<number>`extract(epoch from blocked_until - now())::float8 * 1000`.as('ms')])
    .where('provider_id', '=', provider_id)
    .where('blocked_until', '>', sql<string>`now()`)
    .executeTakeFirst();
}
