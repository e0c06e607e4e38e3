import { McpServer } from '@modelcontextprotocol/server';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

/** An MCP server that is a program: it tells what it was started with. */
const mcp = new McpServer({ name: 'own', version: '1.0.0' });
mcp.registerTool('whoami', { description: 'Who it is.', inputSchema: z.object({}) }, () => ({
  content: [
    {
      type: 'text',
      text: `${process.argv[2]} with ${Object.keys(process.env).includes('DATABASE_URL') ? 'all' : process.env.TOKEN}`,
    },
  ],
}));
await mcp.connect(new StdioServerTransport());
