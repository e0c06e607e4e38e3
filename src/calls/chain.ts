import { createHmac } from 'node:crypto';
import { findCall, findUncalled } from '../../db/agent-calls.ts';
import type { AgentCall, DownstreamTerms, PackageManifest } from '../../db/schema.ts';
import type { Db } from '../../db/index.ts';
import type { Principal } from '../accounts/principal.ts';
import { deriveKey, isSameSecret, type KeyRing } from '../crypto.ts';
import { DomainError } from '../errors.ts';
import { uuidOf } from '../ids.ts';
import type { Called } from './called.ts';

/** Agents that call each other: who has called whom, how deep they may, and what they may spend. */

/** What a call says of those before it, as it came in headers. */
export type ChainRequest = {
  chain?: string[];
  /** Of the chain, made by `signedChain`. */
  signature?: string;
  /** How many calls may follow each other after this one. */
  max_hops?: number;
  /** In milliseconds since 1970. */
  deadline_at?: number;
  /** What it may spend on what it calls itself, in US cents. */
  downstream_remaining?: number;
  billing?: { org_id: string; signature?: string };
  /** What it calls may call only what its manifest names, and so on. */
  is_strict?: boolean;
  /** What calls, where that is known without headers. */
  parent?: Caller;
};

/** A run that calls: one that was called itself, or the first of a chain. */
export type Caller = Pick<
  AgentCall,
  'run_id' | 'root_run_id' | 'agent' | 'chain' | 'tenant' | 'max_hops' | 'deadline_at' | 'downstream'
>;

/** Where a call stands in its chain. */
export type Standing = Pick<AgentCall, 'chain' | 'parent_run_id' | 'max_hops'> & {
  /** Null: it is the first. */
  root_run_id: string | null;
  deadline_at: number | undefined;
  downstream: DownstreamTerms;
  /** Of what called it. */
  parent: Caller | undefined;
};

/** So many agents may be in one chain. */
export const longestChain = 32;

/**
 * Where a call stands after those that were before it. The key of a run's code says which run calls, and a signed chain does for other
 * keys. What that run was given holds, whatever the headers say: they may only take away. Throws `CALL_CHAIN_REFUSED`: a chain without a
 * good signature, of another account, in a circle, too deep, or at an agent that may not be called from there; and `DEADLINE_PASSED`.
 */
export async function standingOf(
  { db, encryptionKey }: { db: Db; encryptionKey: KeyRing },
  principal: Principal,
  called: Pick<Called, 'ref' | 'name' | 'spec'>,
  request: ChainRequest,
): Promise<Standing> {
  const { ref, spec } = called;
  const { account_id } = principal;
  const manifest = spec.package?.manifest ?? {};
  const { billing } = request;
  if (billing && (billing.org_id !== uuidOf(account_id) || !isSigned(encryptionKey, billing.org_id, billing.signature)))
    throw refused('It would be paid by an account that has not called.');
  const parent = request.parent ?? (await callerOf(db, principal, encryptionKey, request));
  const chain = parent ? [...parent.chain, ref] : [ref];
  const name = called.name.toLowerCase();
  if (parent?.chain.some((one) => nameOf(one) === name)) throw refused(`It would be a circle: ${chain.join(' → ')}.`);
  if (parent?.downstream.only && !parent.downstream.only.includes(name))
    throw refused(`${parent.agent} may call only what its manifest names, and ${name} is not among it.`);
  const deadline_at = least(request.deadline_at, parent?.deadline_at ? Date.parse(parent.deadline_at) : undefined);
  if (deadline_at !== undefined && deadline_at <= Date.now())
    throw new DomainError('DEADLINE_PASSED', 'The deadline of this call has passed.');
  const ofParent = parent?.max_hops ?? undefined;
  const left = least(request.max_hops, ofParent === undefined ? undefined : ofParent - 1);
  if ((left !== undefined && left < 0) || chain.length > longestChain)
    throw refused(`Agents may not call each other deeper than this: ${(parent?.chain ?? []).join(' → ')}.`);
  const max_hops = least(left, manifest.max_hops);
  return {
    chain,
    parent_run_id: parent?.run_id ?? null,
    root_run_id: parent?.root_run_id ?? null,
    max_hops: max_hops ?? null,
    deadline_at,
    downstream: downstreamOf(manifest, request, parent),
    parent,
  };
}

function downstreamOf(
  manifest: PackageManifest,
  { downstream_remaining, is_strict }: ChainRequest,
  parent: Caller | undefined,
): DownstreamTerms {
  const { per_call_downstream_cap: per_call_cap, downstream_spend_cap } = manifest;
  const spend_cap = least(downstream_spend_cap, downstream_remaining);
  const isStrict = is_strict || manifest.orchestration_mode === 'strict' || parent?.downstream.only !== undefined;
  const only = isStrict ? (manifest.dependencies ?? []).map(({ id }) => id.toLowerCase()) : undefined;
  return {
    ...(per_call_cap !== undefined && { per_call_cap }),
    ...(spend_cap !== undefined && { spend_cap }),
    ...(only && { only }),
  };
}

/** The run that calls: that of the key, or else the one that is named in the signature, which it was given with its chain. */
async function callerOf(
  db: Db,
  { account_id, run_id: own }: Principal,
  keys: KeyRing,
  { chain = [], signature }: ChainRequest,
): Promise<Caller | undefined> {
  if (own) {
    const caller = await callerOfRun(db, account_id, own);
    if (!caller) throw refused('The run that calls is not there any more.');
    return caller;
  }
  if (chain.length === 0) return undefined;
  const [run_id = ''] = (signature ?? '').split('.');
  const known = isSigned(keys, contentOf(run_id, chain), signature?.slice(run_id.length + 1));
  const parent = known ? await callerOfRun(db, account_id, run_id) : undefined;
  if (!parent) throw refused('Its call chain is not signed by this server.');
  return parent;
}

/**
 * A run of the account as one that calls; what nobody has called is the first of a chain, by what its agent says. Undefined where it
 * is gone.
 */
export async function callerOfRun(db: Db, account_id: string, run_id: string): Promise<Caller | undefined> {
  const call = await findCall(db, account_id, run_id);
  if (call) return call;
  const run = await findUncalled(db, account_id, run_id);
  if (!run) return undefined;
  const { agent, version, manifest, deadline_at } = run;
  return {
    run_id,
    root_run_id: run_id,
    agent,
    chain: [`${agent}@${version}`],
    tenant: null,
    max_hops: manifest?.max_hops ?? null,
    deadline_at: deadline_at === null ? null : new Date(deadline_at).toISOString(),
    downstream: downstreamOf(manifest ?? {}, {}, undefined),
  };
}

/** What a run is given, and sends along when it calls others. */
export function signedChain(keys: KeyRing, { run_id, chain }: Pick<AgentCall, 'run_id' | 'chain'>): string {
  return `${run_id}.${sign(keys[0]!, contentOf(run_id, chain))}`;
}

/** Says whose account pays for what a run calls. */
export function signedBilling(keys: KeyRing, account_id: string): string {
  return sign(keys[0]!, uuidOf(account_id));
}

/** The same as code is given it, in its environment. */
export function chainForCode(keys: KeyRing, account_id: string, call: Caller) {
  const { chain, max_hops, downstream, root_run_id } = call;
  return {
    call_chain: chain,
    call_chain_sig: signedChain(keys, call),
    max_hops,
    // Clients read whole cents.
    downstream_remaining: downstream.spend_cap === undefined ? null : Math.floor(downstream.spend_cap),
    billing_org_id: uuidOf(account_id),
    billing_org_sig: signedBilling(keys, account_id),
    root_run_id: uuidOf(root_run_id),
    orchestration_mode: downstream.only ? 'strict' : null,
  };
}

function contentOf(run_id: string, chain: string[]): string {
  return `${run_id}\n${chain.join()}`;
}

function sign(key: Buffer, content: string): string {
  return createHmac('sha256', deriveKey(key, 'call chain')).update(content).digest('base64url');
}

/** By any key of the ring: what runs while the key is changed goes on. */
function isSigned(keys: KeyRing, content: string, signature = ''): boolean {
  return keys.some((key) => isSameSecret(signature, sign(key, content)));
}

/** Another version of an agent is the same agent. */
function nameOf(ref: string): string {
  return ref.split('@')[0]!.toLowerCase();
}

function refused(detail: string): DomainError {
  return new DomainError('CALL_CHAIN_REFUSED', detail);
}

/** Of those that are known. */
export function least(...given: (number | null | undefined)[]): number | undefined {
  const known = given.filter((one): one is number => typeof one === 'number');
  return known.length > 0 ? Math.min(...known) : undefined;
}
