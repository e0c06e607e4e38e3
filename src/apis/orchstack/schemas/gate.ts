import { z } from 'zod';
import { fieldTypes } from '../../../../workflows/contract/field-values.ts';
import { json, members, requestObject, text, timestamp } from '../../../fields.ts';
import { fieldBoundsShape } from '../../../orchestrations/form-schema.ts';
import { attachmentsShape } from '../../../runs/attachments-schema.ts';
import { remarkShape } from '../../../runs/remark-schema.ts';

export const decisionSchema = z.enum(['approve', 'edit', 'reject', 'retry']);

export const gateKind = z.enum([
  'context',
  'human_task',
  'approval',
  'tool_approval',
  'escalation',
  'budget',
  'human_step',
]);

const fieldSchema = z
  .object({
    name: z.string(),
    type: z.enum(fieldTypes),
    label: z.string().nullable(),
    options: z.union([z.string(), z.array(z.string())]).nullable(),
    required: z.boolean().optional(),
    ...fieldBoundsShape,
  })
  .meta({ id: 'OrchstackGateField' });

/** A gate that waits. */
export const pendingGateSchema = z
  .object({
    gate_id: z.string().meta({ example: 'gate_def456_T1_1' }),
    task_id: z.string(),
    kind: gateKind,
    question: z.string().meta({ description: 'What a person is asked, in words.' }),
    context: z.string().nullable().meta({ description: 'Of a `human_step`: what it shows beside its question.' }),
    fields: z.array(fieldSchema).nullable().meta({
      description: 'Of a `human_step`: what is filled in. `output` of the answer is an object of these.',
    }),
    draft: z.string().nullable().meta({
      description: 'The output that waits for a decision; at a `tool_approval` the arguments of the call, as JSON.',
    }),
    decisions: z.array(decisionSchema),
    person: z
      .union([
        z.object({ person_id: z.string(), name: z.string().nullable() }).meta({ id: 'OrchstackAssignee' }),
        z.null(),
      ])
      .meta({ description: "Whose it is. Null: nobody's in particular." }),
    opened_at: timestamp,
    due_at: timestamp.nullable(),
    answer_url: z.string().meta({
      description: 'Where it is answered, with POST.',
      example: '/v1/runs/run_def456/gates/gate_def456_T1_1',
    }),
  })
  .meta({ id: 'PendingGate', description: 'What waits for a person.' });

export const answerGateSchema = requestObject({
  decision: decisionSchema.optional().meta({
    description:
      'One of those that the gate takes. `approve` unless given; at a `tool_approval` and a `budget` it must be given. `edit`: ' +
      '`output` is the output, or the arguments. `reject`: it is done again, or not called, with `output` as the reason.',
  }),
  output: z
    .union([text(0, 100_000), members(text(0, 200), json(), 1_000)])
    .optional()
    .meta({
      description: 'A text; of a form its fields by name, and of a tool call that is edited the arguments.',
      example: 'Approved for tomorrow at 3pm.',
    }),
  ...attachmentsShape,
  ...remarkShape,
}).meta({ id: 'AnswerGate' });

export const gateAnsweredSchema = z
  .object({ run_id: z.string(), gate_id: z.string(), decision: decisionSchema, message: z.string() })
  .meta({ id: 'GateAnswered' });
