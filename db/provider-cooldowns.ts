import { sql } from 'kysely';
import type { Db } from './index.ts';

type BlockedModel = { provider_id: string; model: string };

/** Holds the calls of all runs to this model of a provider back for so long. A longer block stands. */
export async function blockModel(db: Db, { provider_id, model }: BlockedModel, ms: number): Promise<void> {
  await db
    .insertInto('model_cooldowns')
    .values({ provider_id, model, blocked_until: sql`now() + make_interval(secs => ${ms / 1_000})` })
    .onConflict((conflict) =>
      conflict
        .columns(['provider_id', 'model'])
        .doUpdateSet({ blocked_until: sql`greatest(model_cooldowns.blocked_until, excluded.blocked_until)` }),
    )
    .execute();
}

/** Until when a model of a provider takes no calls, and for how many milliseconds. */
export type Cooldown = BlockedModel & { blocked_until: string; ms: number };

/** What holds back calls now: of the operator's own models, and of the providers of the account of a run in the query. */
export const cooldownsOfAccount = sql<Cooldown>`
  select provider_id, model, blocked_until, extract(epoch from blocked_until - now())::float8 * 1000 as ms
  from model_cooldowns
  where blocked_until > now() and (
    provider_id like 'managed/%'
    or provider_id in (select provider_id from providers where providers.account_id = runs.account_id))`;

/** Of models that may be called again. */
export async function deleteExpiredCooldowns(db: Db): Promise<void> {
  await db
    .deleteFrom('model_cooldowns')
    .where('blocked_until', '<', sql<string>`now()`)
    .execute();
}
