import { z } from 'zod';
import { pendingFor } from '../../../../db/run-queue.ts';
import { id, moment, text } from '../../../fields.ts';
import { cursor, limit } from '../../../http/cursor.ts';
import { queryNumber } from '../../../http/query.ts';
import { labelFilterShape } from '../../../runs/labels-schema.ts';
import { runKind, runOrigin, runStatus, runSummaryShape } from './run.ts';

const costBound = z.number().min(0).max(1_000_000).optional();

const costsSoFar =
  'What the model calls of the run have cost so far, as its `usage` says it: a call without a known price counts as 0.';

const runFilterShape = {
  status: runStatus.optional(),
  pending_for: z.enum(pendingFor).optional().meta({ description: 'Those that wait for it, and have not begun.' }),
  kind: runKind.optional(),
  orchestration_id: id.optional(),
  agent_id: id.optional().meta({ description: 'Runs of this agent alone; not those of goals that name it.' }),
  origin: runOrigin.optional().meta({ description: 'Over which API they were started.' }),
  ...labelFilterShape,
  q: text(1, 200).optional().meta({
    description: 'Whole words of the goal, in any order; `"in this order"`, `one or other`, `-without`.',
    example: 'newsletter -draft',
  }),
  created_after: moment.optional(),
  created_before: moment.optional(),
  cost_usd_from: queryNumber(costBound).meta({ description: `At least this. ${costsSoFar}`, example: 0.05 }),
  cost_usd_to: queryNumber(costBound).meta({ description: 'At most this.', example: 1 }),
};

export const runCountQuery = z.object(runFilterShape);

export const runListQuery = z.object({
  limit,
  cursor,
  ...runFilterShape,
  sort: z
    .enum(['-created_at', 'created_at', '-cost_usd', 'cost_usd'])
    .default('-created_at')
    .meta({ description: 'Newest first, or oldest first; what has cost the most first, or the least.' }),
});

export const runCountsSchema = z
  .object({ total: z.int(), by_status: z.record(runStatus, z.int()) })
  .meta({ id: 'RunCounts' });

export const runListSchema = z
  .object({
    runs: z.array(
      z
        .object({ ...runSummaryShape, cost_usd: z.number().meta({ description: costsSoFar }) })
        .meta({ id: 'RunSummary' }),
    ),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: 'RunList' });
