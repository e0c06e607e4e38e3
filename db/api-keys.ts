import { sql, type Insertable } from 'kysely';
import type { Db } from './index.ts';
import { holdAccount, limitReached } from './limits.ts';
import { byTime, onPage, type Page } from './pages.ts';
import type { ApiKey, Database, Mode } from './schema.ts';

/** Of a key, what its account reads: not the key. */
export type KeyView = Pick<
  ApiKey,
  'key_id' | 'name' | 'mode' | 'key_prefix' | 'scopes' | 'created_at' | 'expires_at' | 'last_used_at'
>;
const viewColumns = [
  'key_id',
  'name',
  'mode',
  'key_prefix',
  'scopes',
  'created_at',
  'expires_at',
  'last_used_at',
] as const satisfies (keyof KeyView)[];

export const isGood = sql<boolean>`(api_keys.expires_at is null or api_keys.expires_at > now())`;
const isUseOld = sql<boolean>`coalesce(last_used_at < now() - interval '1 minute', true)`;

/**
 * Those of an account itself: people have theirs with them (`db/people.ts`), clients what they were given (`db/oauth.ts`), agents
 * their own (`db/agent-keys.ts`), and code one of its run.
 */
const isOfAccount = sql<boolean>`person_id is null and grant_id is null and agent_id is null and run_id is null`;

/**
 * Whose a key is, its name and what it may do, with the tier of its account, by the key's SHA-256; undefined for one that is unknown, has expired, or is of a
 * person who is not active. The key of a person has their name. An access token of a client is for the key that has consented, and
 * no other; `client_id` is whose it is, and it has the name of that; it is unknown while the account that has registered the client
 * is suspended. `run_id` is the run whose code has the key, and null of all other keys. `is_use_old`: its last use was noted more than a minute ago.
 */
export function findPrincipalByKey(db: Db, key_sha256: string) {
  return db
    .selectFrom('api_keys')
    .innerJoin('accounts', 'accounts.account_id', 'api_keys.account_id')
    .leftJoin('people', 'people.person_id', 'api_keys.person_id')
    .leftJoin('oauth_grants', 'oauth_grants.grant_id', 'api_keys.grant_id')
    .leftJoin('oauth_clients', 'oauth_clients.client_id', 'oauth_grants.client_id')
    .leftJoin('accounts as developers', 'developers.account_id', 'oauth_clients.account_id')
    .select(['api_keys.account_id', 'api_keys.scopes', 'api_keys.person_id', 'api_keys.run_id', 'mode'])
    .select('api_keys.expires_at')
    .select(['accounts.suspended_at', 'accounts.tier', 'oauth_grants.client_id'])
    .select((eb) => eb.fn.coalesce('oauth_grants.key_id', 'api_keys.key_id').as('key_id'))
    .select((eb) => eb.fn.coalesce('people.name', 'api_keys.name').as('key_name'))
    .select(isUseOld.as('is_use_old'))
    .where('key_sha256', '=', key_sha256)
    .where(isGood)
    .where('developers.suspended_at', 'is', null)
    .where((eb) => eb.or([eb('api_keys.person_id', 'is', null), eb('people.status', '=', 'active')]))
    .executeTakeFirst();
}

/**
 * Notes that a key is used now, by its SHA-256, at most once a minute; of an access token, the key that has consented too, so that
 * nobody deletes one that still lets somebody in.
 */
export async function noteUse(db: Db, key_sha256: string): Promise<void> {
  await db
    .updateTable('api_keys')
    .set({ last_used_at: sql`now()` })
    .where((eb) =>
      eb.or([
        eb('key_sha256', '=', key_sha256),
        eb('key_id', '=', (query) =>
          query
            .selectFrom('api_keys as token')
            .innerJoin('oauth_grants', 'oauth_grants.grant_id', 'token.grant_id')
            .select('oauth_grants.key_id')
            .where('token.key_sha256', '=', key_sha256),
        ),
      ]),
    )
    .where(isUseOld)
    .execute();
}

/** The keys of an account itself that have not expired, newest first. */
export function listKeys(db: Db, account_id: string): Promise<KeyView[]> {
  return db
    .selectFrom('api_keys')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .where(isOfAccount)
    .where(isGood)
    .orderBy('created_at', 'desc')
    .orderBy('key_id')
    .execute();
}

/** A page of those keys, in the order of when they were made, the newest first unless `sort` is `created_at`. */
export function listKeyPage(
  db: Db,
  account_id: string,
  { mode, ...page }: Page & { mode?: Mode | undefined },
): Promise<KeyView[]> {
  const keys = db
    .selectFrom('api_keys')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .where(isOfAccount)
    .where(isGood)
    .$if(mode !== undefined, (query) => query.where('mode', '=', mode!));
  return onPage(keys, byTime('created_at', 'key_id'), page).execute();
}

/** A key of the account that has not expired, or undefined. */
export function findKey(db: Db, account_id: string, key_id: string): Promise<KeyView | undefined> {
  return db
    .selectFrom('api_keys')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .where('key_id', '=', key_id)
    .where(isOfAccount)
    .where(isGood)
    .executeTakeFirst();
}

/**
 * Adds a key, which ends with the key that asks unless before. Returns undefined when that is gone by now; null is the operator.
 * Throws `LimitReached` when its account has `most` others. One of the same id, which a first try made whose answer nobody got, is
 * replaced.
 */
export function insertKey(
  db: Db,
  key: Omit<Insertable<Database['api_keys']>, 'expires_at'>,
  { asking_key_id, expires_in_ms, most }: { asking_key_id: string | null; expires_in_ms: number | null; most: number },
): Promise<KeyView | undefined> {
  const { account_id, key_sha256, key_prefix } = key;
  return db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id);
    const asking = asking_key_id === null ? undefined : await findKey(trx, account_id, asking_key_id);
    if (asking_key_id !== null && !asking) return undefined;
    await trx
      .deleteFrom('api_keys')
      .where('account_id', '=', account_id)
      .where('expires_at', '<=', sql<string>`now()`)
      .execute();
    const { others } = await trx
      .selectFrom('api_keys')
      .select((eb) => eb.fn.countAll<string>().as('others'))
      .where('account_id', '=', account_id)
      .where('key_id', '<>', key.key_id!)
      .where(isOfAccount)
      .executeTakeFirstOrThrow();
    if (Number(others) >= most) throw limitReached('API keys', most);
    const expires_at = sql<string | null>`
      least(now() + ${expires_in_ms}::float8 * interval '1 millisecond', ${asking?.expires_at ?? null}::timestamptz)`;
    return trx
      .insertInto('api_keys')
      .values({ ...key, expires_at })
      .onConflict((conflict) => conflict.column('key_id').doUpdateSet({ key_sha256, key_prefix }))
      .returning(viewColumns)
      .executeTakeFirstOrThrow();
  });
}

/** Deletes a key, unless it is the last live one of its account that may do everything. Says what became of it. */
export function deleteKey(
  db: Db,
  account_id: string,
  { key_id, asking_key_id }: { key_id: string; asking_key_id: string },
): Promise<'deleted' | 'is_last' | 'not_found'> {
  return db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id);
    const good = await trx
      .selectFrom('api_keys')
      .select(['key_id', sql<boolean>`'*' = any(scopes) and mode = 'live'`.as('may_all')])
      .where('account_id', '=', account_id)
      .where(isOfAccount)
      .where(isGood)
      .execute();
    const key = good.find((one) => one.key_id === key_id);
    if (!key || !good.some((one) => one.key_id === asking_key_id)) return 'not_found';
    if (key.may_all && !good.some((other) => other.may_all && other !== key)) return 'is_last';
    await trx.deleteFrom('api_keys').where('account_id', '=', account_id).where('key_id', '=', key_id).execute();
    return 'deleted';
  });
}

export async function deleteExpiredKeys(db: Db): Promise<void> {
  await db
    .deleteFrom('api_keys')
    .where('expires_at', '<=', sql<string>`now()`)
    .execute();
}
