import type { Answer } from './client.ts';

/** A request with headers of its own: no key, no content type unless given. */
export async function send(
  url: string,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string | Blob | ReadableStream,
): Promise<Answer> {
  const init = { method, headers, body, duplex: 'half' } as RequestInit;
  const response = await fetch(url + path, init);
  return { status: response.status, headers: response.headers, body: await response.json() };
}
