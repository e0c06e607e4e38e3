import { z } from 'zod';
import { usageSchema } from '../../../runs/usage-schema.ts';
import { requestObject, text, timestamp } from '../../../fields.ts';

export const decisionSchema = z.enum(['approve', 'edit', 'reject', 'retry']);

export const gateSchema = z
  .object({
    gate_id: z.string().meta({ description: 'New for each pause.' }),
    kind: z.enum(['context', 'human_task', 'approval', 'tool_approval', 'escalation', 'budget', 'human_step']),
    status: z
      .enum(['open', 'answered', 'expired', 'closed'])
      .meta({ description: '`expired`: nobody answered in time, and `on_timeout` decided.' }),
    reason: z.string().nullable(),
    decisions: z.array(decisionSchema).meta({ description: 'The decisions that this gate takes.' }),
    decision: decisionSchema.nullable(),
    note: z.string().nullable().meta({
      description: 'What was said beside the decision: the text of an answer that did not become the output.',
    }),
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
