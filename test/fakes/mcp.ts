import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

/** A real MCP server on this machine, made with the SDK, that wants the key of its users. */

export const mcpKey = 'Bearer sk-canary-mcp';
export type FakeMcp = Awaited<ReturnType<typeof startFakeMcp>>;

/** `forecast` may take its time. */
export async function startFakeMcp(forecast: (city: string) => string | Promise<string>) {
  const calls: { city: string; key: unknown }[] = [];
  const handler = createMcpHandler(() => {
    const mcp = new McpServer({ name: 'weather', version: '1.0.0' });
    mcp.registerTool(
      'forecast',
      { description: 'The weather of tomorrow.', inputSchema: z.object({ city: z.string().min(2) }) },
      async ({ city }, { mcpReq }) => {
        calls.push({ city, key: mcpReq._meta?.['orchflow/idempotency_key'] });
        return { content: [{ type: 'text', text: await forecast(city) }] };
      },
    );
    mcp.registerTool('broken.tool', { description: 'Fails.', inputSchema: z.object({}) }, () => ({
      isError: true,
      content: [{ type: 'text', text: 'The satellite is gone.' }],
    }));
    return mcp;
  });
  const server = createServer(
    getRequestListener((request) =>
      request.headers.get('authorization') === mcpKey
        ? handler.fetch(request)
        : new Response(`Not ${request.headers.get('authorization')}`, { status: 403 }),
    ),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    calls,
    down() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** An MCP server that says exactly this of its tools, right or wrong, a page each, and answers every call with its name. */
export async function startRawMcp(pages: unknown[][]) {
  const asked: string[] = [];
  const result = ({ method, params }: { method: string; params?: Record<string, any> }) => {
    if (method === 'initialize') {
      const { protocolVersion } = params!;
      return { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'raw', version: '1' } };
    }
    if (method === 'tools/list') {
      const page = Number(params?.cursor ?? 0);
      return { tools: pages[page], ...(page + 1 < pages.length && { nextCursor: String(page + 1) }) };
    }
    if (method === 'tools/call') return { content: [{ type: 'text', text: `This is ${params!.name}.` }] };
    return undefined;
  };
  const server = createServer((received, response) => {
    const chunks: Buffer[] = [];
    received.on('data', (chunk: Buffer) => chunks.push(chunk));
    received.on('end', () => {
      if (received.method !== 'POST') return response.writeHead(405).end();
      const { id, ...request } = JSON.parse(Buffer.concat(chunks).toString());
      if (id === undefined) return response.writeHead(202).end();
      asked.push(request.method);
      const answer = result(request);
      const error = { code: -32_601, message: 'Method not found' };
      response.writeHead(200, { 'content-type': 'application/json' });
      return response.end(JSON.stringify({ jsonrpc: '2.0', id, ...(answer ? { result: answer } : { error }) }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    /** The methods of all requests, in their order. */
    asked,
    down() {
      server.closeAllConnections();
      server.close();
    },
  };
}
