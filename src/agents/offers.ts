import type { Db } from '../../db/index.ts';
import { deprecationDays, listSeenVersions, listVersions, type OfferedVersion } from '../../db/published-agents.ts';
import { DomainError, notFound } from '../errors.ts';

/** Agents as organisations offer them to each other: `acme/invoice-scanner@v2`. */

/** An agent, or a skill package, by its organisation and its name. `version` is `v2`, or `latest`, the newest that is not deprecated. */
export type OfferRef = { org: string; agent: string; version: string };

const refPattern = /^([a-z0-9][a-z0-9-]{0,63})\/([a-z0-9][a-z0-9._-]{0,99})(?:@(v[1-9]\d{0,5}|latest))?$/i;

/** A reference as people write it, `org/agent@v1`; without a version the newest is meant. Undefined for what is none. */
export function readRef(ref: string): OfferRef | undefined {
  const [, org, agent, version = 'latest'] = refPattern.exec(ref.trim()) ?? [];
  return org && agent
    ? { org: org.toLowerCase(), agent: agent.toLowerCase(), version: version.toLowerCase() }
    : undefined;
}

type Seen = Omit<OfferedVersion, 'spec'>;

/** What a reference leads to: `successor` is the number of the version to take in its place, where there is another. */
export type Offered = { version: Seen; successor: number | null };

/** Undefined where this account sees no such agent, or no such version; null is anybody. */
export async function findOffer(
  db: Db,
  account_id: string | null,
  { org, agent, version }: OfferRef,
): Promise<Offered | undefined> {
  // Those that are not deprecated come first, the newest first.
  const seen = await listSeenVersions(db, account_id, { org, agent });
  const found = version === 'latest' ? seen[0] : seen.find(({ number }) => `v${number}` === version);
  if (!found) return undefined;
  const other = seen.find(
    (one) => one !== found && !one.is_gone && (one.deprecated_at === null || one.number > found.number),
  );
  return { version: found, successor: other?.number ?? null };
}

/**
 * The version that is meant, with all that it says. Throws `NOT_FOUND` where this account sees none such; of one that is gone, sixty
 * days after it was deprecated, it names the successor.
 */
export async function getOffer(
  db: Db,
  account_id: string | null,
  ref: OfferRef,
): Promise<{ version: OfferedVersion; successor: number | null }> {
  const offered = await findOffer(db, account_id, ref);
  if (!offered) {
    const isOfVersion = ref.version !== 'latest' && (await findOffer(db, account_id, { ...ref, version: 'latest' }));
    throw notFound(isOfVersion ? 'Agent version' : 'Agent');
  }
  const { successor } = offered;
  if (offered.version.is_gone) throw gone(ref, successor);
  const [version] = await listVersions(db, [offered.version.version_id]);
  if (!version) throw notFound('Agent');
  return { version, successor };
}

const day_ms = 86_400_000;

/** When a version that was deprecated then is gone. */
export function sunsetOf(deprecated_at: string): Date {
  return new Date(Date.parse(deprecated_at) + deprecationDays * day_ms);
}

function gone({ org, agent, version }: OfferRef, successor: number | null): DomainError {
  const instead = successor === null ? '' : ` Its successor is ${org}/${agent}/v${successor}.`;
  return new DomainError('NOT_FOUND', `${org}/${agent}/${version} was deprecated and is gone.${instead}`);
}

/** That an account, or anybody (null), may call an agent, or use a skill package, which may be another's. Throws `AGENT_NOT_CALLABLE` and `CREDITS_REQUIRED`. */
export function requireUsable(
  { account_id: owner_id, org_slug, name, callable, price_cents }: Omit<OfferedVersion, 'spec'>,
  account_id: string | null,
): void {
  if (owner_id === account_id) return;
  const ref = `${org_slug}/${name}`;
  if (!callable) throw new DomainError('AGENT_NOT_CALLABLE', `${ref} may not be called.`);
  if (price_cents)
    throw new DomainError('CREDITS_REQUIRED', `${ref} costs credits, and there are none on this server yet.`);
}
