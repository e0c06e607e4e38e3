import { createRoute, z, type RouteConfig } from '@hono/zod-openapi';
import { route } from '../../http/openapi.ts';

const errorSchema = z
  .object({
    error: z.looseObject({
      code: z.string().meta({ example: 'INVALID_INPUT' }),
      message: z.string(),
      is_retryable: z.boolean(),
      reason: z.string().optional().meta({ description: "The house's own code, where `code` stands for several." }),
      errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
    }),
    message: z.string().meta({ description: 'The same, for clients that look here.' }),
    metadata: z.looseObject({ request_id: z.string().meta({ example: 'req_0199f3c27a51' }) }),
  })
  .meta({ id: 'OrchagentError' });

const descriptions: Record<number, string> = {
  400: 'INVALID_INPUT: a field or parameter is missing, unknown or wrong; `errors` names each',
  401: 'UNAUTHORIZED: missing or invalid API key',
  402: 'INSUFFICIENT_CREDITS: not enough credits to call this paid agent',
  403: 'FORBIDDEN: the key lacks the scope that `security` names, or may not do this for another reason; see `reason`',
  404: 'NOT_FOUND: unknown, or of another account',
  409: 'CONFLICT: not possible in the present state; see `reason`',
  413: 'DOCUMENT_TOO_LARGE: the body, or the file, is too large',
  415: 'UNSUPPORTED_TYPE: the body, or the file, is of a type that is not taken',
  422: 'UNPROCESSABLE: in a valid form, and cannot be done',
  429: 'RATE_LIMITED: too many requests, or a limit of the account is reached; see `Retry-After`',
  500: 'INTERNAL_ERROR or SANDBOX_ERROR: the agent failed',
  502: 'LLM_ERROR: the provider of the model failed',
  503: 'UNAVAILABLE: the database, or the store of files, cannot be reached or is busy; see `Retry-After`',
  504: 'TIMEOUT: it took longer than it may',
};

/** An error of this status, as the document has it. */
export function failing(status: keyof typeof descriptions) {
  return { description: descriptions[status]!, content: { 'application/json': { schema: errorSchema } } };
}

type Spec = Parameters<typeof route>[0];

/** An archive of code. */
export function zipContent(description: string) {
  const schema = { type: 'string' as const, format: 'binary' };
  return { description, content: { 'application/octet-stream': { schema } } };
}

/** An operation as `route` makes it, whose errors have orchagent's form. What fails its schema is 400. */
export function operation<const S extends Spec>(spec: S) {
  const made = route(spec);
  const isIdempotent = spec.method === 'post' && spec.scope !== undefined && !spec.isUpload;
  const isOwn = (status: number) => spec.problems?.includes(status as 409);
  const wire = (status: number): number[] => {
    if (status === 412) return [409];
    if (status !== 422) return [status];
    return [400, ...(isIdempotent || isOwn(422) ? [422] : [])];
  };
  const responses = Object.fromEntries(
    Object.entries(made.responses).flatMap(([text, response]): [number, unknown][] => {
      const status = Number(text);
      if (status < 400) return [[status, response]];
      const all = status in spec.responses ? [status, ...wire(status)] : wire(status);
      return all.map((one) => [one, failing(one)]);
    }),
  );
  // Tools take the first one, and its clients send a bearer token.
  const security = (made as RouteConfig).security?.toReversed();
  return createRoute({ ...made, security, responses } as RouteConfig) as unknown as typeof made;
}
