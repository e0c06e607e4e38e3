import type { Actor, ApiKey } from '../../db/schema.ts';

/**
 * Who asks: the account that a key belongs to, the key with its name, what it may do, and the person whose key it is.
 * `person_id` is null for a key of the account itself.
 */
export type Principal = Pick<ApiKey, 'account_id' | 'key_id' | 'scopes' | 'person_id'> & { key_name: string };

/** Why something was asked for, and for which user of an application that has its own. */
export type Remark = { note?: string | undefined; on_behalf_of?: string | undefined };

/** As it is told who does something, and why. */
export function doingOf({ key_id, key_name }: Principal, { note, on_behalf_of }: Remark): { by: Actor; note?: string } {
  return { by: { kind: 'key', id: key_id, name: key_name, on_behalf_of: on_behalf_of ?? null }, note };
}
