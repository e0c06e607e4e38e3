import { z } from 'zod';
import { timestamp } from '../../../fields.ts';
import { orchestrationId } from '../../../orchestrations/definition-schema.ts';

export const orchestrationParams = z.object({ orch_id: orchestrationId });

const storedStep = z.looseObject({
  id: z.string(),
  name: z.string(),
  label: z.string(),
  type: z.string(),
  agent_id: z.string().nullable(),
  depends_on: z.array(z.string()).meta({ description: 'The steps that lead to it.' }),
});

export const orchestrationSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    description: z.string(),
    entry_step_id: z.string(),
    steps: z.array(storedStep),
    edges: z.array(z.object({ from: z.string(), to: z.string(), via: z.string() })),
    state_schema: z.record(z.string(), z.looseObject({})),
    max_total_turns: z.int(),
    max_total_cost_usd: z.number().nullable(),
    timeout_minutes: z.number(),
    hash: z.string().meta({ description: 'Of the content: a run keeps the definition that it began with.' }),
    is_shipped: z.boolean().meta({ description: 'Comes with Orchflow and cannot be changed.' }),
    created_at: timestamp.nullable(),
    updated_at: timestamp.nullable(),
  })
  .meta({ id: 'Orchestration' });

export const orchestrationListSchema = z
  .array(z.object({ id: z.string(), name: z.string(), description: z.string(), steps: z.int() }))
  .meta({ id: 'OrchestrationList' });

export const validationSchema = z
  .object({ valid: z.boolean(), errors: z.array(z.object({ pointer: z.string(), detail: z.string() })) })
  .meta({ id: 'Validation' });

export const orchestrationDeletedSchema = z
  .object({ id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'OrchestrationDeleted' });
