import { z } from 'zod';
import { describeNoAnswer, EgressBlockedError } from '../fetch/index.ts';
import { defineTool, readText, ToolError, type Tool } from './tool.ts';

/** Those that say something to a reader. */
const shownHeaders = ['content-type', 'content-language', 'date', 'etag', 'last-modified', 'location', 'retry-after'];
const changesThings = /^(POST|PUT|PATCH|DELETE)$/;
/** Of the connection, which is ours. */
const ownHeaders =
  /^(host|connection|content-length|transfer-encoding|upgrade|keep-alive|te|trailer|expect|proxy-.*)$/i;

const parameters = z.object({
  url: z.url({ protocol: /^https?$/ }).describe('An http(s) URL.'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).default('GET'),
  headers: z.record(z.string().regex(/^[\w-]+$/), z.string().regex(/^[\x20-\x7e]*$/)).default({}),
  body: z
    .string()
    .max(256 * 1024)
    .optional()
    .describe('As it is sent. Give its content-type in the headers.'),
});

/** Asks a web server, with a fetch that decides where requests may go. Carries nothing but what the model writes. */
export function httpRequest(fetch: typeof globalThis.fetch): Tool {
  return defineTool({
    name: 'http_request',
    description:
      'Sends one HTTP request to a public web address and returns its status, headers and body as text. ' +
      'Redirects are not followed: the answer names their target.',
    parameters,
    async run({ url, method, headers, body }, { signal, idempotency_key }) {
      const given = Object.entries(headers).filter(([name]) => !ownHeaders.test(name));
      const sent = new Headers([['user-agent', 'Orchflow'], ...given]);
      if (changesThings.test(method) && !sent.has('idempotency-key')) sent.set('idempotency-key', idempotency_key);
      const hasBody = method !== 'GET' && method !== 'HEAD' && body !== undefined;
      try {
        const response = await fetch(url, { method, headers: sent, signal, ...(hasBody && { body }) });
        return `${describe(response)}\n\n${await readText(response)}`;
      } catch (error) {
        if (error instanceof EgressBlockedError && error.location)
          return `HTTP ${error.status}\nlocation: ${error.location}\n\nRedirects are not followed.`;
        if (error instanceof EgressBlockedError) throw new ToolError(error.message);
        signal.throwIfAborted();
        throw new ToolError(`${new URL(url).host} could not be reached, or hung up: ${describeNoAnswer(error)}.`);
      }
    },
  });
}

function describe({ status, statusText, headers }: Response): string {
  const shown = shownHeaders.flatMap((name) => (headers.has(name) ? [`${name}: ${headers.get(name)}`] : []));
  return [`HTTP ${status} ${statusText}`.trim(), ...shown].join('\n');
}
