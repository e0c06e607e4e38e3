import type { TraceEntry } from '../../../db/run-traces.ts';

/** The entries of a trace as orchagent's events. */

/** Of an entry. `sequence_no` counts from 1. */
export function eventOfTrace(entry: TraceEntry, trace_id: string, sequence_no: number) {
  const { id, task_id, started_at, ended_at, duration_ms } = entry;
  const event = { id, trace_id, sequence_no, ...partsOf(entry), duration_ms, created_at: started_at ?? ended_at };
  return { ...event, payload: { ...event.payload, task_id, ended_at } };
}

export const eventTypes = [
  'llm_call_succeeded',
  'llm_call_failed',
  'tool_call_succeeded',
  'tool_call_failed',
  'decision',
  'error',
] as const;

type EventType = (typeof eventTypes)[number];

type Parts = {
  event_type: EventType;
  payload: Record<string, unknown>;
  provider?: string;
  model?: string;
  token_input?: number;
  token_output?: number;
  cost_usd?: number | null;
  error_type?: string;
  error_message?: string | null;
};

function partsOf(entry: TraceEntry): Parts {
  switch (entry.type) {
    case 'model_call': {
      const { purpose, attempt, finish, output, calls, vendor, model, tokens, cost_usd } = entry;
      return {
        event_type: 'llm_call_succeeded',
        payload: { purpose, attempt, finish, output, calls },
        provider: vendor,
        model,
        token_input: tokens.input,
        token_output: tokens.output,
        cost_usd,
      };
    }
    case 'tool_call':
    case 'retrieval': {
      const { tool, attempt, is_error, result, model_call_id, gate_id } = entry;
      const payload = { tool_name: tool, attempt, arguments: entry.arguments, result, model_call_id, gate_id };
      if (!is_error) return { event_type: 'tool_call_succeeded', payload };
      return { event_type: 'tool_call_failed', payload, error_type: 'TOOL_ERROR', error_message: result };
    }
    case 'gate': {
      const { kind, status, reason, decision, answer, by, note } = entry;
      const description = decision ? `${kind}: ${decision}` : `${kind}: ${status}`;
      return { event_type: 'decision', payload: { description, kind, status, reason, decision, answer, by, note } };
    }
    case 'retry': {
      const { of, tries, attempt, reason } = entry;
      const event_type = of === 'call' ? 'llm_call_failed' : 'error';
      const payload = { of, tries, attempt };
      return { event_type, payload, error_type: 'RETRIED', error_message: reason };
    }
  }
}
