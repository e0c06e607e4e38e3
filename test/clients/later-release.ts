import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { buffer } from 'node:stream/consumers';

/**
 * The API at `url` as a later release may be: every object in an answer has a member that `/openapi.json` does not have.
 * Clients that were generated before must go on with it.
 */
export async function startLaterRelease(url: string) {
  const server = createServer(async (request, response) => {
    const { host: _host, connection: _connection, ...headers } = request.headers as Record<string, string>;
    const sent = await buffer(request);
    const body = sent.length > 0 ? new Uint8Array(sent) : undefined;
    const answer = await fetch(`${url}${request.url}`, { method: request.method, headers, body });
    const type = answer.headers.get('content-type') ?? '';
    response.writeHead(answer.status, { 'content-type': type });
    if (/json/.test(type) && request.url !== '/openapi.json')
      response.end(JSON.stringify(withMore(await answer.json())));
    else if (answer.body) await pipeline(Readable.fromWeb(answer.body), response);
    else response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The members of these are a user's own, and texts: no release adds to them. */
const maps = new Set(['metadata', 'texts', 'headers', 'route_map', 'route_descriptions', 'switch_cases']);

function withMore(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withMore);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([name, member]) => [name, maps.has(name) ? member : withMore(member)]);
  return { ...Object.fromEntries(members), added_later: { by: 'a later release' } };
}
