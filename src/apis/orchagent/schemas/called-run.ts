import { z } from 'zod';
import { line, requestObject, text, timestamp } from '../../../fields.ts';
import { queryNumber } from '../../../http/query.ts';
import { callStatuses } from '../call-view.ts';
import { eventTypes } from '../trace-view.ts';
import { triggerSource } from './usage.ts';

/** Runs as orchagent's command line reads them. */

const uuid = z.string().meta({ format: 'uuid', example: '0199f3c2-7a51-8d3e-9a64-2f1b8c000000' });
const status = z.enum(callStatuses).meta({ description: '`running` also while it waits for a person.' });
const texts = z.record(z.string(), z.unknown());

export const runParams = z.object({
  workspace_id: z.string().meta({ description: 'The `id` of `GET /workspaces`.' }),
  run_id: uuid,
});

export const runsQuery = z.object({
  agent_name: line(165)
    .optional()
    .meta({ description: 'With its organisation, or without.', example: 'invoice-scanner' }),
  status: z.enum(callStatuses).optional(),
  run_id_prefix: z
    .string()
    .max(40)
    .regex(/^(req_)?[0-9a-fA-F][0-9a-fA-F-]{6,35}$/, 'must be at least 7 hexadecimal digits')
    .optional()
    .meta({ description: 'The first digits of the id, or a `request_id`.', example: '0199f3c' }),
  limit: queryNumber(z.int().min(1).max(200).default(20)),
});

const item = {
  id: uuid,
  agent_name: z.string().meta({ example: 'invoice-scanner' }),
  agent: z.string().meta({ description: 'With its organisation.', example: 'acme/invoice-scanner' }),
  agent_version: z.string().meta({ example: 'v1' }),
  status,
  error_message: z.string().nullable(),
  error_code: z.string().nullable(),
  duration_ms: z.int().nullable(),
  trigger_source: triggerSource,
  tenant: z.string().nullable(),
  started_at: timestamp.nullable(),
  completed_at: timestamp.nullable(),
  created_at: timestamp,
};

export const runsSchema = z
  .object({ runs: z.array(z.object(item)), total: z.int().meta({ description: 'They are counted to 1,000.' }) })
  .meta({ id: 'CalledRuns' });

export const runSchema = z
  .object({
    ...item,
    workspace_id: uuid,
    agent_id: uuid.meta({ description: 'Of the version.' }),
    endpoint: z.string(),
    key_id: z.string(),
    root_run_id: uuid.meta({ description: 'The first of its chain.' }),
    parent_run_id: uuid.nullable().meta({ description: 'The run that called it.' }),
    replay_of_run_id: uuid.nullable(),
    usage: z.object({ llm_calls: z.int(), input_tokens: z.int(), output_tokens: z.int(), cost_usd: z.number() }),
  })
  .meta({ id: 'CalledRun' });

export const runLogsSchema = z
  .object({
    run_id: uuid,
    agent_name: z.string(),
    agent_version: z.string(),
    run_status: status,
    error_message: z.string().nullable(),
    input_data: z.unknown().meta({ description: 'What it was called with, without `llm_credentials`.' }),
    output_data: texts.nullable(),
    has_execution_log: z.boolean().meta({ description: 'Whether code was run, and its output is here.' }),
    stdout: z.string().nullable().meta({ description: 'Of the last try of its code.' }),
    stderr: z.string().nullable(),
    exit_code: z.int().nullable(),
    execution_time_ms: z.int().nullable(),
  })
  .meta({ id: 'CalledRunLogs' });

export const traceSchema = z
  .object({
    trace: z.object({
      id: uuid.meta({ description: 'That of the run.' }),
      run_id: uuid,
      workspace_id: uuid,
      status,
      created_at: timestamp,
      completed_at: timestamp.nullable(),
    }),
  })
  .meta({ id: 'CalledRunTrace' });

export const traceEventsQuery = z.object({
  limit: queryNumber(z.int().min(1).max(500).default(100)),
  offset: queryNumber(z.int().min(0).max(10_000).default(0)),
});

export const traceEventsSchema = z
  .object({
    events: z.array(
      z.object({
        id: z.string(),
        trace_id: uuid,
        sequence_no: z.int(),
        event_type: z.enum(eventTypes),
        payload: texts,
        provider: z.string().optional(),
        model: z.string().optional(),
        token_input: z.int().optional(),
        token_output: z.int().optional(),
        cost_usd: z.number().nullable().optional(),
        duration_ms: z.int().nullable(),
        error_type: z.string().optional(),
        error_message: z.string().nullable().optional(),
        created_at: timestamp.nullable(),
      }),
    ),
    total: z.int(),
    cursor: z.string().meta({ description: 'The `offset` of this page.' }),
    next_cursor: z.string().nullable().meta({ description: 'The `offset` of the next one.' }),
  })
  .meta({ id: 'CalledRunTraceEvents' });

const nodeSchema = z
  .looseObject({
    run_id: uuid,
    agent_name: z.string(),
    agent: z.string(),
    agent_version: z.string(),
    status,
    duration_ms: z.int().nullable(),
    started_at: timestamp,
    self_cost_usd: z.number(),
    subtree_cost_usd: z.number(),
    cost_pct: z.number(),
    input_tokens: z.int(),
    output_tokens: z.int(),
    llm_model: z.string().nullable(),
    llm_provider: z.string().nullable(),
    trace_summary: z.object({
      llm_calls: z.int(),
      tool_calls: z.int(),
      errors: z.int(),
      total_tokens: z.int(),
      total_cost_usd: z.number(),
    }),
    children: z.array(z.looseObject({})).meta({ description: 'The same of each that it has called.' }),
  })
  .meta({ id: 'ChainNode' });

export const dagSchema = z
  .object({
    root_run_id: uuid,
    is_live: z.boolean(),
    total_cost_usd: z.number(),
    total_duration_ms: z.int(),
    node_count: z.int(),
    active_count: z.int(),
    completed_count: z.int(),
    failed_count: z.int(),
    most_expensive_agent: z.string(),
    tree: nodeSchema,
  })
  .meta({ id: 'CallChain' });

export const replaySchema = requestObject({
  reason: text(1, 2_000)
    .optional()
    .meta({ description: 'Why, for whoever reads it later in the events and the audit.' }),
}).meta({ id: 'ReplayRun' });

export const replayedSchema = z
  .object({
    run_id: uuid,
    job_id: uuid.meta({ description: 'The same: there is no second id.' }),
    replay_of_run_id: uuid,
    status: z.literal('queued'),
  })
  .meta({ id: 'RunReplayed' });
