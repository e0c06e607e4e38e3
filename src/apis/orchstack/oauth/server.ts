import type { Context } from 'hono';
import type { Provider } from 'oidc-provider';
import { besides } from '../../../http/deadline.ts';
import type { AppEnv } from '../../../http/env.ts';
import { publicOrigin } from '../../../http/public-origin.ts';

/** The authorization server as it is called here: one for each address under which clients find this process. */

type Loaded = { provider: Provider; ask: typeof import('light-my-request').inject };

/** Without `PUBLIC_URL`, whoever asks says the address. */
const maxProviders = 10;
/** In milliseconds. */
const longestLoad = 10_000;
const providers = new WeakMap<object, Map<string, Provider>>();

/** Loads oidc-provider when it is needed first: 20 MB that many servers never need. */
export async function authorizationServer(c: Context<AppEnv>): Promise<Loaded> {
  const { db, config } = c.var.deps;
  // Once in a process, and no part of our own time: on a machine that is busy it takes longer than an answer may.
  const [{ createProvider }, { inject }] = await besides(c, longestLoad, () =>
    Promise.all([import('./provider.ts'), import('light-my-request')]),
  );
  const issuer = publicOrigin(c, config);
  const known = providers.get(c.var.deps) ?? new Map<string, Provider>();
  providers.set(c.var.deps, known);
  let provider = known.get(issuer);
  if (!provider) {
    if (known.size >= maxProviders) known.clear();
    provider = createProvider(issuer, { db, keys: config.ENCRYPTION_KEY });
    known.set(issuer, provider);
  }
  return { provider, ask: inject };
}
