import type { Actor, ApiKey, Mode, Tier } from '../../db/schema.ts';
import { allScopes } from './scopes.ts';

/**
 * Who asks: the account that a key belongs to, the key with its name, what it may do, and the person whose key it is, who gives
 * it their name. `person_id` is null for a key of the account itself. With an access token it is the key that has consented, the
 * client has given it its name, and `client_id` is whose it is. `mode`: what a test key starts are tests. `tier` is how much
 * the account may ask for and have; null is no limit of that kind. `run_id` is the run that asks: its code, by the key that it was given, or its model.
 */
export type Principal = Pick<ApiKey, 'account_id' | 'key_id' | 'scopes' | 'person_id' | 'mode'> & {
  key_name: string;
  client_id?: string | null;
  run_id?: string | null;
  tier?: Tier | null;
  /** When the key that asks ends, and with it at the latest what it makes; null is never. */
  expires_at?: string | null;
};

/** Who acts for an agent whose run calls: what its key may do was seen when that was started. */
export function agentPrincipal(of: Pick<Principal, 'account_id' | 'key_id' | 'mode' | 'run_id'>): Principal {
  return { ...of, key_name: 'agent', scopes: allScopes, person_id: null };
}

/** Who asks for something to be done again: what does a test again is one too, whoever asks. */
export function inModeOf(principal: Principal, { mode }: { mode: Mode }): Principal {
  return mode === 'test' ? { ...principal, mode } : principal;
}

/** Why something was asked for, and for which user of an application that has its own. */
export type Remark = { note?: string | undefined; on_behalf_of?: string | undefined };

/** As it is told who does something, and why. */
export function doingOf(
  { key_id, key_name, person_id, client_id }: Principal,
  { note, on_behalf_of }: Remark,
): { by: Actor; note?: string } {
  const [kind, id]: [Actor['kind'], string] =
    person_id !== null ? ['person', person_id] : client_id ? ['client', client_id] : ['key', key_id];
  return { by: { kind, id, name: key_name, on_behalf_of: on_behalf_of ?? null }, note };
}
