import { createHash } from 'node:crypto';
import { createGuardedFetch } from '../fetch/index.ts';
import { httpRequest } from './http-request.ts';
import type * as Mcp from './mcp.ts';
import { runJavascript } from './run-javascript.ts';
import type { Tool } from './tool.ts';
import { webSearch, type SearchSettings } from './web-search.ts';

/** Tools that agents may call. */

export type { McpTarget } from './mcp.ts';
export { defineTool, maxResultLength, ToolError, type Tool, type ToolContext } from './tool.ts';

// What speaks MCP is loaded when a server is asked for the first time: it is 30 MiB.
const mcp = () => import('./mcp.ts');
export const listMcpTools: typeof Mcp.listMcpTools = async (...asked) => (await mcp()).listMcpTools(...asked);
export const callMcpTool: typeof Mcp.callMcpTool = async (...asked) => (await mcp()).callMcpTool(...asked);

/**
 * The tools that this server offers to everyone. `fetch` goes where the operator's settings point to; where a model
 * wants to go, it goes with one that knows no private address but those that are allowed for that.
 */
export function builtInTools(
  settings: SearchSettings & { HTTP_REQUEST_ALLOWED_PRIVATE_CIDRS: string[] },
  fetch: typeof globalThis.fetch,
): Tool[] {
  const open = createGuardedFetch({
    allowedPrivateCidrs: settings.HTTP_REQUEST_ALLOWED_PRIVATE_CIDRS,
    setting: 'HTTP_REQUEST_ALLOWED_PRIVATE_CIDRS',
    headers_timeout_ms: 60_000,
    idle_timeout_ms: 60_000,
    max_body_bytes: 4 * 1024 * 1024,
  });
  const search = webSearch(settings, fetch);
  return [httpRequest(open.fetch), runJavascript, ...(search ? [search] : [])];
}

/**
 * The name by which models of all vendors know a tool: letters, digits, `_` and `-`, at most 64. `server.tool` becomes
 * `server__tool`; what had to be changed beyond that ends with a hash, so that no two names become one.
 */
export function wireName(name: string): string {
  const plain = name.replace('.', '__');
  if (/^[a-z_][\w-]{0,63}$/i.test(plain)) return plain;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  return `${plain.replaceAll(/[^\w-]/g, '_').slice(0, 55)}_${hash}`;
}
