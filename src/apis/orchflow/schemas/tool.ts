import { z } from 'zod';

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
