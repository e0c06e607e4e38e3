import type { Context } from 'hono';
import type { OfferedVersion } from '../../../db/published-agents.ts';
import { openBundle } from '../../code/bundles.ts';
import { DomainError } from '../../errors.ts';
import { NoSuchFile, storeFailed } from '../../files/store.ts';
import type { AppEnv } from '../../http/env.ts';
import { OrchagentError } from './envelope.ts';

/** The code of a version as an answer. Throws `NOT_FOUND` where it has none, and `FILES_UNAVAILABLE`. */
export async function sendBundle(c: Context<AppEnv>, version: OfferedVersion): Promise<Response> {
  const { code_hash, bundle_size_bytes, name, number } = version;
  if (code_hash === null) throw new OrchagentError('NOT_FOUND', 'This version has no code.');
  const headers = {
    'Content-Type': 'application/octet-stream',
    'Content-Length': String(bundle_size_bytes),
    'Content-Disposition': `attachment; filename="${name.replaceAll(/[^\w.-]/g, '_')}-v${number}.zip"`,
    'Content-Security-Policy': "default-src 'none'; sandbox",
  };
  if (c.req.method === 'HEAD') return c.body(null, 200, headers);
  const bytes = await openBundle(c.var.deps, code_hash).catch((error: unknown) => {
    if (error instanceof NoSuchFile)
      throw new DomainError('NOT_FOUND', 'The code of this version is not there any more.');
    throw storeFailed(c.var.deps.log, error);
  });
  return c.body(bytes, 200, headers);
}
