import { findOrganisation, mostKeptSlugs, updateOrganisation, type Organisation } from '../../db/accounts.ts';
import type { Db } from '../../db/index.ts';
import { DomainError } from '../errors.ts';
import type { Principal } from './principal.ts';
import { isFreeSlug } from './slugs.ts';

/** An account as an organisation, whose slug stands in the paths of its agents. */

export async function getOrganisation({ db }: { db: Db }, { account_id }: Principal): Promise<Organisation> {
  return (await findOrganisation(db, account_id))!;
}

/** Changes name and slug. Throws `SLUG_TAKEN`, and `SLUG_IN_USE` while others find agents by the one that it has, or where it keeps too many. */
export async function changeOrganisation(
  { db }: { db: Db },
  principal: Principal,
  change: { name?: string | undefined; slug?: string | undefined },
): Promise<Organisation> {
  const { slug } = change;
  if (slug !== undefined && !isFreeSlug(slug)) throw slugTaken(slug);
  const outcome = await updateOrganisation(db, principal.account_id, change).catch((error: unknown) => {
    // Another took it at the same moment.
    if ((error as { code?: string }).code === '23505') throw slugTaken(slug!);
    throw error;
  });
  if (outcome === 'slug_taken') throw slugTaken(slug!);
  if (outcome === 'slug_in_use') {
    throw new DomainError(
      'SLUG_IN_USE',
      'Public agents are called by the slug of this account: make them private first.',
    );
  }
  if (outcome === 'too_many_slugs') {
    const message = `An account keeps the slugs under which it had public agents, and this one has ${mostKeptSlugs} of them: take one of those.`;
    throw new DomainError('SLUG_IN_USE', message);
  }
  return getOrganisation({ db }, principal);
}

function slugTaken(slug: string): DomainError {
  const faults = [{ path: ['slug'], detail: 'is reserved, or is or was that of another organisation' }];
  return new DomainError('SLUG_TAKEN', `The slug "${slug}" cannot be had.`, { faults });
}
