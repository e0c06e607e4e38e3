import type { Db } from '../../db/index.ts';
import { findPerson, insertPerson, replacePersonKey, type PersonView } from '../../db/people.ts';
import type { Person } from '../../db/schema.ts';
import { makeKey } from '../accounts/keys.ts';
import type { Principal } from '../accounts/principal.ts';
import { hasScope, missingScope, ownGates, type Scope } from '../accounts/scopes.ts';
import { notFound } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';

/** Of an account. */
export const maxPeople = 1_000;

/** What a person's key does with the gates that are theirs (`mayAnswer` in `db/assignments.ts`). */
const neededScopes: Scope[] = ['runs:read', 'gates:answer'];

export type PersonRequest = Pick<Person, 'name' | 'email' | 'skills' | 'notify_url' | 'max_open' | 'status'>;

/**
 * Adds a person, with a key of their own, which is in the answer and is kept nowhere. Throws `MISSING_SCOPE` for a key that may
 * not do itself what that key may, and `LimitReached`.
 */
export async function addPerson(
  { db }: { db: Db },
  principal: Principal,
  person: PersonRequest,
  seed: IdSeed | undefined,
): Promise<PersonView & { api_key: string }> {
  requireNeededScopes(principal);
  const { account_id } = principal;
  const person_id = newId('person', seed);
  const { api_key, row } = makeKey(person.name, [ownGates], principal, seed);
  return { ...(await insertPerson(db, { ...person, person_id, account_id }, row, maxPeople)), api_key };
}

/** Gives a person another key: the one before is not taken any more. Throws `NOT_FOUND`, and `MISSING_SCOPE` as above. */
export async function renewPersonKey(
  { db }: { db: Db },
  principal: Principal,
  person_id: string,
  seed: IdSeed | undefined,
): Promise<PersonView & { api_key: string }> {
  const { account_id } = principal;
  const person = await findPerson(db, account_id, person_id);
  if (!person) throw notFound('Person');
  requireNeededScopes(principal);
  const { api_key, row } = makeKey(person.name, [ownGates], principal, seed);
  const renewed = await replacePersonKey(db, account_id, person_id, row);
  if (!renewed) throw notFound('Person');
  return { ...renewed, api_key };
}

/** A key makes no key that may do more. */
function requireNeededScopes({ scopes }: Principal): void {
  const lacking = neededScopes.find((scope) => !hasScope(scopes, scope));
  if (lacking) throw missingScope(lacking);
}
