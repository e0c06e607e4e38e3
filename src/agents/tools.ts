import type { Db } from '../../db/index.ts';
import { listMcpToolNames, toolsOfMcpServers, type ServerTool } from '../../db/mcp-servers.ts';
import type { JsonText } from '../../db/run-views.ts';
import { asAgentTool, searchKnowledge, type AgentTool, type ToolChoice } from '../../workflows/contract/definition.ts';
import type { Principal } from '../accounts/principal.ts';
import { requireNone, type FieldFault, type Path } from '../errors.ts';
import type { Tool } from '../tools/index.ts';

/** Which tools there are for an account, and which of them an agent may call. */

type Deps = { db: Db; tools: Tool[] };

export type AvailableTool = Omit<ServerTool, 'server'> & { server: string | null };

/** The tools that agents of this account may be given: first our own. */
export async function listTools(
  { db, tools }: Deps,
  { account_id }: Principal,
): Promise<JsonText<{ tools: AvailableTool[] }>> {
  const own = tools.map(({ name, description, json_schema }) =>
    JSON.stringify({ name, description, parameters: json_schema, server: null } satisfies AvailableTool),
  );
  const ofServers = await toolsOfMcpServers(db, account_id);
  return `{"tools":[${own.join()}${own.length > 0 && ofServers ? ',' : ''}${ofServers}]}`;
}

/** The tools of each agent as a run freezes them. Throws `InvalidInputError`, naming each tool that is not there, or is there twice. */
export async function chooseTools(
  deps: Deps,
  principal: Principal,
  agents: { tools?: ToolChoice[] }[],
  pathTo: (agent: number, tool: number) => Path = (agent, tool) => ['agents', agent, 'tools', tool],
): Promise<AgentTool[][]> {
  const wanted = agents.map(({ tools = [] }) => tools.map(asAgentTool));
  if (!wanted.some((tools) => tools.length)) return wanted;
  const ofServers = await listMcpToolNames(deps.db, principal.account_id);
  const available = new Set([...deps.tools.map(({ name }) => name), ...ofServers]);
  const faults: FieldFault[] = wanted.flatMap((tools, agent) =>
    tools.flatMap(({ name, knowledge, calls }, index) => {
      // As a run has frozen it that is done again.
      if (knowledge || calls) return [];
      const isTwice = tools.findIndex((other) => other.name === name) < index;
      if (available.has(name) && !isTwice) return [];
      const path = pathTo(agent, index);
      if (isTwice) return [{ path, detail: `"${name}" is listed twice` }];
      return [{ path, detail: `"${name}" is not a tool that this account has here.`, way_out: 'list_tools' as const }];
    }),
  );
  requireNone(faults);
  return wanted;
}

/** With the tool that searches in knowledge bases, where there are any. */
export function withSearch(tools: AgentTool[], knowledge: string[] = []): AgentTool[] {
  if (knowledge.length === 0) return tools;
  const others = tools.filter((tool) => tool.name !== searchKnowledge);
  return [...others, { name: searchKnowledge, require_approval: false, knowledge }];
}
