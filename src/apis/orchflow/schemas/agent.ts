import { z } from 'zod';
import { agentSummarySchema } from '../../../agents/agent-schema.ts';
import { timestamp } from '../../../fields.ts';

export const agentListSchema = z.object({ agents: z.array(agentSummarySchema) }).meta({ id: 'AgentList' });

export const agentVersionListSchema = z
  .object({
    agent_id: z.string(),
    versions: z.array(
      z
        .object({ version: z.string(), version_id: z.string(), is_latest: z.boolean(), created_at: timestamp })
        .meta({ id: 'AgentVersion' }),
    ),
  })
  .meta({ id: 'AgentVersionList' });
