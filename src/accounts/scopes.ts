import { DomainError } from '../errors.ts';

/** What a key may do. Each route names one of them; `*` is all, also those that come later. */
export const scopes = [
  'runs:read',
  'runs:write',
  'gates:answer',
  'agents:read',
  'agents:write',
  'agents:call',
  'orchestrations:read',
  'orchestrations:write',
  'providers:read',
  'providers:write',
  'files:read',
  'files:write',
  'knowledge:read',
  'knowledge:write',
  'tools:read',
  'tools:write',
  'webhooks:read',
  'webhooks:write',
  'people:read',
  'people:write',
  'keys:read',
  'keys:write',
  'batch:write',
  'clients:read',
  'clients:write',
] as const;

export type Scope = (typeof scopes)[number];

/** What an account can let an OAuth client do: no client lets others in. What gives out a secret it does not do either (`refuseClients`). */
export const grantableScopes = scopes.filter((scope): scope is GrantableScope => !/^(keys|clients):/.test(scope));

export type GrantableScope = Exclude<Scope, `${'keys' | 'clients'}:${string}`>;

/**
 * The only scope of a person's own key: the gates that are theirs, on the routes that are for people. No other key has it, and
 * `POST /keys` does not take it: a process of a release that knows no people refuses such a key everything.
 */
export const ownGates = 'own_gates';

/** The scopes of a key that may do everything. */
export const allScopes = ['*'];

/** Whether a key with these scopes may do it. */
export function hasScope(held: string[], scope: string): boolean {
  return held.includes('*') || held.includes(scope);
}

export function missingScope(scope: string, at: PropertyKey[] = []): DomainError {
  const faults = at.length > 0 ? [{ path: at, detail: 'is no scope of the key that asks' }] : [];
  return new DomainError('MISSING_SCOPE', `This key lacks the scope ${scope}.`, { members: { scope }, faults });
}
