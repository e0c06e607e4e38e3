import { sql, type Insertable } from 'kysely';
import type { Db } from './index.ts';
import { withinLimit } from './limits.ts';
import type { Database, Provider, Vendor } from './schema.ts';

/**
 * Returns the provider as it is stored. One of this id that is there already comes from the first try of the request.
 * Throws `LimitReached` when the account has `most` active ones besides this and the one that it replaces.
 */
export function insertProvider(db: Db, provider: Insertable<Database['providers']>, most: number): Promise<Provider> {
  const { account_id, provider_id, replaces = null } = provider;
  const others = sql<{ count: number }>`
    select count(*) from providers
    where account_id = ${account_id} and status = 'active' and run_id is null
      and provider_id <> ${provider_id} and provider_id is distinct from ${replaces}`;
  return withinLimit(db, account_id, { what: 'active providers', most, others }, (trx) =>
    trx
      .insertInto('providers')
      .values(provider)
      .onConflict((conflict) => conflict.column('provider_id').doUpdateSet({ label: provider.label }))
      .returningAll()
      .executeTakeFirstOrThrow(),
  );
}

function activeProviders(db: Db, account_id: string) {
  return db
    .selectFrom('providers')
    .selectAll()
    .where('account_id', '=', account_id)
    .where('status', '=', 'active')
    .where('run_id', 'is', null)
    .orderBy('created_at', 'desc');
}

/** The account's active providers, newest first, as readers may see them, with the time until which each is held back. */
export function listProviders(db: Db, account_id: string): Promise<(Provider & { blocked_until: string | null })[]> {
  return activeProviders(db, account_id)
    .select(sql<string | null>`without_password(base_url)`.as('base_url'))
    .select((eb) =>
      eb
        .selectFrom('model_cooldowns')
        .select(({ fn }) => fn.max('blocked_until').as('blocked_until'))
        .whereRef('model_cooldowns.provider_id', '=', 'providers.provider_id')
        .where('blocked_until', '>', sql<string>`now()`)
        .as('blocked_until'),
    )
    .execute();
}

export function findActiveProvider(db: Db, account_id: string, provider_id: string): Promise<Provider | undefined> {
  return activeProviders(db, account_id).where('provider_id', '=', provider_id).executeTakeFirst();
}

/** The account's newest active provider of a vendor. */
export function findNewestProvider(db: Db, account_id: string, vendor: Vendor): Promise<Provider | undefined> {
  return activeProviders(db, account_id).where('provider', '=', vendor).limit(1).executeTakeFirst();
}

/** The account's provider of this id, active or not. */
export function findProvider(db: Db, account_id: string, provider_id: string): Promise<Provider | undefined> {
  return db
    .selectFrom('providers')
    .selectAll()
    .where('account_id', '=', account_id)
    .where('provider_id', '=', provider_id)
    .executeTakeFirst();
}

/** What is needed to call one. */
export type UsableProvider = Pick<
  Provider,
  'provider_id' | 'account_id' | 'provider' | 'model' | 'base_url' | 'api_key_encrypted'
>;

/** The active ones among those that a run in the query and its agents name. */
export const providersOfRun = sql<UsableProvider>`
  select provider_id, account_id, provider, model, base_url, api_key_encrypted
  from providers
  where providers.account_id = runs.account_id and status = 'active' and (
    provider_id = runs.provider_id
    or runs.fallback_provider_ids ? provider_id
    or exists (select from jsonb_array_elements(runs.agents) as agent where agent ->> 'provider_id' = provider_id))`;

const maxReplacements = 20;

/** The provider, or, when it is not active any more, the newest one that was registered in its place, and so on. */
export async function findUsableProvider(
  db: Db,
  account_id: string,
  provider_id: string,
): Promise<Provider | undefined> {
  let provider = await findProvider(db, account_id, provider_id);
  for (let hops = 0; provider?.status === 'inactive' && hops < maxReplacements; hops += 1) {
    provider = await db
      .selectFrom('providers')
      .selectAll()
      .where('account_id', '=', account_id)
      .where('replaces', '=', provider.provider_id)
      .orderBy('created_at', 'desc')
      .limit(1)
      .executeTakeFirst();
  }
  return provider?.status === 'active' ? provider : undefined;
}

/** Deactivates a provider, and forgets its key. Returns false when the account has no active one of this id. */
export async function deactivateProvider(db: Db, account_id: string, provider_id: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('providers')
    .set({ status: 'inactive', api_key_encrypted: null })
    .where('account_id', '=', account_id)
    .where('provider_id', '=', provider_id)
    .where('status', '=', 'active')
    .where('run_id', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}
