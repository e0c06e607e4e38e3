import { z } from 'zod';
import { isHeaderValue } from '../../../fetch/index.ts';
import { headerValue, members, requestObject, text, timestamp, url } from '../../../fields.ts';

/** The first part of the names of its tools. */
export const mcpServerName = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, {
  error: 'must be lower-case letters, digits and hyphens, beginning with a letter, at most 32',
});

const secrets = (name: RegExp, value: z.ZodType<string>) =>
  members(z.string().regex(name, 'is not a name that can be here'), value, 20).optional();

export const createMcpServerSchema = requestObject({
  name: mcpServerName.meta({ description: 'Its tools are called `name.tool`.', example: 'weather' }),
  url: url().optional().meta({ description: 'Streamable HTTP.', example: 'https://mcp.example.com/mcp' }),
  headers: secrets(/^[\w-]{1,100}$/, headerValue(8_000)).meta({
    description: 'Sent with every request. Encrypted; never returned.',
    example: { Authorization: 'Bearer your-token' },
  }),
  command: text(1, 1_000).optional().meta({
    description: 'A program that speaks MCP on stdio, in place of `url`, where the operator allows it.',
  }),
  args: z.array(text(0, 2_000)).max(50).optional(),
  env: secrets(/^\w{1,100}$/, z.string().max(8_000).refine(isHeaderValue, 'must be printable ASCII')).meta({
    description: 'Its environment. Encrypted; never returned.',
  }),
})
  .refine(({ url: address, command }) => (address === undefined) !== (command === undefined), {
    path: ['url'],
    error: 'must be given, or `command`, and not both',
  })
  .meta({ id: 'CreateMcpServer' });

export const mcpServerSchema = z
  .object({
    name: z.string(),
    url: z.string().nullable(),
    command: z.string().nullable(),
    args: z.array(z.string()),
    tools: z.array(z.object({ name: z.string().meta({ example: 'weather.forecast' }), description: z.string() })),
    created_at: timestamp,
  })
  .meta({ id: 'McpServer' });

export const mcpServerCreatedSchema = mcpServerSchema
  .extend({
    left_out: z
      .array(z.object({ name: z.string(), reason: z.string() }))
      .optional()
      .meta({ description: 'Tools of the server that cannot be offered to a model, and why. The others can.' }),
  })
  .meta({ id: 'McpServerCreated' });

export const mcpServerListSchema = z.object({ servers: z.array(mcpServerSchema) }).meta({ id: 'McpServerList' });

export const mcpServerDeletedSchema = z
  .object({ name: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'McpServerDeleted' });
