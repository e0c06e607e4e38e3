import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { pino } from 'pino';
import type { PackageSpec } from '../../db/schema.ts';
import { unsaidPackage } from '../../src/agents/packages.ts';
import { keepBundle } from '../../src/code/bundles.ts';
import { createFileStore } from '../../src/files/create-store.ts';
import { loadConfig } from '../../src/config.ts';
import { registerAgent } from './agent.ts';
import type { Orchflow, User } from './orchflow.ts';
import { zipOf } from './zip.ts';

/** Agents whose output code makes. */

/** Registers an agent whose code these files are, `main.py` or `main.mjs` first, and returns its id. */
export async function registerCode(
  { db, env }: Pick<Orchflow, 'db' | 'env'>,
  user: User,
  files: Record<string, string>,
  { name = 'coder', timeout_seconds = 30, ...more }: Partial<PackageSpec> & Record<string, any> = {},
): Promise<string> {
  const { output_schema, require_approval, ...said } = more;
  const agent_id = await registerAgent(user, { name, timeout_seconds, output_schema, require_approval });
  const archive = zipOf(Object.entries(files).map(([file, content]) => ({ name: file, content })));
  const store = createFileStore(loadConfig(env));
  const deps = { db, files: store, log: pino({ level: 'silent' }) };
  const { code_hash, bundle_size_bytes } = await keepBundle(deps, Readable.from([Buffer.from(archive)]));
  const version = db.selectFrom('agent_versions').select('spec').where('agent_id', '=', agent_id);
  const { spec } = await version.executeTakeFirstOrThrow();
  const [entrypoint] = Object.keys(files);
  const own = { ...spec, package: { ...unsaidPackage, engine: 'code_runtime', ...said } };
  const changed = await db
    .updateTable('agent_versions')
    .set({ code_hash, bundle_size_bytes, entrypoint, spec: JSON.stringify(own) })
    .where('agent_id', '=', agent_id)
    .executeTakeFirst();
  assert.equal(changed.numUpdatedRows, 1n);
  return agent_id;
}
