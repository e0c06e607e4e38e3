import { sql, type Kysely } from 'kysely';

/** Applications that act for accounts (OAuth 2.0): who they are, what they were allowed, and the codes and tokens of that. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    -- In the order in which requests lock them.
    lock table accounts in share row exclusive mode;
    lock table api_keys in access exclusive mode;

    create table oauth_clients (
      client_id text primary key,
      account_id text not null references accounts on delete cascade,
      name text not null,
      type text not null,
      redirect_uris text[] not null,
      scopes text[] not null,
      secret_sha256 text,
      created_at timestamptz(3) not null default now()
    );
    create index oauth_clients_account on oauth_clients (account_id, created_at desc, client_id desc);

    -- Goes with the key that has consented, and with the client; and all that was given by it goes with it.
    create table oauth_grants (
      grant_id text primary key,
      client_id text not null references oauth_clients on delete cascade,
      key_id text not null references api_keys (key_id) on delete cascade,
      payload json not null,
      created_at timestamptz(3) not null default now(),
      expires_at timestamptz(3) not null
    );
    create index oauth_grants_client on oauth_grants (client_id);
    create index oauth_grants_key on oauth_grants (key_id);
    create index oauth_grants_expiry on oauth_grants (expires_at);

    create table oauth_artifacts (
      id_sha256 text primary key,
      kind text not null,
      client_id text not null references oauth_clients on delete cascade,
      grant_id text references oauth_grants on delete cascade,
      payload json not null,
      uses integer not null default 0,
      used_at timestamptz(3),
      expires_at timestamptz(3) not null
    );
    create index oauth_artifacts_client on oauth_artifacts (client_id);
    create index oauth_artifacts_grant on oauth_artifacts (grant_id) where grant_id is not null;
    create index oauth_artifacts_expiry on oauth_artifacts (expires_at);

    -- Access tokens are keys, which last for as long as their grant does.
    alter table api_keys
      add column grant_id text references oauth_grants on delete cascade;
    create index api_keys_grant on api_keys (grant_id) where grant_id is not null;
  `.execute(db);
}
