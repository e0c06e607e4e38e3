import { sql, type Kysely } from 'kysely';

/** Slugs under which agents were public: others call by them, and must not come to somebody else. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';

    -- Also of accounts that have another slug by now, and, without one, of those that are deleted.
    create table kept_slugs (
      slug text primary key,
      account_id text references accounts on delete set null
    );
    create index kept_slugs_account on kept_slugs (account_id);

    -- What it does is in the file of its name, and made after migrating.
    create function keep_slug() returns trigger language plpgsql as 'begin return null; end';
    create trigger keeps_slug after insert or update of is_public on agent_versions for each row
      when (new.is_public) execute function keep_slug();

    insert into kept_slugs (slug, account_id)
    select distinct accounts.slug, accounts.account_id
    from accounts join agents using (account_id) join agent_versions using (agent_id) where is_public
    on conflict do nothing;
  `.execute(db);
}
