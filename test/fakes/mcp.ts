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
