import { insertRunKey } from '../../db/api-keys.ts';
import type { Db } from '../../db/index.ts';
import type { Mode } from '../../db/schema.ts';
import { makeKey } from './keys.ts';
import type { Scope } from './scopes.ts';

/** What code that is run may do in the name of its account: call other agents, and read what becomes of that. */
const scopesOfCode: Scope[] = ['agents:read', 'agents:call', 'runs:read', 'runs:write'];

/**
 * A key for one run of code, which is shown to nobody else and counts for nothing among the account's keys. It expires by itself;
 * who ends the run takes it back (`endCodeRun`).
 */
export async function mintRunKey(
  db: Db,
  { account_id, run_id, mode }: { account_id: string; run_id: string; mode: Mode },
  expires_in_ms: number,
): Promise<{ key_id: string; key: string }> {
  const { api_key, row } = makeKey(`run ${run_id}`, scopesOfCode, { mode });
  await insertRunKey(db, { ...row, account_id, run_id }, expires_in_ms);
  return { key_id: row.key_id, key: api_key };
}
