import { sql, type Kysely } from 'kysely';

/** The table that rate-limiter-flexible expects. Unlogged: it is written often, and a crash may forget it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create unlogged table rate_limits (
      key varchar(255) primary key,
      points integer not null default 0,
      expire bigint
    );
  `.execute(db);
}
