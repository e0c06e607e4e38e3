import type { Db } from '../../db/index.ts';
import type { AgentSpec } from '../../db/schema.ts';
import type { Principal } from '../accounts/principal.ts';
import { findOffer, readRef } from './offers.ts';
import { packageOf } from './packages.ts';

/** Agents that its manifest names, and that it cannot call, or who calls it from another account cannot. */
export async function remarksOnDependencies(
  { db }: { db: Db },
  { account_id }: Principal,
  { spec, is_public }: { spec: AgentSpec; is_public: boolean },
): Promise<string[]> {
  const found: string[] = [];
  for (const { id, version } of packageOf(spec).manifest?.dependencies ?? []) {
    const ref = { ...readRef(id)!, version };
    const isCallable = async (by: string | null) => {
      const { version: one } = (await findOffer(db, by, ref)) ?? {};
      if (!one || one.is_gone || one.type === 'skill') return false;
      return one.account_id === by || (one.callable && !one.price_cents);
    };
    if (!(await isCallable(account_id))) {
      found.push(`manifest.dependencies: there is no agent ${id}@${version} that you can call; calls of it fail.`);
    } else if (is_public && !(await isCallable(null))) {
      found.push(`manifest.dependencies: ${id}@${version} is not one that callers of other accounts can call.`);
    }
  }
  return found;
}
