import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { assertNoSecret } from '../harness/canaries.ts';
import { until } from '../harness/client.ts';

/** One request that reached the receiver. `body` is the text as sent, which is what the signature is of. */
export type WebhookRequest = {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  payload: { run_id: string; event: string; waiting_tasks: string[] };
};

export type WebhookReply = { status: number; headers?: Record<string, string>; body?: string } | { hang: true };

export type FakeWebhook = Awaited<ReturnType<typeof startFakeWebhook>>;

/** A customer's endpoint: a real HTTP server on 127.0.0.1 that keeps what it is sent and answers as it is told. */
export async function startFakeWebhook() {
  const requests: WebhookRequest[] = [];
  let reply: (request: WebhookRequest) => WebhookReply = () => ({ status: 204 });
  let server: Server | undefined;
  let port = 0;
  let open = 0;
  let maxOpen = 0;

  async function up() {
    server = createServer((request, response) => {
      maxOpen = Math.max(maxOpen, (open += 1));
      response.once('close', () => (open -= 1));
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        const { method = '', url: path = '', headers } = request;
        const received = { method, path, headers, body, payload: body ? JSON.parse(body) : undefined };
        requests.push(received);
        const answer = reply(received);
        if ('hang' in answer) return;
        response.writeHead(answer.status, answer.headers).end(answer.body ?? 'thank you');
      });
    });
    await new Promise<void>((resolve, reject) => server!.once('error', reject).listen(port, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  }

  /** Closes the port and hangs up on everyone: connections are refused until `up`. */
  async function down() {
    const closed = new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    server?.closeAllConnections();
    server = undefined;
    await closed;
  }

  await up();
  return {
    url: `http://127.0.0.1:${port}/hook`,
    requests,
    /** The most requests that were in flight at once. */
    maxOpen: () => maxOpen,
    up,
    down,
    /** What the next requests are answered; 204 unless told otherwise. */
    answer(next: WebhookReply | ((request: WebhookRequest) => WebhookReply)) {
      reply = typeof next === 'function' ? next : () => next;
    },
    /** The first request with this event, as soon as it is there. */
    async untilReceived(event: string): Promise<WebhookRequest> {
      const find = () => requests.find(({ payload }) => payload.event === event);
      await until(() => find() !== undefined, `a webhook ${event}`);
      return find()!;
    },
    /** `down`, and a look at what came: no secret may be in it. */
    async close() {
      await down();
      for (const { path, headers, body } of requests) {
        assertNoSecret(`${path}\n${JSON.stringify(headers)}\n${body}`, `the webhook to ${path}`);
      }
    },
  };
}
