import { z } from 'zod';
import { pendingFor } from '../../../../db/run-queue.ts';
import { fieldBoundsShape } from '../../../orchestrations/form-schema.ts';
import { attachmentsShape } from '../../../runs/attachments-schema.ts';
import { remarkShape } from '../../../runs/remark-schema.ts';
import { orchestrationInput, orchestrationRunShape } from '../../../orchestrations/run-schema.ts';
import { beginsShape } from '../../../runs/start-time-schema.ts';
import { usageSchema } from '../../../runs/usage-schema.ts';
import { id, json, line, members, text, timestamp, withoutNulls } from '../../../fields.ts';
import { limit } from '../../../http/cursor.ts';
import { queryNumber, runWaitQuery } from '../../../http/query.ts';

export const runParams = z.object({ run_id: id });

const maxWaitSeconds = 3_600;

export const waitQuery = z.object({
  wait: queryNumber(
    z
      .number()
      .min(0)
      .max(maxWaitSeconds)
      .default(600)
      .meta({
        description:
          'Seconds. A run that goes on for longer is answered with its id and `running`: with 202, or, when the wait was longer ' +
          'than three seconds, with 200, for such an answer begins after three seconds, with white space.',
      }),
  ),
});

// Other members are not refused, as the API that these two are compatible with does not; `warnings` names them.
export const startOrchestrationSchema = withoutNulls(
  z.object({
    message: orchestrationInput.meta({
      description: 'Goes to `user_input`, `user_query` and the first key of the state schema.',
      example: 'Synapse AI platform',
    }),
    ...orchestrationRunShape,
  }),
).meta({ id: 'StartOrchestration' });

export const resumeSchema = withoutNulls(
  z.object({
    response: z
      .union([text(0, 100_000), members(text(0, 200), json(), 1_000)])
      .default({})
      .meta({
        description: 'The fields by name, or a text, which answers the only field.',
        example: { decision: 'approve', notes: 'Excellent research.' },
      }),
    step_id: line(64)
      .optional()
      .meta({ description: 'Which step is answered, where several wait. The one that waits longest.' }),
    gate_id: line(200)
      .optional()
      .meta({ description: 'Refuses the answer when the step waits for another one by now.' }),
    ...attachmentsShape,
    ...remarkShape,
  }),
).meta({ id: 'ResumeOrchestration' });

const fieldSchema = z.object({
  name: z.string(),
  type: z.string(),
  label: z.string().optional(),
  options: z.union([z.string(), z.array(z.string())]).optional(),
  required: z.boolean().optional(),
  ...fieldBoundsShape,
});

const humanInputSchema = z
  .object({
    step_id: z.string(),
    prompt: z.string(),
    fields: z.array(fieldSchema),
    agent_context: z.string().nullable(),
    task_id: z.string(),
    gate_id: z.string(),
    due_at: timestamp.nullable(),
  })
  .meta({ id: 'HumanInputRequired' });

const stepHistorySchema = z
  .array(
    z.object({
      task_id: z.string().meta({ description: 'The execution: the id of the step, then `.2`, … when it ran again.' }),
      step_id: z.string(),
      step_name: z.string(),
      type: z.string(),
      step_type: z.string(),
      status: z.string(),
      turns: z.int(),
      cost_usd: z.number(),
      output_key: z.string().nullable(),
      error: z.string().nullable(),
      started_at: timestamp.nullable(),
      ended_at: timestamp.nullable(),
      duration_seconds: z.number().nullable(),
    }),
  )
  .meta({ id: 'StepHistory' });

const sharedState = z.record(z.string(), z.unknown()).meta({ description: 'The state, also as it is at a failure.' });

const warnings = z.array(z.string()).meta({ description: 'Also of the request: members that it does not have.' });

const pausedSchema = z
  .object({ status: z.literal('paused'), run_id: z.string(), human_input_required: humanInputSchema, warnings })
  .meta({ id: 'OrchestrationPaused', description: 'It waits for a person.' });

const endedSchema = z
  .object({
    status: z.enum(['completed', 'failed', 'cancelled']),
    run_id: z.string(),
    response: z.string(),
    shared_state: sharedState,
    step_history: stepHistorySchema,
    warnings,
  })
  .meta({ id: 'OrchestrationEnded' });

const goesOnSchema = z
  .object({
    status: z.literal('running'),
    run_id: z.string(),
    ...beginsShape,
    message: z.string(),
    warnings,
  })
  .meta({ id: 'OrchestrationGoesOn', description: 'It goes on; read it under its id.' });

/** One schema for every success: generators take one type for an operation, not one for each status. */
export const runAnswerSchema = z
  .discriminatedUnion('status', [pausedSchema, endedSchema, goesOnSchema])
  .meta({ id: 'OrchestrationAnswer' });

const held_at = timestamp.nullable().meta({ description: 'Since then nothing new is begun in it.' });

const runStatus = z.enum(['running', 'paused', 'completed', 'failed', 'cancelled']);

export const untilQuery = z.object(runWaitQuery(runStatus, 'paused'));

export const orchestrationRunSchema = z
  .object({
    run_id: z.string(),
    orchestration_id: z.string(),
    status: runStatus,
    message: z.string(),
    response: z.string().nullable(),
    error: z.string().nullable(),
    shared_state: sharedState,
    step_history: stepHistorySchema,
    human_input_required: z.union([humanInputSchema, z.null()]),
    waiting: z.array(humanInputSchema).meta({ description: 'All that people are asked for now.' }),
    warnings: z.array(z.string()),
    usage: usageSchema,
    attempt: z.int(),
    held_at,
    created_at: timestamp,
    start_at: timestamp.nullable().meta({ description: 'When it was asked to begin; null: at once.' }),
    pending_for: z.enum(pendingFor).nullable().meta({
      description:
        'What it waits for before it begins: its `start_at`, a place in the account, or its release. Null: it has begun.',
    }),
    queue_position: z.int().nullable(),
    started_at: timestamp.nullable(),
    ended_at: timestamp.nullable(),
  })
  .meta({ id: 'OrchestrationRun' });

export const runListQuery = z.object({
  limit,
  orchestration_id: id.optional(),
  status: runStatus.optional(),
});

export const orchestrationRunListSchema = z
  .object({
    runs: z.array(
      z.object({
        run_id: z.string(),
        orchestration_id: z.string(),
        status: runStatus,
        message: z.string(),
        error: z.string().nullable(),
        held_at,
        created_at: timestamp,
        started_at: timestamp.nullable(),
        ended_at: timestamp.nullable(),
      }),
    ),
  })
  .meta({ id: 'OrchestrationRunList' });

export const orchestrationRunCancelledSchema = z
  .object({ run_id: z.string(), status: z.literal('cancelled'), message: z.string() })
  .meta({ id: 'OrchestrationRunCancelled' });
