import type { Tier } from '../../db/schema.ts';
import { DomainError } from '../errors.ts';

/** How much an account may ask for, and have, by its tier. */

export const tiers = {
  free: { title: 'Free', per_minute: 100, per_second: 20, agents: 3 },
  pro: { title: 'Pro', per_minute: 1_000, per_second: 100, agents: 25 },
  enterprise: { title: 'Enterprise', per_minute: 10_000, per_second: 1_000, agents: Infinity },
} as const satisfies Record<Tier, { title: string; per_minute: number; per_second: number; agents: number }>;

export const tierNames = Object.keys(tiers) as Tier[];

/** What is refused when an account has as many agents as its tier gives, in words: also what the next one would give. */
export function noMoreAgents(tier: Tier): DomainError {
  const { title, agents } = tiers[tier];
  const next = tierNames.map((name) => tiers[name]).find((other) => other.agents > agents);
  const more = next && ` ${next.title} has ${Number.isFinite(next.agents) ? next.agents : 'any number'}.`;
  const message = `The tier ${title} has ${agents} agents, and this account has them.${more ?? ''}`;
  return new DomainError('TIER_LIMIT_REACHED', message, { way_out: 'make_room_for_agent' });
}
