import { createRoute, OpenAPIHono, z, type RouteConfig } from '@hono/zod-openapi';
import type { Context, TypedResponse } from 'hono';
import type { JsonText } from '../../db/run-views.ts';
import type { AppEnv } from './env.ts';
import { InvalidInputError, notFound, type FieldFault } from '../errors.ts';

/** The faults that zod found, by field. */
export function faults(error: z.core.$ZodError): FieldFault[] {
  return error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ path: [...issue.path, key], detail: 'is not a field of this request' }))
      : [{ path: issue.path, detail: issue.message }],
  );
}

const named = {
  provider_id: 'Provider',
  orch_id: 'Orchestration',
  delivery_id: 'Delivery',
  server_name: 'MCP server',
} as const;

/** A router whose validation answers 422, naming each field. An id that cannot be one is an unknown one. */
export function createRouter(): OpenAPIHono<AppEnv> {
  return new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      if (result.target === 'param') {
        throw notFound(named[result.error.issues[0]?.path[0] as keyof typeof named] ?? 'Run');
      }
      throw new InvalidInputError(faults(result.error));
    },
  });
}

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    request_id: z.string(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details.' });

const problemDescriptions = {
  401: 'Missing or invalid API key',
  402: 'Managed runs are used up or not offered: register a provider and pass `provider_id`',
  404: 'Not found, or of another account',
  409: 'Not possible in the present state',
  413: 'The body is larger than 1 MiB',
  415: 'The body is not JSON, not in UTF-8, or compressed',
  422: 'A field is missing, unknown or wrong',
  429: 'Too many requests, or the monthly limit is reached; see `Retry-After`',
  503: 'The database cannot be reached, or is busy; see `Retry-After`',
} as const;

type ProblemStatus = keyof typeof problemDescriptions;

type Spec<R extends RouteConfig['responses']> = Omit<RouteConfig, 'responses' | 'security'> & {
  /** The name that generated clients give it, and that links go by. */
  operationId: string;
  responses: R;
  links?: Links;
  problems?: ProblemStatus[];
  isPublic?: boolean;
};

const idempotencyHeader = z.object({
  'idempotency-key': z.string().optional().meta({
    description: 'The same key and request get the same answer, for 24 hours. 409 while the first is at work.',
    example: '0f0c8a3e-0e9b-4e0e-9d8f-3a4c5b6d7e8f',
    pattern: '^[!-~]{1,255}$',
  }),
});

type Links = ReturnType<typeof links>;

/**
 * OpenAPI links: the body of the answer has what these operations take as parameters. It is found there by JSON pointers;
 * `/runs/0/run_id` is that of the first in a list.
 */
export function links(pointers: Record<string, string>, ...operationIds: string[]) {
  const values = Object.entries(pointers).map(([name, pointer]) => [name, `$response.body#${pointer}`]);
  const parameters: Record<string, string> = Object.fromEntries(values);
  return Object.fromEntries(operationIds.map((operationId) => [operationId, { operationId, parameters }]));
}

/** A route of the API with its problems and, where a POST changes something, its `Idempotency-Key`: 401 and 429 unless public, 413, 415 and 422 for a POST and where there is a body, 503 always. */
export function route<const S extends Spec<RouteConfig['responses']>>({
  problems: own = [],
  isPublic,
  links: leads,
  ...spec
}: S) {
  const isIdempotent = spec.method === 'post' && !isPublic;
  const withBody: ProblemStatus[] = spec.method === 'post' || spec.request?.body ? [413, 415, 422] : [];
  const withKey: ProblemStatus[] = isIdempotent ? [409] : [];
  const always: ProblemStatus[] = isPublic ? [503] : [401, 429, 503];
  const statuses: ProblemStatus[] = [...always, ...withBody, ...withKey, ...own];
  const responses = Object.fromEntries(
    statuses.map((status) => [
      status,
      { description: problemDescriptions[status], content: { 'application/problem+json': { schema: problemSchema } } },
    ]),
  );
  const answers = Object.entries(spec.responses).map(([status, answer]) => [status, { ...answer, links: leads }]);
  return createRoute({
    ...spec,
    request: isIdempotent ? { ...spec.request, headers: idempotencyHeader } : spec.request,
    security: isPublic ? [] : [{ apiKey: [] }, { bearer: [] }],
    responses: { ...responses, ...Object.fromEntries(answers) },
  } as Omit<S, 'problems' | 'isPublic' | 'links'>);
}

/** A JSON answer. */
export function json<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

const serverSentEvent = z
  .object({
    id: z.string().optional(),
    event: z.string().optional(),
    data: z.string().meta({ description: 'JSON.' }),
  })
  .meta({ id: 'ServerSentEvent' });

/** An answer of server-sent events. Its schema is that of one event, as is usual. */
export function eventStream(description: string) {
  return { description, content: { 'text/event-stream': { schema: serverSentEvent } } };
}

/** A required JSON body. */
export function body<T extends z.ZodType>(schema: T) {
  return { required: true as const, content: { 'application/json': { schema } } };
}

/** Answers 200 with JSON that Postgres has written. */
export function sendJson<T>(c: Context, text: JsonText<T>) {
  const response: unknown = c.body(text, 200, { 'Content-Type': 'application/json' });
  return response as Response & TypedResponse<T, 200, 'json'>;
}
