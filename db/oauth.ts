import { sql } from 'kysely';
import type { Db } from './index.ts';
import type { OAuthArtifact } from './schema.ts';

/**
 * What OAuth clients are given, and what is under way until then. Codes and tokens are found by their SHA-256, as keys are. All of
 * it goes with its grant, and that with the key that has consented, and with the client.
 */

type Payload = Record<string, unknown>;

/** What is known of a code or a token: also for how long it has been used, in milliseconds; null when it was not. */
export type Stored = Pick<OAuthArtifact, 'payload' | 'uses'> & { used_ms: number | null };

/** Keeps that a key has consented to what a client asked for. */
export async function insertGrant(
  db: Db,
  grant: { grant_id: string; client_id: string; key_id: string; payload: Payload },
  seconds: number,
): Promise<void> {
  const { grant_id, client_id, key_id } = grant;
  const payload = JSON.stringify(grant.payload);
  await db
    .insertInto('oauth_grants')
    .values({ grant_id, client_id, key_id, payload, expires_at: inSeconds(seconds) })
    .onConflict((conflict) => conflict.column('grant_id').doUpdateSet({ payload, expires_at: inSeconds(seconds) }))
    .execute();
}

/** A grant whose key is still good. */
export async function findGrant(db: Db, grant_id: string): Promise<Payload | undefined> {
  const found = await db
    .selectFrom('oauth_grants')
    .innerJoin('api_keys', 'api_keys.key_id', 'oauth_grants.key_id')
    .select('payload')
    .where('oauth_grants.grant_id', '=', grant_id)
    .where(sql<boolean>`(api_keys.expires_at is null or api_keys.expires_at > now())`)
    .executeTakeFirst();
  return found?.payload;
}

/** Takes a grant back, with all that was given by it. */
export async function deleteGrant(db: Db, grant_id: string): Promise<void> {
  await db.deleteFrom('oauth_grants').where('grant_id', '=', grant_id).execute();
}

/** Keeps a code, a refresh token or an interaction, or what has changed of it. */
export async function saveArtifact(
  db: Db,
  artifact: Pick<OAuthArtifact, 'id_sha256' | 'kind' | 'client_id' | 'grant_id'> & { payload: Payload },
  seconds: number,
): Promise<void> {
  const payload = JSON.stringify(artifact.payload);
  await db
    .insertInto('oauth_artifacts')
    .values({ ...artifact, payload, expires_at: inSeconds(seconds) })
    .onConflict((conflict) => conflict.column('id_sha256').doUpdateSet({ payload, expires_at: inSeconds(seconds) }))
    .execute();
}

export function findArtifact(db: Db, kind: OAuthArtifact['kind'], id_sha256: string): Promise<Stored | undefined> {
  return db
    .selectFrom('oauth_artifacts')
    .select(['payload', 'uses'])
    .select(sql<number | null>`extract(epoch from clock_timestamp() - used_at)::float8 * 1000`.as('used_ms'))
    .where('id_sha256', '=', id_sha256)
    .where('kind', '=', kind)
    .executeTakeFirst();
}

/** How many refresh tokens of the grant of this one were used in the last hour. */
export async function countRefreshes(db: Db, id_sha256: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from oauth_artifacts
    where grant_id = (select grant_id from oauth_artifacts where id_sha256 = ${id_sha256}) and kind = 'RefreshToken'
      and used_at > now() - interval '1 hour'`.execute(db);
  return rows[0]!.count;
}

/**
 * Uses a code or a refresh token: the first time, and within `grace_ms` of that up to `most` times in all. Returns whether this was
 * one of these. It is kept for a day more at most, to be known when it comes again.
 */
export async function takeArtifact(
  db: Db,
  id_sha256: string,
  { most, grace_ms }: { most: number; grace_ms: number },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('oauth_artifacts')
    .set({ uses: sql`uses + 1`, used_at: sql`coalesce(used_at, clock_timestamp())`, expires_at: keptUsed })
    .where('id_sha256', '=', id_sha256)
    .where('uses', '<', most)
    .where(
      sql<boolean>`(used_at is null or used_at > clock_timestamp() - ${grace_ms}::float8 * interval '1 millisecond')`,
    )
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

const keptUsed = sql<string>`least(expires_at, now() + interval '1 day')`;

export async function deleteArtifact(db: Db, id_sha256: string): Promise<void> {
  await db.deleteFrom('oauth_artifacts').where('id_sha256', '=', id_sha256).execute();
}

/** Deletes the codes, or the refresh tokens, of a grant. */
export async function deleteArtifactsOf(db: Db, kind: OAuthArtifact['kind'], grant_id: string): Promise<void> {
  await db.deleteFrom('oauth_artifacts').where('grant_id', '=', grant_id).where('kind', '=', kind).execute();
}

/**
 * Keeps an access token: a key of the account that has let the client, of the mode of the key that has consented, and not for
 * longer than that. Returns false, and nothing is kept, when its grant is gone.
 */
export async function insertAccessToken(
  db: Db,
  token: { key_sha256: string; key_prefix: string; grant_id: string; scopes: string[] },
  seconds: number,
): Promise<boolean> {
  const { key_sha256, key_prefix, grant_id, scopes } = token;
  const { numAffectedRows } = await sql`
    insert into api_keys (key_sha256, key_prefix, name, account_id, scopes, mode, grant_id, expires_at)
    select ${key_sha256}, ${key_prefix}, oauth_clients.name, consenting.account_id, ${scopes}, consenting.mode, oauth_grants.grant_id,
      least(consenting.expires_at, ${inSeconds(seconds)})
    from oauth_grants
    join oauth_clients using (client_id)
    join api_keys as consenting using (key_id)
    where oauth_grants.grant_id = ${grant_id}`.execute(db);
  return numAffectedRows === 1n;
}

/** What an access token says, which is no more than stands in its row. */
export function findAccessToken(db: Db, key_sha256: string) {
  return db
    .selectFrom('api_keys')
    .innerJoin('oauth_grants', 'oauth_grants.grant_id', 'api_keys.grant_id')
    .select(['oauth_grants.grant_id', 'oauth_grants.client_id', 'oauth_grants.key_id', 'scopes'])
    .select(sql<number>`extract(epoch from api_keys.created_at)::float8`.as('iat'))
    .select(sql<number>`extract(epoch from api_keys.expires_at)::float8`.as('exp'))
    .where('key_sha256', '=', key_sha256)
    .executeTakeFirst();
}

export async function deleteAccessToken(db: Db, key_sha256: string): Promise<void> {
  await db.deleteFrom('api_keys').where('key_sha256', '=', key_sha256).where('grant_id', 'is not', null).execute();
}

export async function deleteAccessTokensOf(db: Db, grant_id: string): Promise<void> {
  await db.deleteFrom('api_keys').where('grant_id', '=', grant_id).execute();
}

/** What has expired, and grants by which nothing is left that could be used or exchanged. */
export async function deleteExpiredGrants(db: Db): Promise<void> {
  await sql`delete from oauth_artifacts where expires_at <= now()`.execute(db);
  await sql`
    delete from oauth_grants
    where expires_at <= now() or created_at < now() - interval '1 day'
      and not exists (select from oauth_artifacts where oauth_artifacts.grant_id = oauth_grants.grant_id)
      and not exists (select from api_keys where api_keys.grant_id = oauth_grants.grant_id)`.execute(db);
}

function inSeconds(seconds: number) {
  return sql<string>`now() + ${seconds}::float8 * interval '1 second'`;
}
