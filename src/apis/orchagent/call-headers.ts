import type { Context } from 'hono';
import { readRef } from '../../agents/offers.ts';
import { longestChain, type ChainRequest } from '../../calls/chain.ts';
import type { SkillsAsked } from '../../calls/skills.ts';
import { InvalidInputError } from '../../errors.ts';

/** What a call says in headers. Their names are the same in any case. */

export type CallHeaders = { tenant?: string; skills: SkillsAsked; chain: ChainRequest };

const mostSkills = 20;
/** Later times are written in a way that Postgres does not read. */
const endOfYear9999 = Date.parse('9999-12-31T23:59:59.999Z');

/** Whether what the code of the agent has printed is wanted too. Throws `InvalidInputError`, naming the parameter. */
export function readVerbose(c: Context): boolean {
  for (const [name, values] of Object.entries(c.req.queries())) {
    const faultAt = (detail: string) => new InvalidInputError([{ path: [name], detail }]);
    if (name !== 'verbose') throw faultAt('is not a parameter of this request');
    if (values.length > 1) throw faultAt('is given more than once');
    if (!['true', 'false'].includes(values[0]!)) throw faultAt('must be true or false');
  }
  return c.req.query('verbose') === 'true';
}

/** Throws `InvalidInputError`, naming the header. */
export function readHeaders(c: Context): CallHeaders {
  const given = (name: string) => c.req.header(`x-orchagent-${name}`)?.trim() || undefined;
  const faultAt = (name: string, detail: string) => new InvalidInputError([{ path: [`X-Orchagent-${name}`], detail }]);

  const number = (name: string, least: number, most: number) => {
    const text = given(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^-?\d{1,15}$/.test(text) || value < least || value > most)
      throw faultAt(name, `must be a whole number from ${least} to ${most}`);
    return value;
  };
  const flag = (name: string) => {
    const value = given(name)?.toLowerCase();
    if (value !== undefined && value !== 'true' && value !== 'false') throw faultAt(name, 'must be true or false');
    return value === 'true';
  };
  const refs = (name: string, most = mostSkills) => {
    const list = given(name)
      ?.split(',')
      .map((ref) => ref.trim())
      .filter((ref) => ref !== '');
    if (list && list.length > most) throw faultAt(name, `must name at most ${most}`);
    return list;
  };

  const skills = (name: string) => {
    const list = refs(name);
    if (list?.every(readRef) === false) throw faultAt(name, 'must name skill packages, such as "org/skill@v1"');
    return list;
  };

  const tenant = given('Tenant');
  if (tenant !== undefined && tenant.length > 200) throw faultAt('Tenant', 'must have at most 200 characters');
  const org_id = given('Billing-Org-Id');
  const only = skills('Skills-Only');
  const add = skills('Skills') ?? [];
  if (add.length + (only?.length ?? 0) > mostSkills)
    throw faultAt('Skills', `and X-Orchagent-Skills-Only must name at most ${mostSkills} together`);
  const max_hops = number('Max-Hops', -1, 1_000);
  const chain = {
    chain: refs('Call-Chain', longestChain),
    signature: given('Call-Chain-Sig'),
    max_hops,
    deadline_at: number('Deadline-Ms', 0, endOfYear9999),
    downstream_remaining: number('Downstream-Remaining', 0, 1_000_000_000),
    billing: org_id === undefined ? undefined : { org_id, signature: given('Billing-Org-Sig') },
    is_strict: given('Orchestration-Mode')?.toLowerCase() === 'strict',
  };
  return {
    ...(tenant !== undefined && { tenant }),
    skills: {
      add,
      ...(only && { only }),
      none: flag('No-Skills'),
    },
    chain: Object.fromEntries(Object.entries(chain).filter(([, value]) => value !== undefined)),
  };
}
