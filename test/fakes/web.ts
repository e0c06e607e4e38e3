import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A web server on this machine, for tools to call. */

export type WebRequest = { method: string; path: string; headers: IncomingHttpHeaders; body: string };
/** `cut`: it hangs up in the middle. */
export type WebAnswer = { status?: number; headers?: Record<string, string>; body?: string; cut?: true };
export type FakeWeb = Awaited<ReturnType<typeof startFakeWeb>>;

/** `answer` may take its time; what it returns is sent. */
export async function startFakeWeb(answer: (request: WebRequest) => WebAnswer | Promise<WebAnswer>) {
  const requests: WebRequest[] = [];
  /** The paths on which the client hung up before it had its answer. */
  const abandoned: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const { method = '', url = '', headers } = request;
      const received = { method, path: url, headers, body: Buffer.concat(chunks).toString() };
      requests.push(received);
      response.on('close', () => response.writableFinished || abandoned.push(url));
      const { status = 200, headers: own, body, cut } = await answer(received);
      if (cut) return void response.destroy();
      response.writeHead(status, own).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    abandoned,
    down() {
      server.closeAllConnections();
      server.close();
    },
  };
}
