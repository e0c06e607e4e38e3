import assert from 'node:assert/strict';
import type { Answer, User } from './orchflow.ts';
import { send } from './raw.ts';

/** A client of OrchStack's API. It sends its key as the page does. */

export type Stack = ReturnType<typeof createStack>;

export type StreamedEvent = { event: string; data: any; at: number };

export function createStack(url: string, { api_key }: Pick<User, 'api_key'>) {
  const authorization = { authorization: `Bearer ${api_key}` };

  function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const type = body !== undefined && { 'content-type': 'application/json' };
    const all = { ...authorization, ...type, ...headers };
    return send(url, method, `/v1${path}`, all, body === undefined ? undefined : JSON.stringify(body));
  }

  return {
    call,
    get: (path: string) => call('GET', path),
    post: (path: string, body: unknown, headers?: Record<string, string>) => call('POST', path, body, headers),
    patch: (path: string, body: unknown, headers?: Record<string, string>) => call('PATCH', path, body, headers),
    delete: (path: string) => call('DELETE', path),

    /** Registers an agent and returns its id. */
    async createAgent(agent: object = {}): Promise<string> {
      const { status, body } = await call('POST', '/agents', { name: 'booker', ...agent });
      assert.equal(status, 201, JSON.stringify(body));
      return body.agent_id;
    },

    /** What a stream tells, as it comes; `onEvent` hears each at once. Times are those of `performance.now()`. */
    async stream(
      path: string,
      body: object,
      {
        headers = {},
        signal,
        onEvent,
      }: { headers?: Record<string, string>; signal?: AbortSignal; onEvent?: (event: StreamedEvent) => void } = {},
    ): Promise<{ response: Response; events: StreamedEvent[] }> {
      const response = await fetch(`${url}/v1${path}`, {
        method: 'POST',
        headers: { ...authorization, 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
        ...(signal && { signal }),
      });
      assert.equal(response.status, 200);
      const events: StreamedEvent[] = [];
      let text = '';
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const block = text.slice(0, end);
          text = text.slice(end + 2);
          const [, event] = /^event: (.*)$/m.exec(block) ?? [];
          const [, data] = /^data: (.*)$/m.exec(block) ?? [];
          const told = { event: event!, data: JSON.parse(data!), at: performance.now() };
          events.push(told);
          onEvent?.(told);
        }
      }
      return { response, events };
    },
  };
}
