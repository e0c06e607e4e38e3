import { z } from 'zod';
import { line, requestObject } from '../../../fields.ts';

export const treeSchema = z
  .object({
    agent: z.string().meta({ example: 'acme/invoice-scanner' }),
    version: z.string().meta({ example: 'v2' }),
    status: z.enum(['found', 'not_found', 'cycle', 'too_deep']),
    get dependencies() {
      return z.array(treeSchema);
    },
  })
  .meta({ id: 'AgentTree' });

export const installedSchema = z
  .object({ installed: z.boolean(), agent: z.string(), version: z.string() })
  .meta({ id: 'AgentInstalled' });

export const transferQuery = z.object({ target_workspace_id: line(64).optional() });

export const transferSchema = requestObject({
  target_workspace_id: line(64).optional(),
  confirmation_name: line(100).optional(),
}).meta({ id: 'TransferAgent' });
