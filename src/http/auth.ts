import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { isBelow, isInChainOf, isLedByOthers } from '../../db/call-chains.ts';
import { findPrincipalByKey, noteUse } from '../../db/api-keys.ts';
import { findRunMode } from '../../db/runs.ts';
import { hasScope, missingScope, ownGates, type Scope } from '../accounts/scopes.ts';
import { isWellFormedKey, sha256 } from '../crypto.ts';
import { DomainError, notFound } from '../errors.ts';
import { runIdOf } from '../ids.ts';
import { inTime } from './deadline.ts';
import type { AppEnv } from './env.ts';
import { countFailure } from './limit.ts';
import { HttpError } from './problems.ts';

/** For so long a key that was good is not looked up again: clients poll. In milliseconds. */
const trustedFor = 1_000;
const maxTrusted = 10_000;

type Found = Awaited<ReturnType<typeof findPrincipalByKey>>;

/** The key, or token, that a request has in one header or the other. */
export function keyOf(apiKeyHeader: string | undefined, authorization: string | undefined): string | undefined {
  return apiKeyHeader ?? /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

/**
 * Lets in requests with an API key, or the access token of an OAuth client, in `X-API-Key` or as `Authorization: Bearer`, and sets
 * `principal`. A key that is taken
 * back, or whose account is suspended, is refused a second later by every process; `isLetIn` tells long answers. Wrong keys
 * are counted by the address that they come from; good ones of that address are taken all the same, since nobody guesses
 * 256 bits.
 */
export function requireApiKey({ db, log, limits, config }: AppEnv['Variables']['deps']) {
  const lookUps = new Map<string, { principal: Promise<Found>; until: number }>();

  /** Requests with one key that come at once, or soon after, share one look-up. */
  function findPrincipal(key: string): Promise<Found> {
    const known = lookUps.get(key);
    if (known && known.until > performance.now()) return known.principal;
    const key_sha256 = sha256(key);
    const principal = findPrincipalByKey(db, key_sha256);
    if (lookUps.size >= maxTrusted) lookUps.clear();
    lookUps.set(key, { principal, until: performance.now() + trustedFor });
    const forget = () => lookUps.delete(key);
    principal.then((found) => (found ? note(key_sha256, found) : forget()), forget);
    return principal;
  }

  /** In nobody's way: no request waits for it, and none fails with it. */
  function note(key_sha256: string, { is_use_old }: NonNullable<Found>): void {
    if (!is_use_old) return;
    noteUse(db, key_sha256).catch((error) => log.warn({ err: error }, 'the use of a key was not noted'));
  }

  return createMiddleware<AppEnv>(async function requireApiKey(c, next) {
    const key = keyOf(c.req.header('x-api-key'), c.req.header('authorization'));
    const principal = key && isWellFormedKey(key) ? await inTime(c, findPrincipal(key)) : undefined;
    if (!key || !principal) {
      if (key) await countFailure(c, limits.failedKeys);
      const detail = 'Send your API key in the X-API-Key header. Get one with POST /api/v1/auth/register.';
      throw new HttpError('UNAUTHORIZED', detail);
    }
    if (principal.suspended_at) throw new HttpError('ACCOUNT_SUSPENDED', 'This account is suspended. Its runs wait.');
    c.set('principal', { ...principal, tier: principal.tier ?? config.default_tier });
    // While Postgres is away nobody is taken for another than before.
    c.set('isLetIn', () =>
      findPrincipal(key).then(
        (found) => found !== undefined && !found.suspended_at,
        () => true,
      ),
    );
    await next();
  });
}

/**
 * Lets in requests whose key has this scope. To a person's own key there is nothing but what is `forPeople`: to it all else is
 * a page that is not there. So it is to the key of a run's code with all but calls of agents, and reading a run of the chain that it
 * is in; of that only those below it where others lead it. A test key reads, does what is `doneByTests`, and changes and answers only tests: what is live costs.
 */
export function requireScope(scope: Scope, forPeople: boolean) {
  return createMiddleware<AppEnv>(async function requireScope(c, next) {
    const { person_id, run_id, scopes, mode } = c.var.principal;
    if (person_id !== null && !forPeople) throw new HttpError('NOT_FOUND', 'Page not found.');
    const needed = person_id === null ? scope : ownGates;
    if (!hasScope(scopes, needed)) throw missingScope(needed);
    if (run_id) await requireOfChain(c, scope, run_id);
    if (mode === 'test') await requireTest(c, scope);
    await next();
  });
}

/** That code calls an agent, or reads a run of the chain that its own is in: the code may be a stranger's, and the account is not. */
async function requireOfChain(c: Context<AppEnv>, scope: Scope, own: string): Promise<void> {
  if (scope === 'agents:call') return;
  const run_id = runOfPath(c);
  if (scope !== 'runs:read' || run_id === undefined) throw new HttpError('NOT_FOUND', 'Page not found.');
  const { deps, principal } = c.var;
  const isSeen = (await isLedByOthers(deps.db, own))
    ? await isBelow(deps.db, { run_id, own })
    : await isInChainOf(deps.db, principal.account_id, { run_id, own });
  if (!isSeen) throw notFound('Run');
}

/** The run that the path is about. One surface names runs by their UUIDs. */
function runOfPath(c: Context<AppEnv>): string | undefined {
  const given = c.req.param('run_id');
  return given === undefined ? undefined : (runIdOf(given) ?? given);
}

/** Files are added for tests, and those of live runs not deleted. Each operation of a batch is held against this by itself. */
const doneByTests: Partial<Record<Scope, string[]>> = {
  'runs:write': ['POST', 'PATCH', 'DELETE'],
  'agents:call': ['POST'],
  'gates:answer': ['POST'],
  'files:write': ['POST'],
  'keys:write': ['POST', 'DELETE'],
  'batch:write': ['POST'],
};

/** Refuses OAuth clients what gives out a key or a secret: it would last when the client is let no more. */
export function refuseClients() {
  return createMiddleware<AppEnv>(async function refuseClients(c, next) {
    if (!c.var.principal.client_id) return next();
    throw new HttpError('NOT_FOR_CLIENTS', 'This gives out a key or a secret. Do it with an API key of the account.');
  });
}

/** That this is for test keys, and the run which a path is about, if it is there and is not only read, a test. */
async function requireTest(c: Context<AppEnv>, scope: Scope): Promise<void> {
  if (scope.endsWith(':read')) return;
  if (!doneByTests[scope]?.includes(c.req.method)) {
    throw new DomainError(
      'TEST_KEY',
      'A test key reads, and starts, changes and answers tests; it changes nothing else.',
    );
  }
  const run_id = runOfPath(c);
  if (run_id === undefined) return;
  const { deps, principal } = c.var;
  if ((await findRunMode(deps.db, principal.account_id, run_id)) !== 'live') return;
  throw new DomainError('TEST_KEY', 'This run is live: a test key changes, answers and tries again only tests.');
}
