import { z } from 'zod';
import { pendingFor } from '../../../../db/run-queue.ts';
import { keyMode } from '../../../accounts/keys-schema.ts';
import { id, line, moment, requestObject, text, timestamp } from '../../../fields.ts';
import { cursor, limit } from '../../../http/cursor.ts';
import { fieldsQuery, sparse } from '../../../http/fieldset.ts';
import { orchestrationInput, orchestrationRunShape } from '../../../orchestrations/run-schema.ts';
import { agentRunShape } from '../../../runs/agent-run-schema.ts';
import { labelFilterShape, newLabelsShape } from '../../../runs/labels-schema.ts';
import { remarkShape } from '../../../runs/remark-schema.ts';
import { beginsShape } from '../../../runs/start-time-schema.ts';
import { pendingGateSchema } from './gate.ts';
import { traceEntrySchema } from './trace.ts';

/** Seconds that an answer waits for a run. */
export const usualWait = 600;
export const longestWait = 3_600;

const channel = line(100).meta({ description: 'Over which channel of yours it came.', example: 'whatsapp' });
const user_id = line(200).meta({ description: 'Which of your users it is for.', example: 'usr_xyz789' });

/** What every run is asked for here: whose it is, and how it is answered. */
const askedShape = {
  channel: channel.optional(),
  user_id: user_id.optional(),
  stream: z.boolean().optional().meta({
    description: 'True: server-sent events. Unless given, the header `Accept: text/event-stream` asks for them.',
  }),
  wait: z
    .number()
    .min(0)
    .max(longestWait)
    .optional()
    .meta({
      description: `Seconds that the answer waits for the run; goes before the header \`Prefer: wait=N\`. ${usualWait} unless given.`,
      example: 30,
    }),
};

export const runAgentSchema = requestObject({
  ...agentRunShape,
  input: agentRunShape.input.meta({
    description: "A text or an object; what fits the agent's input schema.",
    example: 'Book a haircut for tomorrow at 3pm',
  }),
  ...askedShape,
}).meta({ id: 'OrchstackRunAgent' });

export const executeWorkflowSchema = requestObject({
  input: orchestrationInput.meta({
    description: 'Goes to `user_input`, `user_query` and the first key of the state schema.',
    example: 'Book a haircut for tomorrow at 3pm',
  }),
  ...orchestrationRunShape,
  ...askedShape,
}).meta({ id: 'ExecuteWorkflow' });

const run_id = z.string().meta({ example: 'run_def456' });
const tokens = z
  .object({ input: z.int(), output: z.int() })
  .meta({ id: 'Tokens', description: 'Of all model calls.', example: { input: 142, output: 38 } });
const duration_ms = z.int().meta({
  description:
    'From its beginning to its end, or until now, also while it waited for people. 0 of one that has not begun.',
  example: 1_240,
});

const completedSchema = z
  .object({
    run_id,
    status: z.literal('completed'),
    output: z.string().meta({ description: 'JSON where the agent has an output schema.' }),
    tokens,
    duration_ms,
  })
  .meta({ id: 'RunCompleted' });

const failedSchema = z
  .object({
    run_id,
    status: z.enum(['failed', 'cancelled']),
    output: z.string().nullable(),
    tokens,
    duration_ms,
    error: z.string().meta({ description: 'Why, in words.' }),
    error_code: z.string().nullable().meta({ description: 'Why, as a word for programs; null of one that has none.' }),
  })
  .meta({ id: 'RunFailed', description: 'The run has failed, also because its time was over, or was cancelled.' });

const waitingSchema = z
  .object({
    run_id,
    status: z.literal('waiting_human'),
    output: z.string().nullable(),
    tokens,
    duration_ms,
    gates: z.array(pendingGateSchema),
  })
  .meta({ id: 'RunWaiting', description: 'It waits for a person, and goes on when it is answered.' });

const goesOnSchema = z
  .object({ run_id, status: z.enum(['pending', 'running']), ...beginsShape, message: z.string() })
  .meta({
    id: 'RunGoesOn',
    description:
      'It goes on; read it under its id. The status is 200 where the answer has begun before: after three seconds.',
  });

/** One schema for every success: generators take one type for an operation, not one for each status. */
export const runAnswerSchema = z
  .discriminatedUnion('status', [completedSchema, failedSchema, waitingSchema, goesOnSchema])
  .meta({ id: 'RunAnswer' });

export const runStatus = z.enum(['pending', 'running', 'waiting_human', 'completed', 'failed', 'cancelled']);
const runKind = z.enum(['agent', 'workflow', 'goal']);

/** A run in a list. */
const runSummarySchema = z.object({
  run_id,
  kind: runKind.meta({ description: 'Whose it is: of one agent, of a workflow, or of a goal of `/api/v1/runs`.' }),
  origin: z
    .enum(['orchflow', 'orchestrations', 'orchstack', 'orchagent'])
    .nullable()
    .meta({ description: 'Over which API it was started.' }),
  status: runStatus,
  mode: keyMode.meta({ description: 'That of the key that started it: the demo model answers a `test`.' }),
  agent_id: z.string().nullable().meta({ description: 'Of a run of one agent, which may be deleted since.' }),
  workflow_id: z.string().nullable().meta({ description: 'Of a run of a workflow.' }),
  channel: z.string().nullable(),
  user_id: z.string().nullable(),
  input: z.string().meta({ description: 'JSON where it was an object.' }),
  error: z.string().nullable(),
  error_code: z.string().nullable().meta({
    description: 'Why it failed, as a word for programs, where there is one: `TIMEOUT`, `LLM_ERROR`, …',
  }),
  tokens,
  cost_usd: z.number().meta({ description: 'Of all model calls; one without a known price counts as 0.' }),
  duration_ms,
  metadata: z.record(z.string(), z.string()),
  tags: z.array(z.string()),
  created_at: timestamp,
  start_at: timestamp.nullable().meta({ description: 'When it was asked to begin; null: at once.' }),
  pending_for: z.enum(pendingFor).nullable().meta({ description: 'What it waits for before it begins.' }),
  started_at: timestamp.nullable(),
  completed_at: timestamp.nullable(),
});

export const runSchema = runSummarySchema
  .extend({
    version: z.string().nullable().meta({ description: 'Of the agent, as the run has frozen it.', example: 'v2' }),
    output: z.string().nullable().meta({ description: 'JSON where the agent has an output schema.' }),
    warnings: z.array(z.string()),
    held_at: timestamp.nullable().meta({ description: 'Since then nothing new is begun in it.' }),
    gates: z.array(pendingGateSchema).meta({ description: 'What it waits for now.' }),
    trace: z.array(traceEntrySchema).meta({
      description:
        'All that it did, in the order in which it began: at most 5,000 entries, the first ones. Their texts are 8 MiB together at ' +
        'most: where there is more, each is cut to an equal share, and says so.',
    }),
  })
  .meta({ id: 'OrchstackRun' });

export const changedRunSchema = runSummarySchema.meta({ id: 'OrchstackRunSummary' });

export const changeRunSchema = requestObject({ ...newLabelsShape, ...remarkShape }).meta({ id: 'OrchstackChangeRun' });

export const runListQuery = z.object({
  limit,
  cursor,
  status: runStatus.optional(),
  kind: runKind.optional(),
  agent_id: id.optional(),
  workflow_id: id.optional(),
  mode: keyMode.optional(),
  channel: channel.optional(),
  user_id: user_id.optional(),
  ...labelFilterShape,
  q: text(1, 200).optional().meta({
    description: 'Whole words of the input, in any order; `"in this order"`, `one or other`, `-without`.',
    example: 'haircut -tomorrow',
  }),
  created_after: moment.optional(),
  created_before: moment.optional(),
  sort: z
    .enum(['-created_at', 'created_at', '-cost_usd', 'cost_usd'])
    .default('-created_at')
    .meta({ description: 'Newest first, or oldest first; what has cost the most first, or the least.' }),
  fields: fieldsQuery(runSummarySchema, 'run_id'),
});

export const runListSchema = z
  .object({
    runs: z.array(sparse(runSummarySchema, 'run_id').meta({ id: 'OrchstackRunEntry' })),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: 'OrchstackRunList' });

export const runDeletedSchema = z
  .object({ run_id: z.string(), status: z.enum(['cancelled', 'purged']), message: z.string() })
  .meta({ id: 'OrchstackRunDeleted' });
