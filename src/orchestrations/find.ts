import type { Db } from '../../db/index.ts';
import { findOrchestration } from '../../db/orchestrations.ts';
import type { Definition } from '../../workflows/contract/definition.ts';
import type { Principal } from '../accounts/principal.ts';
import { notFound } from '../errors.ts';
import { shippedOrchestrations } from './definitions.ts';

/** Without timestamps: it ships with Orchflow. */
export type Orchestration = {
  id: string;
  hash: string;
  definition: Definition;
  created_at?: string;
  updated_at?: string;
};

/** The orchestration of this id that the account sees: a shipped one, or its own. Throws `NOT_FOUND` when there is none. */
export async function getOrchestration(db: Db, { account_id }: Principal, id: string): Promise<Orchestration> {
  const shipped = shippedOrchestrations.find((orchestration) => orchestration.id === id);
  const found = shipped ?? (await findOrchestration(db, account_id, id));
  if (!found) throw notFound('Orchestration');
  return found;
}
