import { z } from 'zod';
import { fieldTypes } from '../../../../workflows/contract/field-values.ts';
import { fieldBoundsShape } from '../../../orchestrations/form-schema.ts';
import { attachmentSchema, attachmentsShape } from '../../../runs/attachments-schema.ts';
import { actorSchema, remarkShape } from '../../../runs/remark-schema.ts';
import { usageSchema } from '../../../runs/usage-schema.ts';
import { id, requestObject, taskId, text, timestamp } from '../../../fields.ts';

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

/** As it stands in the definition. */
export const formFieldSchema = z
  .object({
    name: z.string(),
    type: z.enum(fieldTypes),
    label: z.string().nullable(),
    options: z
      .union([z.string(), z.array(z.string())])
      .nullable()
      .meta({ description: 'Of a `select` or `multi_select`.' }),
    required: z.boolean().optional(),
    ...fieldBoundsShape,
  })
  .meta({ id: 'FormField' });

/** Null: nobody's in particular. */
export const assigneeSchema = z
  .union([
    z
      .object({ person_id: z.string(), name: z.string().nullable().meta({ description: 'Null: they were removed.' }) })
      .meta({ id: 'Assignee' }),
    z.null(),
  ])
  .meta({ description: 'Whose it is.' });

export const assignment_note = z.string().nullable().meta({
  description: 'Why it was given to them, or given back: the `note` of who has done it.',
});

export const gateSchema = z
  .object({
    gate_id: z.string().meta({ description: 'New for each pause.' }),
    kind: gateKind,
    status: z
      .enum(['open', 'answered', 'expired', 'closed'])
      .meta({ description: '`expired`: nobody answered in time, and `on_timeout` decided.' }),
    reason: z.string().nullable(),
    prompt: z.string().nullable().meta({ description: 'Of a `human_step` while it is open: what a person is asked.' }),
    fields: z.array(formFieldSchema).nullable().meta({
      description: 'Of a `human_step` while it is open: what they fill in. `output` is a form of these, as JSON.',
    }),
    decisions: z.array(decisionSchema).meta({
      description: 'The decisions that this gate takes; a `human_task` takes `reject` with `send_back_to`.',
    }),
    decision: decisionSchema.nullable(),
    by: z.union([actorSchema, z.null()]).meta({ description: 'Who has answered it.' }),
    note: z.string().nullable().meta({
      description:
        'What was said beside the decision: the text of an answer that did not become the output, and its `note`.',
    }),
    attachments: z.array(attachmentSchema).meta({ description: 'What came with the answer.' }),
    skills: z.array(z.string()).meta({ description: 'What it asks for.' }),
    person: assigneeSchema,
    assigned_at: timestamp.nullable(),
    assignment_note,
    opened_at: timestamp,
    due_at: timestamp.nullable(),
    answered_at: timestamp.nullable(),
  })
  .meta({ id: 'Gate', description: 'The newest pause of a task for a person.' });

export const taskSchema = z
  .object({
    id: z.string().meta({ example: 'T1' }),
    step_id: z
      .string()
      .nullable()
      .meta({ description: 'Of an orchestration: the step that this is one execution of.' }),
    step_type: z.string().nullable(),
    title: z.string(),
    description: z.string(),
    kind: z.enum(['ai', 'human', 'code']),
    agent: z.string().nullable(),
    model: z.string().nullable().meta({ description: "The agent's own model, when it names one." }),
    depends_on: z.array(z.string()),
    status: z.enum(['pending', 'running', 'waiting_human', 'completed', 'failed', 'skipped', 'cancelled']),
    output: z.string().nullable().meta({
      description:
        'The output; while the task is not completed, its draft, and at a `tool_approval` the arguments of the call.',
    }),
    attempts: z.int(),
    evaluation: z.object({ passed: z.boolean(), score: z.number().nullable(), feedback: z.string() }).nullable(),
    gate: z.union([gateSchema, z.null()]),
    attachments: z.array(attachmentSchema).meta({
      description: 'The files that came with all answers to it; of a rerun, also with those that it has taken over.',
    }),
    error: z.string().nullable(),
    usage: usageSchema,
    started_at: timestamp.nullable(),
    completed_at: timestamp.nullable(),
  })
  .meta({ id: 'Task' });

export const taskListSchema = z.object({ run_id: z.string(), tasks: z.array(taskSchema) }).meta({ id: 'TaskList' });

export const completeTaskSchema = requestObject({
  output: text(0, 100_000).optional().meta({
    description: 'The answer, the new text of an edit, or the feedback of a rejection.',
    example: 'Brand voice should be practical and founder-friendly.',
  }),
  decision: decisionSchema.optional().meta({
    description:
      '`approve` unless given; at a `tool_approval` and a `budget` it must be given beside a text. `reject`: do it again ' +
      'with `output` as feedback. `retry`: try again after mending what failed.',
  }),
  gate_id: text(1, 200)
    .optional()
    .meta({ description: 'Refuses the answer when the task waits for another gate by now.' }),
  send_back_to: taskId.optional().meta({
    description:
      'With `decision: "reject"`: a task before this one, which is done again with `output` as feedback, and with it all that ' +
      'builds on it, this one too. What stands beside it stays.',
    example: 'T2',
  }),
  ...attachmentsShape,
  ...remarkShape,
}).meta({ id: 'CompleteTask' });

export const taskCompletedSchema = z
  .object({
    run_id: z.string(),
    task_id: z.string(),
    gate_id: z.string(),
    decision: decisionSchema,
    message: z.string(),
  })
  .meta({ id: 'TaskCompleted' });

export const assignTaskSchema = requestObject({
  person_id: id.nullable().meta({
    description:
      'Null gives it back to all who have its skills, and without skills to the keys of the account: it is assigned to nobody by itself from then on.',
    example: 'per_abc123',
  }),
  ...remarkShape,
}).meta({ id: 'AssignTask' });

export const taskAssignedSchema = z
  .object({
    run_id: z.string(),
    task_id: z.string(),
    gate_id: z.string(),
    person_id: z.string().nullable(),
    message: z.string(),
  })
  .meta({ id: 'TaskAssigned' });
