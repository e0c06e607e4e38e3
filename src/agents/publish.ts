import {
  findNewestOf,
  findOwnVersion,
  listVersions,
  type Offer,
  type OfferedVersion,
} from '../../db/published-agents.ts';
import { NotNext, publishVersion, updateOffer, type NewVersion, type OfferChange } from '../../db/publish-agents.ts';
import { versionNumber } from '../../db/agents.ts';
import type { Db } from '../../db/index.ts';
import { LimitReached } from '../../db/limits.ts';
import type { AgentSpec } from '../../db/schema.ts';
import type { Principal } from '../accounts/principal.ts';
import { noMoreAgents, tiers } from '../accounts/tiers.ts';
import type { Config } from '../config.ts';
import { InvalidInputError, notFound } from '../errors.ts';
import { fileQuotasOf } from '../files/keep.ts';
import { newId, uuidOf, type IdSeed } from '../ids.ts';
import type { Tool } from '../tools/index.ts';
import { agentKeys, createAgentKey, lackingForAgentKey } from './agent-keys.ts';
import { remarksOnDependencies } from './dependencies.ts';
import { offerFields, type PackageRequest } from './package-schema.ts';
import { describe, packageOf } from './packages.ts';
import { nameTaken } from './registry.ts';
import { chooseTools } from './tools.ts';

/** Agents as they are published: each time it is, a version that says all of it. */

type Settings = Pick<Config, 'SANDBOX_MAX_SECONDS' | 'MAX_FILES_PER_ACCOUNT' | 'MAX_FILE_BYTES_PER_ACCOUNT'>;
type Deps = { db: Db; tools: Tool[]; config: Settings };

export type Published = { version: OfferedVersion; service_key: string | null; warnings: string[] };

const noCode = { code_hash: null, bundle_size_bytes: null, entrypoint: null };
const newOffer: Offer = {
  is_public: false,
  callable: true,
  allow_local_download: false,
  price_cents: null,
  tags: [],
  deprecated_at: null,
};

/**
 * Publishes a version of the account's agent of this name, or its first one. An agent that has code, or calls others, gets a key at
 * first, unless who asks may give none. A retry of the request finds what its first try published. Throws `InvalidInputError` for
 * tools that the account does not have, and a `version` that is not the next; `TIER_LIMIT_REACHED` and `LimitReached`.
 */
export async function publishAgent(
  deps: Deps,
  principal: Principal,
  given: PackageRequest & { name: string; version?: string | undefined },
  most: number,
  idempotency: IdSeed | undefined,
): Promise<Published> {
  const version_id = idempotency && uuidOf(newId('agent', idempotency));
  const number = given.version === undefined ? undefined : versionNumber(given.version);
  const { spec, type, warnings } = describe(given, await toolsOf(deps, principal, given));
  const offer = { ...newOffer, ...offerOf(given) };
  const described = { spec, type, offer, code: noCode, version_id, number };
  const version = await insert(deps, principal, described, most, idempotency);
  const { key, warning } = await serviceKey(deps, principal, version, idempotency);
  return {
    version,
    service_key: key,
    warnings: [...warnings, ...(await remarksOn(deps, principal, version)), ...warning],
  };
}

/** Whether what is given could be published; nothing is. Throws as `publishAgent`, but for what the account has. */
export async function tryPublishing(deps: Deps, principal: Principal, given: PackageRequest & { name: string }) {
  const { spec, type, warnings } = describe(given, await toolsOf(deps, principal, given));
  const offer = { ...newOffer, ...offerOf(given) };
  return [...warnings, ...(await remarksOn(deps, principal, { spec, type, ...offer }))];
}

/**
 * Changes a version of the account. What it does is never changed: that makes a version of its own, the newest of its agent, with the
 * code and the offer of the one that is named. How it is offered is changed in place. Throws as `publishAgent`, `NOT_FOUND`, and
 * `AGENT_EXISTS` for a name that another agent has.
 */
export async function changePackage(
  deps: Deps,
  principal: Principal,
  version_id: string,
  { deprecated, ...given }: PackageRequest & { deprecated?: boolean | undefined },
): Promise<{ version: OfferedVersion; warnings: string[] }> {
  const { db } = deps;
  const { account_id } = principal;
  const before = await getOwnVersion(deps, principal, version_id);
  const change = { ...offerOf(given), ...(deprecated !== undefined && { deprecated }) };
  const name = given.name ?? before.name;
  const { spec, type, warnings } = describe({ ...given, name }, await toolsOf(deps, principal, given), before);
  const saysSo = (version: OfferedVersion) =>
    type === version.type && JSON.stringify(spec) === JSON.stringify({ ...version.spec, name: version.name });
  // A retry of the change finds that the newest says so by now.
  const [newest] = await listVersions(db, [(await findNewestOf(db, before.agent_id)) ?? version_id]);
  const same = !saysWhatItDoes(given) ? before : [before, newest].find((one) => one && saysSo(one));
  if (same) {
    if (!(await updateOffer(db, account_id, same.version_id, change))) throw notFound('Agent');
    const version = await getOwnVersion(deps, principal, same.version_id);
    return { version, warnings: await remarksOn(deps, principal, version) };
  }
  const { is_public, callable, allow_local_download, price_cents, tags } = before;
  const offer = {
    is_public,
    callable,
    allow_local_download,
    price_cents,
    tags,
    deprecated_at: null,
    ...offerOf(given),
  };
  const { code_hash, bundle_size_bytes, entrypoint, agent_id } = before;
  const code = { code_hash, bundle_size_bytes, entrypoint };
  let version = await insert(deps, principal, { agent_id, spec, type, offer, code }, Infinity, undefined);
  if (deprecated) {
    await updateOffer(db, account_id, version.version_id, { deprecated });
    version = await getOwnVersion(deps, principal, version.version_id);
  }
  return { version, warnings: [...warnings, ...(await remarksOn(deps, principal, version))] };
}

function saysWhatItDoes(given: PackageRequest): boolean {
  return Object.entries(given).some(([name, value]) => value !== undefined && !offerFields.includes(name as 'tags'));
}

/**
 * Takes an agent of others, or an own one, as the first version of a new agent: one that is free and may be downloaded. Throws as
 * `publishAgent`, also where there is no room for its code.
 */
export async function forkAgent(
  deps: Deps,
  principal: Principal,
  source: OfferedVersion,
  name: string,
  most: number,
  idempotency: IdSeed | undefined,
): Promise<Published> {
  const { code_hash, bundle_size_bytes, entrypoint, type, tags } = source;
  const version_id = idempotency && uuidOf(newId('agent', idempotency));
  // Providers and knowledge are those of its author.
  const own = { model: null, provider_id: null, knowledge: [], tools: [] };
  const spec = {
    ...source.spec,
    ...(source.account_id === principal.account_id ? {} : own),
    name,
    package: packageOf(source.spec),
  };
  const code = { code_hash, bundle_size_bytes, entrypoint };
  const fork = { spec, type, offer: { ...newOffer, tags }, code, version_id, is_first: true as const };
  const version = await insert(deps, principal, fork, most, idempotency);
  const { key, warning } = await serviceKey(deps, principal, version, idempotency);
  return { version, service_key: key, warnings: [...(await remarksOn(deps, principal, version)), ...warning] };
}

/** A version of the account. Throws `NOT_FOUND`. */
export async function getOwnVersion(
  { db }: Pick<Deps, 'db'>,
  { account_id }: Principal,
  version_id: string,
): Promise<OfferedVersion> {
  const version = await findOwnVersion(db, account_id, version_id);
  if (!version) throw notFound('Agent');
  return version;
}

/** A version that this account may see: an own one, or one of others that is public and not gone. Throws `NOT_FOUND`. */
export async function getSeenVersion(
  { db }: Pick<Deps, 'db'>,
  { account_id }: Principal,
  version_id: string,
): Promise<OfferedVersion> {
  const [version] = await listVersions(db, [version_id]);
  const isOwn = version?.account_id === account_id;
  if (!version || (!isOwn && (!version.is_public || version.is_gone || version.is_suspended))) throw notFound('Agent');
  return version;
}

async function toolsOf(
  deps: Deps,
  principal: Principal,
  { tools }: PackageRequest,
): Promise<AgentSpec['tools'] | undefined> {
  if (!tools) return undefined;
  const [chosen] = await chooseTools(deps, principal, [{ tools }], (_agent, tool) => ['tools', tool]);
  return chosen!;
}

function offerOf(given: PackageRequest): Omit<OfferChange, 'deprecated'> {
  const { is_public, callable, allow_local_download, price_cents, tags } = given;
  const named = { is_public, callable, allow_local_download, price_cents, tags: tags && [...new Set(tags)] };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)) as typeof newOffer;
}

/** What whoever publishes a version is to know of it. */
async function remarksOn(
  deps: Deps,
  principal: Principal,
  version: Pick<OfferedVersion, 'spec' | 'type' | 'is_public' | 'price_cents'>,
): Promise<string[]> {
  const { price_cents, spec, type } = version;
  const remarks = price_cents ? ['price_cents is kept; a paid agent is called by nobody but its own account yet.'] : [];
  const most = deps.config.SANDBOX_MAX_SECONDS ?? Infinity;
  if (type !== 'skill' && packageOf(spec).engine === 'code_runtime' && spec.timeout_seconds > most)
    remarks.push(`timeout_seconds is ${spec.timeout_seconds}, and this server ends code after ${most} seconds.`);
  return [...remarks, ...(await remarksOnDependencies(deps, principal, version))];
}

async function insert(
  { db, config }: Deps,
  { account_id, tier }: Principal,
  version: Omit<NewVersion, 'account_id' | 'new_agent_id'>,
  most: number,
  idempotency: IdSeed | undefined,
): Promise<OfferedVersion> {
  const row = { ...version, account_id, new_agent_id: newId('agent', idempotency) };
  const limits = { most: tier ? tiers[tier].agents : most, quotas: fileQuotasOf(config) };
  const published = await publishVersion(db, row, limits).catch((error: unknown) => {
    if (error instanceof NotNext) {
      const detail = `is given by the server, and the next is v${error.next}`;
      throw new InvalidInputError([{ path: ['version'], detail }]);
    }
    throw tier && error instanceof LimitReached && error.what === 'agents' ? noMoreAgents(tier) : error;
  });
  if (!published) throw nameTaken(version.spec.name);
  return published;
}

/** What an agent that has code, or calls others, gets at first. */
async function serviceKey(
  deps: Deps,
  principal: Principal,
  version: OfferedVersion,
  idempotency: IdSeed | undefined,
): Promise<{ key: string | null; warning: string[] }> {
  const { engine, manifest } = packageOf(version.spec);
  const isCaller = engine === 'code_runtime' || (manifest?.dependencies ?? []).length > 0;
  if (version.type === 'skill' || !isCaller) return { key: null, warning: [] };
  const keys = await agentKeys(deps, principal, version);
  const isNew = keys.length === 0 || (idempotency?.isRetry && keys.length === 1 && version.number === 1);
  if (!isNew) return { key: null, warning: [] };
  const lacking = principal.client_id ? 'keys:write' : lackingForAgentKey(principal);
  if (lacking) {
    return { key: null, warning: [`There is no service_key: the key that asks lacks the scope ${lacking}.`] };
  }
  const { api_key } = await createAgentKey(deps, principal, version, idempotency);
  return { key: api_key, warning: [] };
}
