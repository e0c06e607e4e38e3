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
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}
