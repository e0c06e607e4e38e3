import { z } from 'zod';
import { packageName } from '../../../agents/package-schema.ts';
import { queryNumber } from '../../../http/query.ts';

/** How calls of agents went, as orchagent's command line reads it (`orch metrics`). */

export const metricsQuery = z.object({
  days: queryNumber(z.int().min(1).max(365).default(30)),
  agent_name: packageName.optional().meta({ description: 'Without its organisation.', example: 'invoice-scanner' }),
});

const rate = z.number().meta({ description: 'In percent, of those that have completed or failed; 0 where none has.' });
const latency_ms = z.int().meta({ description: 'Of those that have completed or failed; 0 where none has.' });

const shape = {
  total_runs: z.int().meta({ description: 'Also those that are at work, or were cancelled.' }),
  completed: z.int(),
  failed: z.int().meta({ description: 'Without those of `timeout`.' }),
  timeout: z.int(),
  success_rate: rate,
  error_rate: rate,
  p50_latency_ms: latency_ms,
  p95_latency_ms: latency_ms,
  avg_latency_ms: latency_ms,
};

export const metricsSchema = z
  .object({
    overview: z.object({ ...shape, runs_per_day: z.number() }),
    agents: z
      .array(
        z.object({
          agent_name: z.string().meta({ example: 'invoice-scanner' }),
          agent: z.string().meta({ description: 'With its organisation.', example: 'acme/invoice-scanner' }),
          agent_id: z.string().meta({ description: 'Of that version.' }),
          latest_version: z.string().meta({ description: 'The newest that was called.', example: 'v2' }),
          ...shape,
          top_error: z.string().nullable().meta({ description: 'The most frequent code.', example: 'LLM_ERROR' }),
          trigger_sources: z.object({ api: z.int(), agent: z.int(), replay: z.int() }),
        }),
      )
      .meta({ description: 'Those that were called most come first; a hundred at most.' }),
    daily_series: z
      .array(z.object({ date: z.string().meta({ example: '2026-01-31' }), ...shape }))
      .meta({ description: 'Of each day (UTC) on which there were any.' }),
    period: z.string().meta({ example: '30d' }),
    total_agents: z.int(),
  })
  .meta({ id: 'CallMetrics' });
