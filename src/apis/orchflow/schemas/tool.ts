import { z } from 'zod';
import { text } from '../../../http/text.ts';

/** A tool of an agent, as the name alone or with whether people approve its calls. */
export const agentToolsSchema = z
  .array(
    z.union([
      text(1, 200),
      z.strictObject({ name: text(1, 200), require_approval: z.boolean().default(false) }).meta({ id: 'AgentTool' }),
    ]),
  )
  .max(50)
  .meta({
    description:
      'What the agent may call: names of `GET /api/v1/tools`. With `require_approval` a person approves each call.',
    example: ['web_search', { name: 'http_request', require_approval: true }],
  });

export const toolListSchema = z
  .object({
    tools: z.array(
      z
        .object({
          name: z.string().meta({ example: 'http_request' }),
          description: z.string(),
          parameters: z.record(z.string(), z.unknown()).meta({ description: 'A JSON schema of an object.' }),
          server: z
            .string()
            .nullable()
            .meta({ description: 'The MCP server that has it; null for tools of Orchflow.' }),
        })
        .meta({ id: 'Tool' }),
    ),
  })
  .meta({ id: 'ToolList' });
