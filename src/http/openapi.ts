import { createRoute, OpenAPIHono, z, type RouteConfig } from '@hono/zod-openapi';
import type { Scope } from '../accounts/scopes.ts';
import { refuseClients, requireScope } from './auth.ts';
import type { AppEnv } from './env.ts';
import { InvalidInputError, notFound, type ProblemMembers } from '../errors.ts';
import { timestamp } from '../fields.ts';
import { faults } from './faults.ts';
import { idempotency, idempotencyInBatch } from './idempotency.ts';
import { requireNoBody, takeNoBody } from './no-body.ts';

const named = {
  agent_id: 'Agent',
  version: 'Agent',
  provider_id: 'Provider',
  orch_id: 'Orchestration',
  workflow_id: 'Orchestration',
  delivery_id: 'Delivery',
  subscription_id: 'Subscription',
  webhook_id: 'Subscription',
  server_name: 'MCP server',
  key_id: 'Key',
  client_id: 'OAuth client',
  grant_id: 'OAuth grant',
  person_id: 'Person',
  gate_id: 'Gate',
  file_id: 'File',
  knowledge_id: 'Knowledge base',
  document_id: 'Document',
  version_id: 'Agent',
  org: 'Agent',
  agent: 'Agent',
  workspace_id: 'Workspace',
  trace_id: 'Trace',
} as const;

/** A router whose validation answers 422, naming each field. An id that cannot be one is an unknown one. */
export function createRouter(): OpenAPIHono<AppEnv> {
  return new OpenAPIHono<AppEnv>({
    defaultHook: (result, c) => {
      if (result.success) return;
      if (result.target === 'param') {
        throw notFound(named[result.error.issues[0]?.path[0] as keyof typeof named] ?? 'Run');
      }
      if (result.target !== 'query') throw new InvalidInputError(faults(result.error));
      const given = c.req.queries();
      const lists = listsAmong(result.error);
      const found = faults(result.error, 'parameter').map((fault) => {
        const name = String(fault.path[0]);
        const isTooOften = !lists.has(name) && (given[name] ?? []).length > 1;
        return isTooOften ? { ...fault, detail: 'is given more than once' } : fault;
      });
      throw new InvalidInputError(found);
    },
  });
}

/** The parameters with a fault that only such can have as may be given several times. */
function listsAmong({ issues }: z.core.$ZodError): Set<string> {
  const ofLists = issues.filter(
    (issue) => issue.path.length > 1 || (issue.code === 'too_big' && issue.origin === 'array'),
  );
  return new Set(ofLists.map(({ path }) => String(path[0])));
}

/** What single problems have besides. */
const problemMembers = {
  scope: z.string().meta({ description: 'What the key lacks.' }),
  run_status: z.string(),
  task_status: z.string(),
  gate_id: z.string().meta({ description: 'The gate that is waited for by now; of `RUN_NOT_PAUSED`, no more.' }),
  answer: z
    .object({
      gate_id: z.string(),
      decision: z.string().nullable(),
      output: z.string().nullable(),
      answered_at: timestamp.nullable(),
    })
    .meta({ id: 'StandingAnswer', description: 'The answer that stands.' }),
} satisfies { [Name in keyof ProblemMembers]-?: z.ZodType<ProblemMembers[Name]> };

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    request_id: z.string(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
    ...z.object(problemMembers).partial().shape,
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details.' });

const problemDescriptions = {
  401: 'Missing or invalid API key',
  402: 'Managed runs are used up or not offered, or the tier of the account has no more of these; see `detail`',
  403: 'The key lacks the scope that `security` names, or is one for tests or of an OAuth client, or the account is suspended, or registration is not open',
  404: 'Not found, or of another account',
  409: 'Not possible in the present state',
  412: 'It was changed since what `If-Match` names',
  413: 'The body is larger than 1 MiB, or the file than 25 MiB',
  415: 'The body is not JSON, not in UTF-8, or compressed; or it is no multipart/form-data where a file is sent',
  422: 'A field is missing, unknown or wrong',
  429: 'Too many requests, or a limit of the account is reached; see `detail` and `Retry-After`',
  503: 'The database, or the store of files, cannot be reached or is busy; see `Retry-After`',
} as const;

type ProblemStatus = keyof typeof problemDescriptions;

/** What a key needs for it, unless it needs no key. */
type Access = { scope: Scope; isPublic?: never } | { isPublic: true; scope?: never };

type Spec<R extends RouteConfig['responses']> = Omit<RouteConfig, 'responses' | 'security'> &
  Access & {
    /** The name that generated clients give it, and that links go by. */
    operationId: string;
    responses: R;
    links?: Links;
    problems?: ProblemStatus[];
    /** A person's own key is let in: the handler looks at whose gates they are. */
    forPeople?: boolean;
    /** It answers with a key or a secret that lasts: no OAuth client is let in. */
    givesSecret?: boolean;
    /** Of one that may be at work for longer than others: its `Idempotency-Key` is not free until then. */
    longest_seconds?: number;
    /** Its body is a file, read by its handler, which sees to the `Idempotency-Key` too. */
    isUpload?: boolean;
  };

const idempotencyHeader = z.object({
  'idempotency-key': z.string().optional().meta({
    description: 'The same key and request get the same answer, for 24 hours. 409 while the first is at work.',
    example: '0f0c8a3e-0e9b-4e0e-9d8f-3a4c5b6d7e8f',
    pattern: '^[!-~]{1,255}$',
  }),
});

function withIdempotencyKey(headers: RequestHeaders): RequestHeaders {
  return headers instanceof z.ZodObject ? headers.extend(idempotencyHeader.shape) : idempotencyHeader;
}

/** What is answered to these may have a key in it, which depends on what the one who asks may do. */
const givesKeys: Scope[] = ['keys:write', 'people:write', 'agents:write'];

type RequestHeaders = NonNullable<RouteConfig['request']>['headers'];
type RequestQuery = NonNullable<RouteConfig['request']>['query'];

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

/**
 * A route of the API: who may ask, its problems and, where a POST changes something, its `Idempotency-Key`. 401, 403 and
 * 429 unless public, 413 and 415 but for a GET, 422 but where any query is taken, 503 always. A key without the scope is
 * refused before anything else is looked at, kept answers too; the document names the scope as a role in `security`
 * (https://spec.openapis.org/oas/v3.1.1.html#security-requirement-object).
 */
export function route<const S extends Spec<RouteConfig['responses']>>({
  problems: own = [],
  isPublic: _,
  scope,
  links: leads,
  isUpload = false,
  forPeople = false,
  givesSecret = false,
  longest_seconds,
  ...spec
}: S) {
  const isIdempotent = spec.method === 'post' && scope !== undefined;
  const withBody: ProblemStatus[] = spec.method !== 'get' ? [413, 415] : [];
  const withKey: ProblemStatus[] = isIdempotent && !isUpload ? [409] : [];
  const always: ProblemStatus[] = scope ? [401, 403, 429, 503] : [503];
  const query = closed(spec.request?.query);
  const checked: ProblemStatus[] = isOpen(query) ? [] : [422];
  const statuses: ProblemStatus[] = [...always, ...checked, ...withBody, ...withKey, ...own];
  const responses = Object.fromEntries(
    statuses.map((status) => [
      status,
      { description: problemDescriptions[status], content: { 'application/problem+json': { schema: problemSchema } } },
    ]),
  );
  const answers = Object.entries(spec.responses).map(([status, answer]) => [status, { ...answer, links: leads }]);
  return createRoute({
    ...spec,
    middleware: [
      ...(scope ? [requireScope(scope, forPeople)] : []),
      ...(givesSecret ? [refuseClients()] : []),
      ...(isIdempotent && !isUpload
        ? [idempotency({ isOfScopes: scope !== undefined && givesKeys.includes(scope), longest_seconds })]
        : []),
      ...(scope && spec.method !== 'post' && spec.method !== 'get' ? [idempotencyInBatch()] : []),
      ...(spec.method !== 'get' && !spec.request?.body ? [requireNoBody(parametersOf(query))] : []),
      ...(spec.request?.body?.required === false ? [takeNoBody()] : []),
    ],
    request: {
      ...spec.request,
      query,
      ...(isIdempotent && { headers: withIdempotencyKey(spec.request?.headers) }),
    },
    security: scope ? [{ apiKey: [scope] }, { bearer: [scope] }] : [],
    responses: { ...responses, ...Object.fromEntries(answers) },
  } as Omit<
    S,
    'problems' | 'isPublic' | 'scope' | 'links' | 'isUpload' | 'forPeople' | 'givesSecret' | 'longest_seconds'
  >);
}

/** Other parameters than these are refused: who misspells a filter must not get the whole list. */
function closed(query: RequestQuery = z.object({})): RequestQuery {
  return isOpen(query) || !(query instanceof z.ZodObject) ? query : query.strict();
}

function parametersOf(query: RequestQuery): string[] {
  return query instanceof z.ZodObject ? Object.keys(query.shape) : [];
}

function isOpen(query: RequestQuery): boolean {
  return query instanceof z.ZodObject && query.def.catchall instanceof z.ZodUnknown;
}

/** A JSON answer. */
export function json<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

/** A JSON body that may be left out. */
export function optionalBody<T extends z.ZodType>(schema: T) {
  return { required: false as const, content: { 'application/json': { schema } } };
}

/** An answer of server-sent events. Generated clients read it as one text, or hand out the stream. */
export function eventStream(description: string, headers?: z.ZodObject) {
  return { description, content: { 'text/event-stream': { schema: z.string() } }, ...(headers && { headers }) };
}

/**
 * A body of `multipart/form-data` with one file, which `readUpload` reads. The router does not: what is no schema of zod it leaves
 * alone.
 */
export function fileBody(description: string) {
  const file = { type: 'string' as const, format: 'binary', description };
  const schema = { type: 'object' as const, properties: { file }, required: ['file'] };
  return { required: true as const, content: { 'multipart/form-data': { schema } } };
}

/** The same with several files, which `readUploads` reads. */
export function filesBody(description: string) {
  const file = { type: 'string' as const, format: 'binary' };
  const files = { type: 'array' as const, items: file, description };
  const schema = { type: 'object' as const, properties: { files }, required: ['files'] };
  return { required: true as const, content: { 'multipart/form-data': { schema } } };
}

/** The bytes of a file, whatever they are. */
export function fileContent(description: string) {
  const schema = { type: 'string' as const, format: 'binary' };
  return { description, content: { 'application/octet-stream': { schema } } };
}

/** A required JSON body. */
export function body<T extends z.ZodType>(schema: T) {
  return { required: true as const, content: { 'application/json': { schema } } };
}
