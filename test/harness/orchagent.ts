import assert from 'node:assert/strict';
import type { Answer, User } from './orchflow.ts';
import { send } from './raw.ts';
import { bytesOf } from './upload.ts';
import { zipOf } from './zip.ts';

/** A client of orchagent's API. It sends its key as the CLI does. */

export type Agents = ReturnType<typeof createAgents>;

export function createAgents(url: string, { api_key }: Pick<User, 'api_key'>) {
  function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const type = body !== undefined && { 'content-type': 'application/json' };
    const all = { authorization: `Bearer ${api_key}`, ...type, ...headers };
    return send(url, method, path, all, body === undefined ? undefined : JSON.stringify(body));
  }

  /** Publishes a version, and returns all of the answer. */
  async function publish(agent: object): Promise<any> {
    const { status, body } = await call('POST', '/agents', { prompt: 'You read.', ...agent });
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  }

  return {
    call,
    get: (path: string, headers?: Record<string, string>) => call('GET', path, undefined, headers),
    post: (path: string, body?: unknown, headers?: Record<string, string>) => call('POST', path, body, headers),
    patch: (path: string, body: unknown) => call('PATCH', path, body),
    delete: (path: string) => call('DELETE', path),

    publish,

    /** Publishes an agent that has code, and returns it. */
    async publishCode(name: string, more: object = {}): Promise<any> {
      const { agent } = await publish({ name, type: 'tool', ...more });
      const form = bytesOf(zipOf([{ name: 'main.py', content: 'print("{}")' }]));
      const headers = { authorization: `Bearer ${api_key}`, 'x-entrypoint': 'main.py', ...form.headers };
      const { status, body } = await send(url, 'POST', `/agents/${agent.id}/upload`, headers, form.body);
      assert.equal(status, 200, JSON.stringify(body));
      return agent;
    },

    async slug(): Promise<string> {
      return (await call('GET', '/org')).body.slug;
    },
  };
}

/** Fails unless it is an error in orchagent's envelope, with this code and this status. Returns its `error`. */
export function expectError({ status, headers, body }: Answer, code: string, expected: number): any {
  const said = JSON.stringify(body);
  assert.equal(status, expected, said);
  assert.match(headers.get('content-type') ?? '', /^application\/json\b/);
  assert.equal(body.error?.code, code, said);
  assert.equal(typeof body.error.is_retryable, 'boolean');
  assert.equal(body.message, body.error.message);
  assert.equal(body.metadata.request_id, headers.get('x-request-id'));
  return body.error;
}

/** Whether a path of the document is one of orchagent's. */
export function isOrchagent(path: string): boolean {
  return /^\/(agents|api-keys|auth|org|public|usage|users|workspaces)(\/|$)/.test(path) || path.startsWith('/{org}/');
}

/** An answer with its error as the house says it, so that what holds on every surface is held against this one too. */
export function inHouseWords(answer: Answer): Answer {
  const { status, headers, body } = answer;
  if (!body?.error) return answer;
  const { code, message: detail, reason = code, is_retryable: _, ...more } = body.error;
  const { request_id } = body.metadata;
  return {
    status: code === 'INVALID_INPUT' ? 422 : status,
    headers,
    body: { code: reason, detail, request_id, ...more },
  };
}
