import { sql, type Insertable } from 'kysely';
import type { Db } from './index.ts';
import type { Database, Provider, Vendor } from './schema.ts';

/** Returns the provider as it is stored. One of this id that is there already comes from the first try of the request. */
export function insertProvider(db: Db, provider: Insertable<Database['providers']>): Promise<Provider> {
  return db
    .insertInto('providers')
    .values(provider)
    .onConflict((conflict) => conflict.column('provider_id').doUpdateSet({ label: provider.label }))
    .returningAll()
    .executeTakeFirstOrThrow();
}

function activeProviders(db: Db, account_id: string) {
  return db
    .selectFrom('providers')
    .selectAll()
    .where('account_id', '=', account_id)
    .where('status', '=', 'active')
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
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}
