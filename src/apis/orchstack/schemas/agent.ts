import { z } from 'zod';
import { agentSummarySchema } from '../../../agents/agent-schema.ts';
import { line } from '../../../fields.ts';
import { cursor, limit } from '../../../http/cursor.ts';
import { fieldsQuery, sparse } from '../../../http/fieldset.ts';

export const agentListQuery = z.object({
  limit,
  cursor,
  name: line(100).optional().meta({ description: 'The agent of this name, whatever the case.', example: 'legal' }),
  model: line(200).optional().meta({ description: 'Agents that name this model.', example: 'gpt-4o' }),
  provider_id: line(64).optional().meta({ description: 'Agents that name this provider.', example: 'prv_abc123' }),
  sort: z
    .enum(['-created_at', 'created_at', '-updated_at', 'updated_at', 'name', '-name'])
    .default('-created_at')
    .meta({
      description: 'Newest first, or oldest first; what was changed last at first, or last; by name, either way.',
    }),
  fields: fieldsQuery(agentSummarySchema, 'agent_id'),
});

export const agentListSchema = z
  .object({
    agents: z.array(sparse(agentSummarySchema, 'agent_id').meta({ id: 'OrchstackAgentSummary' })),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: 'OrchstackAgentList' });
