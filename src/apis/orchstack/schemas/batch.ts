import { z } from 'zod';
import { requestObject } from '../../../fields.ts';

export const mostOperations = 100;

/** Whether this is a path of OrchStack, as it stands and as it is read. */
function isOwn(path: string): boolean {
  const url = path.startsWith('/v1/') ? URL.parse(path, 'http://batch') : null;
  return url !== null && url.pathname.startsWith('/v1/') && url.hash === '';
}

const operationSchema = requestObject({
  method: z.enum(['GET', 'POST', 'PATCH', 'DELETE']),
  path: z
    .string()
    .max(2_000)
    .refine(isOwn, 'must be a path below /v1/, with its query if it has one')
    .refine((path) => !/\/upload\/?(\?|$)/.test(path), 'is an upload; send it by itself')
    .meta({ example: '/v1/webhooks?limit=1' }),
  body: z.unknown().optional().meta({ description: 'JSON, as the operation takes it by itself.' }),
  idempotency_key: z
    .string()
    .regex(/^[!-~]{1,255}$/, 'must be 1 to 255 visible ASCII characters')
    .optional()
    .meta({ description: 'Of a POST. Made of the `Idempotency-Key` of the batch unless given.' }),
  if_match: z
    .string()
    .regex(/^[ -~]{1,2000}$/, 'must be 1 to 2,000 visible ASCII characters or spaces')
    .optional()
    .meta({ description: 'The header `If-Match` of a PATCH.' }),
})
  .superRefine(({ method, body, idempotency_key }, context) => {
    const refuse = (name: string, message: string) => context.addIssue({ code: 'custom', path: [name], message });
    if (method === 'GET' && body !== undefined && body !== null) refuse('body', 'is not taken by GET');
    if (method !== 'POST' && idempotency_key !== undefined) refuse('idempotency_key', 'is for POST only');
    if (typeof body === 'object' && body !== null && 'stream' in body && body.stream === true) {
      context.addIssue({ code: 'custom', path: ['body', 'stream'], message: 'no operation of a batch streams' });
    }
  })
  .meta({ id: 'BatchOperation' });

export type Operation = z.infer<typeof operationSchema>;

export const batchSchema = requestObject({ operations: z.array(operationSchema).min(1).max(mostOperations) }).meta({
  id: 'Batch',
  example: {
    operations: [
      { method: 'POST', path: '/v1/webhooks', body: { url: 'https://example.com/hook', events: ['agent.run.failed'] } },
      { method: 'GET', path: '/v1/webhooks?limit=1' },
    ],
  },
});

export const batchResultsSchema = z
  .object({
    results: z
      .array(
        z
          .object({
            status: z.int(),
            headers: z.record(z.string(), z.string()).meta({
              description: 'Of `etag`, `idempotency-replayed`, `location` and `retry-after` those that it has.',
            }),
            body: z.unknown().meta({ description: 'As by itself; null where `body_omitted`.' }),
            body_omitted: z
              .boolean()
              .meta({ description: 'It was done, and its answer found no room here: read it by itself.' }),
          })
          .meta({ id: 'BatchResult' }),
      )
      .meta({ description: 'Of each operation, in their order.' }),
  })
  .meta({ id: 'BatchResults' });
