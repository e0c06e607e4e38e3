import { z } from 'zod';
import { moment, requestObject, timestamp } from '../../../fields.ts';
import { cursor, limit } from '../../../http/cursor.ts';
import { fieldsQuery, sparse } from '../../../http/fieldset.ts';
import { definitionParts, definitionShape, orchestrationId, ownId } from '../../../orchestrations/definition-schema.ts';

export const workflowParams = z.object({ workflow_id: orchestrationId });

export const createWorkflowSchema = requestObject({
  workflow_id: ownId.optional().meta({ description: 'Made up unless given.', example: 'orch-haircuts' }),
  ...definitionShape,
}).meta({
  id: 'CreateWorkflow',
  example: {
    name: 'Answer, then approve',
    entry_step_id: 'answer',
    steps: [
      {
        id: 'answer',
        name: 'Answer',
        type: 'agent',
        agent: { name: 'front desk' },
        output_key: 'answer',
        next_step_id: 'approve',
      },
      { id: 'approve', name: 'Approve', type: 'human', input_keys: ['answer'], output_key: 'approval' },
    ],
  },
});

export const updateWorkflowSchema = requestObject(definitionParts).meta({ id: 'UpdateWorkflow' });

const summary = {
  workflow_id: z.string().meta({ example: 'orch_abc123' }),
  name: z.string(),
  description: z.string(),
};
const times = { created_at: timestamp, updated_at: timestamp };

export const workflowSchema = z
  .object({
    ...summary,
    entry_step_id: z.string(),
    steps: z.array(z.looseObject({ id: z.string(), name: z.string(), type: z.string() })),
    state_schema: z.record(z.string(), z.looseObject({})),
    max_total_turns: z.int(),
    max_total_cost_usd: z.number().nullable(),
    timeout_minutes: z.number(),
    ...times,
  })
  .meta({ id: 'Workflow' });

const workflowItemSchema = z.object({ ...summary, step_count: z.int(), ...times });

export const workflowListQuery = z.object({
  limit,
  cursor,
  sort: z.enum(['created_at', '-created_at', 'updated_at', '-updated_at']).default('-created_at'),
  fields: fieldsQuery(workflowItemSchema, 'workflow_id'),
  created_after: moment.optional().meta({ description: 'At this time or later.' }),
  created_before: moment.optional().meta({ description: 'Before this time.' }),
});

export const workflowListSchema = z
  .object({
    workflows: z.array(sparse(workflowItemSchema, 'workflow_id')),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: 'WorkflowList' });

export const workflowDeletedSchema = z
  .object({ workflow_id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'WorkflowDeleted' });
