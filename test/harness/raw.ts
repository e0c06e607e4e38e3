import { assertNoSecret } from './canaries.ts';
import type { Answer } from './client.ts';

/** The answers that show a secret, once. */
const showsSecret =
  /^POST (\/api\/v1\/(auth\/register|webhooks\/secret\/rotate|webhooks\/subscriptions(\/\w+\/rotate-secret)?|keys|people(\/\w+\/key)?)|\/v1\/(webhooks|api-keys|oauth\/(clients|token))|\/api-keys|\/agents(\/[\w-]+\/(keys|fork))?)$/;

/** A request with headers of its own: no key, no content type unless given. */
export async function send(
  url: string,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string | Blob | FormData | ReadableStream,
): Promise<Answer> {
  const init = { method, headers, body, duplex: 'half' } as RequestInit;
  const response = await fetch(url + path, init);
  const text = await response.text();
  if (!response.ok || !showsSecret.test(`${method} ${path}`)) {
    assertNoSecret(`${JSON.stringify([...response.headers])}\n${text}`, `the answer to ${method} ${path}`);
  }
  const isJson = response.headers.get('content-type')?.includes('json');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}
