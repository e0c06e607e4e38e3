import { z } from 'zod';

/** What the model calls of a run, or of one task, came to. */
export const usageSchema = z
  .object({ llm_calls: z.int(), input_tokens: z.int(), output_tokens: z.int(), cost_usd: z.number() })
  .meta({ id: 'Usage', description: 'Of all model calls, also those for planning, evaluation and failed attempts.' });
