import { findCallee, type Callee } from '../../db/agent-calls.ts';
import type { Engine } from '../../db/schema.ts';
import type { Db } from '../../db/index.ts';
import type { Principal } from '../accounts/principal.ts';
import { DomainError, notFound } from '../errors.ts';

/** An agent as it is called: `org/agent@version`, at one of its endpoints. `version` is `v2` or `latest`. */
export type CalledAs = { org: string; agent: string; version: string; endpoint: string };

/** The version that is meant. `ref` is its name in chains; `isOwn`: it is the agent of who calls. */
export type Called = Callee & { ref: string; endpoint: string; engine: Engine; isOwn: boolean };

/** Where every agent may be called, beside where it says. */
const endpoints = ['run', 'analyze'];

/**
 * The agent that is called. Its own account calls any of its versions, others those that are public. Throws `NOT_FOUND` for
 * unknown ones and private ones of others, which are the same, for endpoints that it does not have, and, naming the successor, for
 * a version that was deprecated for too long; `NOT_AN_AGENT` for skills; and for others `AGENT_NOT_CALLABLE`, and `CREDITS_REQUIRED`
 * for one that costs.
 */
export async function findCalled(db: Db, { account_id }: Principal, as: CalledAs): Promise<Called> {
  const number = numberOf(as.version);
  const found = number === undefined ? undefined : await findCallee(db, account_id, { ...as, number });
  if (!found) throw notFound('Agent');
  const { spec, version } = found;
  const name = `${found.org}/${spec.name}`;
  const isOwn = found.owner_id === account_id;
  if (found.is_gone) {
    const next = found.successor ? ` Its successor is ${name}@${found.successor}.` : '';
    throw new DomainError('NOT_FOUND', `${name}@${version} was deprecated, and is gone since its sunset.${next}`);
  }
  if (found.type === 'skill') throw new DomainError('NOT_AN_AGENT', `${name} is a skill, which no one calls.`);
  if (!isOwn && !found.callable) throw new DomainError('AGENT_NOT_CALLABLE', `${name} may not be called.`);
  if (!isOwn && found.price_cents) {
    throw new DomainError('CREDITS_REQUIRED', `${name} costs credits, and there are none on this server yet.`);
  }
  const own = spec.package?.default_endpoint;
  if (as.endpoint !== own && !endpoints.includes(as.endpoint)) {
    const all = [...new Set([own, ...endpoints].filter((one) => one))].join(', ');
    throw new DomainError('NOT_FOUND', `${name} has no endpoint "${as.endpoint.slice(0, 100)}": it has ${all}.`);
  }
  const engine = spec.package?.engine ?? (spec.tools.length > 0 ? 'managed_loop' : 'direct_llm');
  return { ...found, ref: `${name}@${version}`, endpoint: as.endpoint, engine, isOwn };
}

/** Null is the newest; undefined of what no version is called. */
function numberOf(version: string): number | null | undefined {
  if (version === 'latest') return null;
  return /^v[1-9]\d{0,5}$/.test(version) ? Number(version.slice(1)) : undefined;
}
