import { isLedByOthers } from '../../db/call-chains.ts';
import type { Db } from '../../db/index.ts';
import type { OfferedVersion } from '../../db/published-agents.ts';
import type { Engine } from '../../db/schema.ts';
import type { Principal } from '../accounts/principal.ts';
import { getOffer, requireUsable, sunsetOf } from '../agents/offers.ts';
import { packageOf } from '../agents/packages.ts';
import { DomainError } from '../errors.ts';

/** An agent as it is called: `org/agent@version`, at one of its endpoints. `version` is `v2` or `latest`. */
export type CalledAs = { org: string; agent: string; version: string; endpoint: string };

/**
 * The version that is meant. `seer` is the account that it is looked for by, and null for anybody. `name` is `org/agent`, and `ref` that with its version, as chains have it. `isOwn`: it is the agent of who
 * looks for it. Of one that is deprecated, when it goes, and what to call in its place.
 */
export type Called = Pick<OfferedVersion, 'agent_id' | 'version_id' | 'spec' | 'code_hash' | 'entrypoint'> & {
  owner_id: string;
  seer: string | null;
  name: string;
  version: string;
  ref: string;
  endpoint: string;
  engine: Engine;
  isOwn: boolean;
  deprecated?: { sunset: Date; successor: string | null };
};

/** Where every agent may be called, beside where it says. */
const endpoints = ['run', 'analyze'];

/** Whose eyes a call is made with. What strangers lead to sees what anybody does: it is in the account of who calls, and not of theirs. */
async function seerOf(db: Db, { account_id, run_id }: Principal): Promise<string | null> {
  return run_id && (await isLedByOthers(db, run_id)) ? null : account_id;
}

/**
 * The agent that is called. Its own account calls any of its versions, others, and a run that others lead, those that are public. Throws `NOT_FOUND` for
 * unknown ones and private ones of others, which are the same, for endpoints that it does not have, and, naming the successor, for
 * a version that was deprecated for too long; `NOT_AN_AGENT` for skills; and for others `AGENT_NOT_CALLABLE`, and `CREDITS_REQUIRED`
 * for one that costs.
 */
export async function findCalled(db: Db, principal: Principal, as: CalledAs): Promise<Called> {
  const seer = await seerOf(db, principal);
  const { version: found, successor } = await getOffer(db, seer, as);
  const { account_id: owner_id, spec, agent_id, version_id, code_hash, entrypoint, deprecated_at } = found;
  const name = `${found.org_slug}/${spec.name}`;
  const version = `v${found.number}`;
  const isOwn = owner_id === seer;
  if (found.type === 'skill') throw new DomainError('NOT_AN_AGENT', `${name} is a skill, which nobody calls.`);
  requireUsable(found, seer);
  const { engine, default_endpoint: own } = packageOf(spec);
  if (as.endpoint !== own && !endpoints.includes(as.endpoint)) {
    const all = [...new Set([own, ...endpoints])].join(', ');
    throw new DomainError('NOT_FOUND', `${name} has no endpoint "${as.endpoint.slice(0, 100)}": it has ${all}.`);
  }
  return {
    owner_id,
    seer,
    agent_id,
    version_id,
    spec,
    code_hash,
    entrypoint,
    name,
    version,
    ref: `${name}@${version}`,
    endpoint: as.endpoint,
    engine,
    isOwn,
    ...(deprecated_at !== null && {
      deprecated: { sunset: sunsetOf(deprecated_at), successor: successor === null ? null : `v${successor}` },
    }),
  };
}
