import { z } from 'zod';
import { agentVersion } from '../agents/agent-schema.ts';
import { budgetShape, onBudget } from '../agents/budget-schema.ts';
import { json, line, members, text, url } from '../fields.ts';
import { attachmentsShape } from './attachments-schema.ts';
import { labelsShape } from './labels-schema.ts';
import { remarkShape } from './remark-schema.ts';
import { startTimeShape } from './start-time-schema.ts';
import { fallbackProviders, gateTermsShape, onTimeout } from './terms-schema.ts';

const maxInput = 20_000;

/** What one run of a registered agent is asked for, in every surface. */
export const agentRunShape = {
  input: z
    .union([
      text(1, maxInput),
      members(text(1, 200), json(), 200).refine(
        (given) => JSON.stringify(given).length <= maxInput,
        `must have at most ${maxInput} characters as JSON`,
      ),
    ])
    .meta({
      description: "A text or an object; what fits the agent's input schema.",
      example: 'Review this clause: …',
    }),
  version: agentVersion.optional().meta({ description: 'The newest unless given.' }),
  ...startTimeShape,
  webhook_url: url().optional(),
  ...gateTermsShape,
  on_timeout: onTimeout.default('wait'),
  provider_id: line(64).optional().meta({ description: "Goes before the agent's own." }),
  fallback_provider_ids: fallbackProviders,
  max_cost_usd: budgetShape.max_cost_usd.meta({
    description: "What its model calls may cost: the agent's limit unless given.",
  }),
  max_tokens: budgetShape.max_tokens.meta({ description: "What they may use: the agent's limit unless given." }),
  on_budget: onBudget.optional(),
  ...labelsShape,
  ...attachmentsShape,
  on_behalf_of: remarkShape.on_behalf_of,
};
