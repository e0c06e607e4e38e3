import { z } from 'zod';
import { timestamp } from '../../../fields.ts';
import { actorSchema } from '../../../runs/remark-schema.ts';
import { decisionSchema, gateKind } from './gate.ts';

/** What every entry of a trace has. */
const entryShape = {
  id: z.string(),
  task_id: z.string().nullable().meta({ description: "The task, or the step, that it is of; `T1` of an agent's run." }),
  started_at: timestamp.nullable(),
  ended_at: timestamp.nullable(),
  duration_ms: z.int().nullable(),
};

const attempt = z.int().nullable().meta({ description: 'Which attempt of the task it is of.' });

const modelCallSchema = z
  .object({
    type: z.literal('model_call'),
    ...entryShape,
    attempt,
    agent: z.string().nullable(),
    purpose: z.string().meta({ example: 'run_agent' }),
    vendor: z.string(),
    model: z.string(),
    provider_id: z.string().nullable(),
    finish: z.enum(['stop', 'length']),
    tokens: z.object({ input: z.int(), output: z.int() }),
    cost_usd: z.number().nullable().meta({ description: 'Null where the price is not known.' }),
    output: z.string(),
    calls: z.array(z.string()).meta({ description: 'The names of the tools that it called.' }),
  })
  .meta({ id: 'TracedModelCall' });

const toolCallShape = {
  ...entryShape,
  attempt,
  model_call_id: z.string().nullable().meta({ description: 'The model call that asked for it.' }),
  tool: z.string(),
  arguments: z.string().nullable().meta({ description: 'As they were sent: a person may have edited them.' }),
  result: z.string(),
  is_error: z.boolean(),
  gate_id: z.string().nullable().meta({ description: 'Where it was approved, if it had to be.' }),
};

const toolCallSchema = z
  .object({ type: z.literal('tool_call'), ...toolCallShape })
  .meta({ id: 'TracedToolCall', description: '`duration_ms` is null of one that a person refused.' });

const retrievalSchema = z
  .object({ type: z.literal('retrieval'), ...toolCallShape })
  .meta({ id: 'TracedRetrieval', description: 'A search in knowledge.' });

const gateSchema = z
  .object({
    type: z.literal('gate'),
    ...entryShape,
    kind: gateKind,
    status: z.enum(['open', 'answered', 'expired', 'closed']),
    reason: z.string().nullable(),
    decision: decisionSchema.nullable(),
    answer: z.string().nullable().meta({ description: 'The text that was sent: answer, edit or feedback.' }),
    by: z.union([actorSchema, z.null()]),
    note: z.string().nullable(),
  })
  .meta({ id: 'TracedGate', description: '`duration_ms` is how long a person was waited for.' });

const retrySchema = z
  .object({
    type: z.literal('retry'),
    ...entryShape,
    of: z.enum(['call', 'task', 'run']).meta({ description: 'What is tried again.' }),
    tries: z.int().nullable().meta({ description: 'Of a call: how often it was tried by then.' }),
    attempt,
    reason: z.string().nullable(),
  })
  .meta({ id: 'TracedRetry' });

export const traceEntrySchema = z
  .discriminatedUnion('type', [modelCallSchema, toolCallSchema, retrievalSchema, gateSchema, retrySchema])
  .meta({ id: 'TraceEntry' });
