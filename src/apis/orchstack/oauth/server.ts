import type { RequestListener } from 'node:http';
import type { Context } from 'hono';
import type { Provider } from 'oidc-provider';
import { besides } from '../../../http/deadline.ts';
import type { AppEnv } from '../../../http/env.ts';
import { publicOrigin } from '../../../http/public-origin.ts';

/** The authorization server as it is called here: one for each address under which clients find this process. */

type Server = { provider: Provider; handle: RequestListener };
type Loaded = Server & { inject: typeof import('light-my-request').inject };

/** Without `PUBLIC_URL`, whoever asks says the address. */
const maxServers = 10;
/** In milliseconds. */
const longestLoad = 10_000;
const servers = new WeakMap<object, Map<string, Server>>();

/** Loads oidc-provider when it is needed first: 20 MB that many servers never need. */
export async function authorizationServer(c: Context<AppEnv>): Promise<Loaded> {
  const { db, config } = c.var.deps;
  // Once in a process, and no part of our own time: on a machine that is busy it takes longer than an answer may.
  const [{ createProvider }, { inject }] = await besides(c, longestLoad, () =>
    Promise.all([import('./provider.ts'), import('light-my-request')]),
  );
  const issuer = publicOrigin(c, config);
  const known = servers.get(c.var.deps) ?? new Map<string, Server>();
  servers.set(c.var.deps, known);
  let server = known.get(issuer);
  if (!server) {
    if (known.size >= maxServers) known.clear();
    const provider = createProvider(issuer, { db, keys: config.ENCRYPTION_KEY });
    server = { provider, handle: provider.callback() };
    known.set(issuer, server);
  }
  return { ...server, inject };
}
