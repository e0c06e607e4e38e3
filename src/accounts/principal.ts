import type { Actor, ApiKey } from '../../db/schema.ts';

/**
 * Who asks: the account that a key belongs to, the key with its name, what it may do, and the person whose key it is, who gives
 * it their name. `person_id` is null for a key of the account itself.
 */
export type Principal = Pick<ApiKey, 'account_id' | 'key_id' | 'scopes' | 'person_id'> & { key_name: string };

/** Why something was asked for, and for which user of an application that has its own. */
export type Remark = { note?: string | undefined; on_behalf_of?: string | undefined };

/** As it is told who does something, and why. */
export function doingOf(
  { key_id, key_name, person_id }: Principal,
  { note, on_behalf_of }: Remark,
): { by: Actor; note?: string } {
  const who = person_id === null ? { kind: 'key' as const, id: key_id } : { kind: 'person' as const, id: person_id };
  return { by: { ...who, name: key_name, on_behalf_of: on_behalf_of ?? null }, note };
}
