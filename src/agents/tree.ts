import type { Db } from '../../db/index.ts';
import type { OfferedVersion } from '../../db/published-agents.ts';
import type { Principal } from '../accounts/principal.ts';
import { DomainError } from '../errors.ts';
import { getOffer, readRef, type OfferRef } from './offers.ts';
import { packageOf } from './packages.ts';

/** What an agent depends on, as manifests say it. */
export type Tree = {
  agent: string;
  version: string;
  status: 'found' | 'not_found' | 'cycle' | 'too_deep';
  dependencies: Tree[];
};

const maxDepth = 5;
const maxAgents = 100;

/** The dependencies of an agent that this account sees, one after another. Throws `NOT_FOUND` for the first. */
export async function dependencyTree(
  { db }: { db: Db },
  { account_id }: Pick<Principal, 'account_id'>,
  ref: OfferRef,
): Promise<Tree> {
  let left = maxAgents;
  const { version } = await getOffer(db, account_id, ref);
  return treeOf(version, []);

  async function treeOf(found: OfferedVersion, above: string[]): Promise<Tree> {
    const agent = `${found.org_slug}/${found.name}`;
    const dependencies: Tree[] = [];
    for (const { id, version: wanted } of packageOf(found.spec).manifest?.dependencies ?? []) {
      dependencies.push(await branch(id.toLowerCase(), wanted, [...above, agent.toLowerCase()]));
    }
    return { agent, version: `v${found.number}`, status: 'found', dependencies };
  }

  async function branch(agent: string, wanted: string, above: string[]): Promise<Tree> {
    const leaf = (status: Tree['status']): Tree => ({ agent, version: wanted, status, dependencies: [] });
    if (above.includes(agent)) return leaf('cycle');
    if (above.length >= maxDepth || left === 0) return leaf('too_deep');
    left -= 1;
    const one = readRef(`${agent}@${wanted}`);
    const found = one && (await getOffer(db, account_id, one).catch(unlessUnknown));
    return found ? treeOf(found.version, above) : leaf('not_found');
  }
}

function unlessUnknown(error: unknown): undefined {
  if (!(error instanceof DomainError && error.code === 'NOT_FOUND')) throw error;
}
