import { sql, type Kysely } from 'kysely';

/** A provider holds back the model that it said so of, and not its others. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table provider_cooldowns in access exclusive mode;

    -- Of which model they are is not known; who calls too early is told so again.
    delete from provider_cooldowns;
    alter table provider_cooldowns add column model text not null;
    alter table provider_cooldowns drop constraint provider_cooldowns_pkey;
    alter table provider_cooldowns add primary key (provider_id, model);
  `.execute(db);
}
