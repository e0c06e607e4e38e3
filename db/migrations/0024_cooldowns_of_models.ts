import { sql, type Kysely } from 'kysely';

/**
 * A provider holds back the model that it said so of, and not its others. `provider_cooldowns` is left to the processes of
 * the release before.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table model_cooldowns (
      provider_id text not null,
      model text not null,
      blocked_until timestamptz(3) not null,
      primary key (provider_id, model)
    )`.execute(db);
}
