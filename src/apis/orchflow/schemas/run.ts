import { z } from 'zod';
import { labelsShape, maxLabels, tag } from '../../../runs/labels-schema.ts';
import { usageSchema } from '../../../runs/usage-schema.ts';
import { taskSchema } from './task.ts';
import { isStorable, unstorable } from '../../../../workflows/contract/form.ts';
import { timeoutActions } from '../../../../workflows/contract/gate-rules.ts';
import { duration, id, line, requestObject, text, timestamp, url } from '../../../fields.ts';
import { cursor, limit } from '../../../http/cursor.ts';
import { agentToolsSchema } from '../../../agents/tool-schema.ts';

const agentSchema = requestObject({
  name: line(100).meta({ example: 'research' }),
  system_prompt: text(0, 20_000)
    .optional()
    .meta({ description: "The template's of this name unless given; of another name: `You are an expert NAME.`" }),
  model: line(200).optional().meta({
    description: "A model of another vendor uses the account's newest active provider of that vendor.",
    example: 'gpt-4o',
  }),
  tools: agentToolsSchema.optional(),
  max_turns: z.int().min(1).max(50).optional().meta({
    description: 'Of an agent with tools: how often its model is asked for one output. 15 unless given.',
  }),
});

const termsShape = {
  gate_due_in: duration()
    .optional()
    .meta({ description: 'How long a gate may wait for a person. For ever unless given.' }),
  remind_every: duration().optional().meta({
    description: 'Sends the webhook event `gate.reminder` this often, as long as a gate is open.',
    example: '24h',
  }),
  escalation_webhook_url: url().optional().meta({
    description: 'Where `gate.overdue` goes with `on_timeout: "escalate"`, besides `webhook_url`.',
  }),
};
const onTimeout = z.enum(timeoutActions).meta({
  description:
    'When a gate is due, `gate.overdue` is sent, and then: the gate stays open (`wait`, `escalate`), the run fails ' +
    '(`reject`), the task completes with its draft, or without an output (`approve`), the run is cancelled (`cancel`).',
});

const humanGateSchema = requestObject({ name: text(1, 200), ...termsShape, on_timeout: onTimeout.optional() }).meta({
  id: 'HumanGate',
  description: "A gate with terms of its own. What it does not name is the run's.",
});

/** Those that were stored by earlier releases may have null for what was not named. */
const gateOfRunSchema = z
  .object({
    name: z.string(),
    gate_due_in: z.string().nullish(),
    remind_every: z.string().nullish(),
    on_timeout: onTimeout.optional(),
    escalation_webhook_url: z.string().nullish(),
  })
  .meta({ id: 'HumanGateOfRun' });

export const createRunSchema = requestObject({
  task: text(1, 20_000).meta({
    description: 'The goal.',
    example: 'Plan and launch a faceless YouTube channel about AI tools for freelancers.',
  }),
  agents: z
    .array(agentSchema.meta({ id: 'Agent' }))
    .max(20)
    .default([])
    .refine(
      (agents) => new Set(agents.map((agent) => agent.name.toLowerCase())).size === agents.length,
      'must have different names',
    )
    .meta({ description: 'The built-in templates unless given.' }),
  human_gates: z
    .array(z.union([text(1, 200), humanGateSchema]))
    .max(20)
    .default([])
    .meta({
      description:
        'Planned steps that a person does. A gate that no planned task is becomes a task of its own, before the tasks that ' +
        'must wait for it or before the final output. Of several at one task, the strictest terms hold.',
      example: ['legal approval'],
    }),
  ask_me_about: z
    .array(text(1, 500))
    .max(20)
    .default([])
    .meta({
      description: 'What a person is asked for (task T1) before the agents begin.',
      example: ['brand voice', 'target audience'],
    }),
  require_approval: z.boolean().default(false).meta({ description: 'Every AI task waits for approval.' }),
  webhook_url: url().optional(),
  ...termsShape,
  on_timeout: onTimeout.default('wait'),
  provider_id: line(64).optional().meta({ example: 'prv_abc123' }),
  fallback_provider_ids: z
    .array(line(64))
    .max(5)
    .default([])
    .refine((ids) => new Set(ids).size === ids.length, 'must be different')
    .meta({
      description:
        'Asked in this order, each with its own model, when the one before refuses: key, quota, deactivated.',
      example: ['prv_def456'],
    }),
  max_cost_usd: z.number().positive().max(1_000_000).optional().meta({
    description: 'What the model calls of the run may cost. A model without a known price counts by tokens only.',
    example: 0.5,
  }),
  max_tokens: z.int().min(1).max(1_000_000_000).optional().meta({
    description: 'What the model calls of the run may use, prompts and answers.',
  }),
  on_budget: z.enum(['gate', 'fail']).default('gate').meta({
    description: '`gate`: a person decides whether the run goes on when it reaches a limit. `fail`: it fails.',
  }),
  ...labelsShape,
}).meta({ id: 'CreateRun' });

export const runStatus = z.enum(['pending', 'running', 'waiting_human', 'completed', 'failed', 'cancelled']);
const phase = z.enum(['queued', 'split_tasks', 'infer_deps', 'assign_agents', 'execute', 'finalize', 'done']);

export const runStartedSchema = z
  .object({ run_id: z.string().meta({ example: 'run_abc123' }), status: z.literal('pending'), message: z.string() })
  .meta({ id: 'RunStarted' });

export const rerunSchema = requestObject({
  from_task: line(64).meta({ description: 'Done again, with every task after it.', example: 'T2' }),
  edits: z
    .record(text(1, 64), text(1, 100_000))
    .default({})
    .meta({ description: 'Texts in place of outputs that stand, by task.', example: { T1: 'Dry and friendly.' } }),
  provider_id: line(64).optional().meta({ description: "The source's unless given." }),
}).meta({ id: 'Rerun' });

const runSummaryShape = {
  run_id: z.string(),
  status: runStatus,
  phase,
  task: z.string(),
  waiting_tasks: z.array(z.string()).meta({ example: ['T1'] }),
  error: z.string().nullable(),
  metadata: z.record(z.string(), z.string()),
  tags: z.array(z.string()),
  orchestration_id: z.string().nullable().meta({ description: 'Null is a run of a goal.' }),
  created_at: timestamp,
  started_at: timestamp.nullable(),
  completed_at: timestamp.nullable(),
};

export const runSchema = z
  .object({
    ...runSummaryShape,
    tasks: z.array(taskSchema),
    final_output: z.string().nullable(),
    warnings: z.array(z.string()),
    usage: usageSchema,
    agents: z.array(
      z.object({
        name: z.string(),
        system_prompt: z.string(),
        model: z.string().nullable(),
        provider_id: z.string().nullable(),
        tools: z.array(z.object({ name: z.string(), require_approval: z.boolean() })).optional(),
        max_turns: z.int().optional(),
      }),
    ),
    human_gates: z.array(z.union([z.string(), gateOfRunSchema])),
    ask_me_about: z.array(z.string()),
    require_approval: z.boolean(),
    webhook_url: z.string().nullable(),
    gate_due_in: z.string().nullable(),
    remind_every: z.string().nullable(),
    on_timeout: onTimeout,
    escalation_webhook_url: z.string().nullable(),
    provider_id: z.string().nullable(),
    forked_from: z.string().nullable().meta({ description: 'The run that this one is a rerun of.' }),
    fallback_provider_ids: z.array(z.string()),
    max_cost_usd: z.number().nullable(),
    max_tokens: z.int().nullable(),
    on_budget: z.enum(['gate', 'fail']),
    live: z
      .unknown()
      .optional()
      .meta({ description: "With ?live=true: the workflow's own state, or null when it cannot be asked." }),
  })
  .meta({ id: 'Run' });

/** Given once or several times. */
function repeated<T extends z.ZodType<string, string>>(schema: T) {
  return z.preprocess((given) => (typeof given === 'string' ? [given] : given), z.array(schema).max(maxLabels));
}

const pair = z
  .string()
  .refine((value) => value.indexOf(':') > 0, 'must be a key and a value with a colon between them')
  .refine(isStorable, unstorable);

/** As Postgres takes it, which knows no year 0 and not all offsets. */
const moment = z.iso
  .datetime({ offset: true, error: 'must be a time such as "2026-11-22T09:30:00Z"' })
  .transform((value) => new Date(value).toISOString())
  .refine((value) => value >= '0001' && value < '9999', 'must be in the years 1 to 9998')
  .meta({ format: 'date-time', example: '2026-11-22T09:30:00Z' });

const runFilterShape = {
  status: runStatus.optional(),
  kind: z.enum(['goal', 'orchestration']).optional(),
  orchestration_id: id.optional(),
  tag: repeated(tag).optional().meta({ description: 'Given several times, the runs that have all of them.' }),
  metadata: repeated(pair)
    .optional()
    .meta({
      description: 'A key and its value; given several times, the runs that have all of them.',
      example: ['customer:c_17'],
    }),
  q: text(1, 200).optional().meta({
    description: 'Whole words of the goal, in any order; `"in this order"`, `one or other`, `-without`.',
    example: 'newsletter -draft',
  }),
  created_after: moment.optional(),
  created_before: moment.optional(),
};

export const runCountQuery = z.object(runFilterShape);

export const runListQuery = z.object({
  limit,
  cursor,
  ...runFilterShape,
  sort: z
    .enum(['-created_at', 'created_at'])
    .default('-created_at')
    .meta({ description: 'Newest first, or oldest first.' }),
});

export const runCountsSchema = z
  .object({ total: z.int(), by_status: z.record(runStatus, z.int()) })
  .meta({ id: 'RunCounts' });

export const runListSchema = z
  .object({
    runs: z.array(z.object(runSummaryShape).meta({ id: 'RunSummary' })),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: 'RunList' });

export const runCancelledSchema = z
  .object({ run_id: z.string(), status: z.literal('cancelled'), message: z.string() })
  .meta({ id: 'RunCancelled' });
