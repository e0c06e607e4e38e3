import { z } from 'zod';

/** What models may cost: said of agents, and of runs of any kind, in every surface. */

export const budgetShape = {
  max_cost_usd: z.number().positive().max(1_000_000).optional().meta({
    description: 'What the model calls of the run may cost. A model without a known price counts by tokens only.',
    example: 0.5,
  }),
  max_tokens: z.int().min(1).max(1_000_000_000).optional().meta({
    description: 'What the model calls of the run may use, prompts and answers.',
  }),
};

export const onBudget = z.enum(['gate', 'fail']).meta({
  description: '`gate`: a person decides whether the run goes on when it reaches a limit. `fail`: it fails.',
});
