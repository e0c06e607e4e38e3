import { sql } from 'kysely';
import type { Db } from './index.ts';

/** At most so many of an account in a time; 0 is no limit. */
export type AccountRate = { name: string; most: number; seconds: number };

/**
 * Takes so many of what is limited, and returns how many of them there may be: as many as are left. None, and undefined, of an
 * account that is suspended or gone. It is counted where requests are (`src/http/rate-limits.ts`), in one statement; what is
 * taken again after a crash counts again.
 */
export async function takeOfRate(
  db: Db,
  of: { account_id: string } | { run_id: string },
  { name, most, seconds }: AccountRate,
  wanted = 1,
): Promise<number | undefined> {
  const account = 'run_id' in of ? sql`owner_of(${of.run_id})` : of.account_id;
  const now = sql`(extract(epoch from now()) * 1000)::bigint`;
  const { rows } = await sql<{ points: number }>`
    insert into rate_limits (key, points, expire)
    select ${`${name}:`}::text || account_id, ${wanted}::integer, ${now} + ${seconds}::bigint * 1000 from accounts
    where account_id = ${account} and suspended_at is null
    on conflict (key) do update set
      points = excluded.points + case when rate_limits.expire > ${now} then rate_limits.points else 0 end,
      expire = case when rate_limits.expire > ${now} then rate_limits.expire else excluded.expire end
    returning points`.execute(db);
  const [taken] = rows;
  if (!taken || most === 0) return taken && wanted;
  return Math.max(Math.min(wanted, most - (taken.points - wanted)), 0);
}
