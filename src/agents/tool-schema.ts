import { z } from 'zod';
import { line, requestObject } from '../fields.ts';

/** A tool of an agent, as the name alone or with whether people approve its calls. */
export const agentToolsSchema = z
  .array(
    z.union([
      line(200),
      requestObject({ name: line(200), require_approval: z.boolean().default(false) }).meta({ id: 'AgentTool' }),
    ]),
  )
  .max(50)
  .meta({
    description:
      'What the agent may call: names of `GET /api/v1/tools`. With `require_approval` a person approves each call.',
    example: ['web_search', { name: 'http_request', require_approval: true }],
  });
