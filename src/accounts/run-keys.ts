import type { KeyOfCode } from '../../db/code-runs.ts';
import type { Mode } from '../../db/schema.ts';
import { makeKey } from './keys.ts';
import type { Scope } from './scopes.ts';
import { reservedSlugs } from './slugs.ts';

/** What code that is run may do in the name of its account: call other agents, and read runs of the chain that it is in (`requireScope`). */
const scopesOfCode: Scope[] = ['agents:call', 'runs:read'];

const callPath =
  /^\/([a-z0-9][a-z0-9-]{0,63})\/[a-z0-9][a-z0-9._-]{0,99}\/(?:latest|v\d{1,6})\/[a-z0-9][a-z0-9_-]{0,63}$/;
const runPath = /^\/(?:api\/v1|v1|workspaces\/[\w-]+)\/runs\/[\w-]+(?:\/[\w-]+){0,3}$/;

/**
 * Whether a key of a run is of any use there: what leads out of a sandbox to the API passes nothing else. The path is as it was sent,
 * without its query; one with an escape (`%2F`) is none.
 */
export function isForRunKeys(method: string, path: string): boolean {
  if (method === 'GET') return runPath.test(path);
  const [, org] = callPath.exec(path) ?? [];
  return method === 'POST' && org !== undefined && !reservedSlugs.has(org);
}

/**
 * A key for one run of code, which is shown to nobody else and counts for nothing among the account's keys. It is there once the code
 * has begun (`beginCodeRun`) and expires by itself; who ends the run takes it back (`endCodeRun`).
 */
export function makeRunKey(
  { account_id, run_id, mode }: { account_id: string; run_id: string; mode: Mode },
  expires_in_ms: number,
): { key: string; row: KeyOfCode } {
  const { api_key: key, row } = makeKey(`run ${run_id}`, scopesOfCode, { mode });
  return { key, row: { ...row, account_id, run_id, expires_in_ms } };
}
