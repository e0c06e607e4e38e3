import { z } from 'zod';
import { line, moment, timestamp } from '../../../fields.ts';
import { cursor } from '../../../http/cursor.ts';
import { queryNumber } from '../../../http/query.ts';
import { callStatuses } from '../call-view.ts';

/** What calls of agents have come to. */

const from = moment.optional().meta({
  description:
    'The hour that it is in is the first; at `interval=day`, the day. Unless given: thirty days before `to`, at `interval=hour` one.',
});
const to = moment.optional().meta({ description: 'The hour, or day, that it is in is the last. Now unless given.' });
const agent = z
  .string()
  .regex(
    /^[A-Za-z0-9_-]{1,64}[/][A-Za-z0-9_.-]{1,100}$/,
    'must be an organisation and a name, such as "acme/invoice-scanner"',
  )
  .optional()
  .meta({ example: 'acme/invoice-scanner' });
const version = z
  .string()
  .regex(/^v[1-9][0-9]{0,5}$/, 'must be a version such as "v2"')
  .optional()
  .meta({ example: 'v2' });
const tenant = line(200)
  .optional()
  .meta({ description: 'As `X-Orchagent-Tenant` of the calls.', example: 'customer-17' });
const calls = z.enum(['own', 'by_others']).default('own').meta({
  description:
    '`own`: the calls that you make. `by_others`: those that other accounts make of your agents, in counts alone.',
});
const periodShape = { from, to };

const summed = { ...periodShape, calls, agent, version, tenant };

export const usageQuery = z.object({
  ...summed,
  by: z.enum(['tenant']).optional().meta({ description: '`tenant`: with the sums of each tenant.' }),
});

export const timeseriesQuery = z.object({ ...summed, interval: z.enum(['hour', 'day']).default('day') });

const mostParts = queryNumber(z.int().min(1).max(100).default(100));

export const breakdownQuery = z.object({
  ...summed,
  by: z.enum(['agent', 'version', 'tenant', 'model', 'key']).default('agent'),
  limit: mostParts,
});

export const computeQuery = z.object({ ...periodShape, agent, version, tenant, limit: mostParts });

export const usageLogsQuery = z.object({
  from: moment.optional(),
  to: moment.optional().meta({ description: 'Before this moment.' }),
  agent,
  version,
  tenant,
  status: z.enum(callStatuses).optional(),
  limit: queryNumber(z.int().min(1).max(200).default(50)),
  cursor,
});

export const agentLogsQuery = z.object({
  limit: queryNumber(z.int().min(1).max(200).default(50)),
  offset: queryNumber(z.int().min(0).max(10_000).default(0)),
});

const tokens = z.object({ input: z.int(), output: z.int() }).meta({ id: 'UsageTokens' });

const countShape = {
  calls: z.int(),
  succeeded: z.int(),
  failed: z.int().meta({ description: 'Timeouts are among them.' }),
  cancelled: z.int(),
  unfinished: z.int().meta({ description: 'They wait, are at work, or wait for a person.' }),
  avg_duration_ms: z.int().nullable().meta({ description: 'Of those that have ended; null where none has.' }),
};
const paidShape = { llm_calls: z.int(), tokens, cost_usd: z.number() };
const sumsShape = {
  ...countShape,
  ...z.object(paidShape).partial().shape,
};
const period = { from: timestamp, to: timestamp.meta({ description: 'It ends before this moment.' }) };
const whose = z.enum(['own', 'by_others']);

const sums = z.object(sumsShape).meta({
  id: 'UsageSums',
  description: 'What was paid is not in those of `by_others`: `llm_calls`, `tokens` and `cost_usd`.',
});

export const usageSchema = z
  .object({
    ...period,
    of: whose,
    ...sumsShape,
    tenants: z
      .array(sums.extend({ tenant: z.string().nullable().meta({ description: 'Null: calls without one.' }) }))
      .optional()
      .meta({ description: 'With `by=tenant`, the hundred that have cost most.' }),
  })
  .meta({ id: 'UsageSummary' });

export const timeseriesSchema = z
  .object({
    ...period,
    of: whose,
    interval: z.enum(['hour', 'day']),
    timezone: z.literal('UTC'),
    points: z.array(sums.extend({ at: timestamp })),
  })
  .meta({ id: 'UsageTimeseries' });

/** Of models there are no calls: one call of an agent asks several, or none. */
const part = z.object({
  agent: z.string().optional(),
  version: z.string().optional(),
  tenant: z.string().nullable().optional(),
  key_id: z.string().optional(),
  name: z.string().nullable().optional().meta({ description: 'Of the key; null where it is deleted.' }),
  provider: z.string().optional().meta({ description: 'The vendor of the model.' }),
  model: z.string().optional(),
  ...z.object(sumsShape).partial().shape,
});

export const breakdownSchema = z
  .object({
    ...period,
    of: whose,
    by: z.enum(['agent', 'version', 'tenant', 'model', 'key']),
    breakdown: z.array(part),
    rest: part.nullable().meta({ description: 'All others together; null where `breakdown` has all.' }),
  })
  .meta({ id: 'UsageBreakdown' });

const computeShape = {
  runs: z.int().meta({ description: 'Tries of code: of one that was begun again after a crash, both.' }),
  wall_seconds: z.number(),
  cpu_seconds: z.number(),
};

export const computeSchema = z
  .object({
    ...period,
    ...computeShape,
    agents: z.array(z.object({ agent: z.string(), version: z.string(), ...computeShape })),
    rest: z.object(computeShape).nullable().meta({ description: 'All others together; null where `agents` has all.' }),
  })
  .meta({ id: 'ComputeUsage' });

const uuid = z.string().meta({ format: 'uuid', example: '0199f3c2-7a51-8d3e-9a64-2f1b8c000000' });
const status = z.enum(callStatuses);
const error_code = z.string().nullable().meta({ description: 'Of one that has failed.', example: 'LLM_ERROR' });
const duration_ms = z
  .int()
  .nullable()
  .meta({ description: 'Until now, of one at work; null of one that has not begun.' });
export const triggerSource = z.enum(['api', 'agent', 'replay']).meta({
  description: '`api`: a key. `agent`: another agent, `parent_run_id`. `replay`: it does a run again.',
});

export const usageLogsSchema = z
  .object({
    logs: z.array(
      z.object({
        id: uuid,
        agent: z.string(),
        agent_version: z.string(),
        endpoint: z.string(),
        status,
        error_code,
        duration_ms,
        llm_calls: z.int(),
        tokens,
        cost_usd: z.number(),
        tenant: z.string().nullable(),
        key_id: z.string(),
        trigger_source: triggerSource,
        parent_run_id: uuid.nullable(),
        created_at: timestamp,
      }),
    ),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: 'UsageLogs' });

export const agentLogsSchema = z
  .object({
    logs: z.array(
      z.object({
        by: z.enum(['own', 'others']).meta({
          description: 'Of a call of `others` nothing is told but how it went, and when, to the minute.',
        }),
        id: uuid.nullable(),
        status,
        error_code,
        duration_ms,
        tokens: tokens.nullable(),
        trigger_source: triggerSource.nullable(),
        created_at: timestamp,
      }),
    ),
    total: z.int().meta({ description: 'They are counted to 1,000.' }),
  })
  .meta({ id: 'AgentLogs' });
