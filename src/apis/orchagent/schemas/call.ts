import { z } from 'zod';
import { eventStream, json } from '../../../http/openapi.ts';
import { failing, operation } from '../operation.ts';

/** A call of an agent, as the document has it. */

const params = z.object({
  org: z.string().meta({ description: 'The slug of an organisation.', example: 'acme' }),
  agent: z.string().meta({ description: 'The name of its agent.', example: 'invoice-scanner' }),
  version: z
    .string()
    .meta({ description: '`v1`, `v2`, …, or `latest`, the newest that is not deprecated.', example: 'v1' }),
  endpoint: z.string().meta({ description: "`run`, `analyze`, or the agent's own endpoint.", example: 'analyze' }),
});

const header = (description: string, example?: string) => z.string().optional().meta({ description, example });

const headers = z.object({
  'x-orchagent-tenant': header('Whom of your own you call it for.', 'customer-17'),
  'x-orchagent-skills': header('Skill packages to add, with commas between them.', 'acme/invoices@v1'),
  'x-orchagent-skills-only': header("Only these, and not the agent's own."),
  'x-orchagent-no-skills': header('`true`: none at all; or `false`.'),
  'x-orchagent-deadline-ms': header(
    'When the answer is of no use any more, in milliseconds since 1970. The run fails then.',
  ),
  'x-orchagent-max-hops': header('How many agents may call each other after this one.', '2'),
  'x-orchagent-call-chain': header('Of code that calls: as it was given.'),
  'x-orchagent-call-chain-sig': header('Of code that calls: as it was given.'),
});

const query = z.object({
  verbose: z.enum(['true', 'false']).optional().meta({
    description: '`true`: with what its code has printed, in `metadata.stdout` and `metadata.stderr`.',
  }),
});

const warningSchema = z.looseObject({
  code: z.string().meta({ example: 'LOW_CONFIDENCE' }),
  field: z.string().optional(),
  message: z.string(),
});

const metadataSchema = z.looseObject({
  request_id: z.string().meta({ example: 'req_0199f3c27a51' }),
  run_id: z.string().meta({ description: 'The UUID of its run; `X-Run-Id` too.' }),
  processing_time_ms: z.int(),
  execution_time_ms: z.int(),
  version: z.string().meta({ example: 'v1' }),
  usage: z.looseObject({ input_tokens: z.int(), output_tokens: z.int(), llm_calls: z.int(), cost_usd: z.number() }),
  stdout: z.string().optional(),
  stderr: z.string().optional(),
  run: z.string().optional().meta({
    description: 'The id of its run at `/api/v1/runs`, there while it waits for a person; `Location` too.',
    example: 'run_4k2m9xq7w3e8r5t1n6v0',
  }),
  status: z.literal('waiting_human').optional().meta({ description: 'There while it waits for a person.' }),
  waiting_tasks: z
    .array(z.string())
    .optional()
    .meta({ description: 'Answered with `POST /api/v1/runs/{run}/tasks/{task_id}/…`.', example: ['T1'] }),
});

const answerSchema = z
  .object({
    data: z
      .record(z.string(), z.unknown())
      .nullable()
      .meta({
        description:
          'What the agent has found: its output where that is a JSON object, and else `{"result": output}`. Null while it waits for a person.',
        example: { total: 12.5, currency: 'EUR' },
      }),
    warnings: z.array(warningSchema).meta({
      description:
        'Those of the agent, which are the `warnings` of its output, and of the server: `TRUNCATED`, `DEPRECATED_FIELD`, ' +
        '`VALIDATION_SKIPPED`, or `NOTICE`.',
    }),
    metadata: metadataSchema,
  })
  .meta({ id: 'CallAnswer' });

const given = z.record(z.string(), z.unknown()).meta({
  description:
    'What the agent is asked for: a JSON object that fits its input schema. `llm_credentials` {api_key, provider, model, base_url} ' +
    'are taken out of it, and used for this call alone.',
  example: { text: 'Invoice 17: twelve euros fifty.' },
});

const form = {
  type: 'object' as const,
  properties: {
    'files[]': {
      type: 'array' as const,
      items: { type: 'string' as const, format: 'binary' },
      description: 'At most ten.',
    },
    file: { type: 'string' as const, format: 'binary', description: 'The same, of one.' },
    metadata: {
      type: 'string' as const,
      description: 'A JSON object that comes beside them.',
      example: '{"format":"detailed"}',
    },
  },
};

const description = `Answers when the agent is done, or waits for a person (202). The answer is held until then, silently, at most for the agent's own time,
until \`X-Orchagent-Deadline-Ms\`, and for ten minutes: a call that is at work longer is answered TIMEOUT with the \`reason\`
\`STILL_RUNNING\`, and the same request sent again waits for it. So it is too when a client hangs up: the same body by the same key
joins the run that nobody has got the answer of. Two calls at the same time are two runs.

An agent of another organisation runs in your account, on your providers and within your limits; what it is told stays its author's.
With \`Accept: text/event-stream\` it is told as server-sent events: \`progress\` with a \`type\` each, and last \`result\` or \`error\`, with
the JSON of the answer.`;

export const callOperation = operation({
  method: 'post',
  path: '/{org}/{agent}/{version}/{endpoint}',
  operationId: 'callAgent',
  scope: 'agents:call',
  tags: ['orchagent calls'],
  summary: 'Call an agent',
  description,
  request: {
    params,
    headers,
    query,
    body: {
      required: false,
      content: { 'application/json': { schema: given }, 'multipart/form-data': { schema: form } },
    },
  },
  responses: {
    200: {
      ...json(answerSchema, 'The agent is done; or, as events, what it does'),
      content: { ...json(answerSchema, '').content, ...eventStream('').content },
    },
    202: json(answerSchema, 'It waits for a person, and has no data yet'),
    500: failing(500),
    502: failing(502),
    504: failing(504),
  },
  problems: [402, 404, 422],
});
