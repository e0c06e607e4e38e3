import type { RunResult } from '../../../db/run-results.ts';
import type { StoredEvent } from '../../../db/run-events.ts';
import type { ServerSentEvent } from '../../http/sse.ts';
import type { RunEvents } from '../../runs/events.ts';
import { beginsAfter } from '../../runs/wait.ts';
import { hasResult, resultOf } from './run-view.ts';

type Followed = {
  run_id: string;
  runEvents: RunEvents;
  read: () => Promise<RunResult | undefined>;
  /** How long it is followed. */
  most_ms: number;
};

/**
 * A run as server-sent events: `run` at once, then the text of its answer as the model writes it, with what its tools do and what is
 * tried again; `result` comes last, when it has ended or waits for a person, or after the time. Without a `result`, as when this process
 * stops, its reader asks again. The run itself goes on, whoever reads.
 */
export async function* runToEvents(
  { run_id, runEvents, read, most_ms }: Followed,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent | null> {
  yield named('run', { run_id });
  const late = AbortSignal.timeout(most_ms);
  const begun = await read();
  if (!begun) return;
  if (hasResult(begun) || beginsAfter(begun, most_ms)) return yield named('result', resultOf(begun));
  for await (const item of runEvents.follow(run_id, 0, AbortSignal.any([signal, late]))) {
    if ('ended' in item) break;
    if ('idle' in item) yield null;
    else if ('delta' in item) {
      const { attempt, offset, text } = item.delta;
      yield named('token', { run_id, attempt, offset, text });
    } else {
      const told = eventToWire(run_id, item.event);
      if (told) yield told;
      const run = item.event.type === 'gate.opened' ? await read() : undefined;
      if (run && hasResult(run)) return yield named('result', resultOf(run));
    }
  }
  if (signal.aborted) return;
  const run = await read();
  if (run && (hasResult(run) || late.aborted)) yield named('result', resultOf(run));
}

/** Its type stands in the data too, for readers that know no names of events. */
function named(type: string, data: object): ServerSentEvent {
  return { event: type, data: { type, ...data } };
}

function eventToWire(run_id: string, { type, data }: StoredEvent): ServerSentEvent | undefined {
  switch (type) {
    case 'tool.called':
      return named('tool_call', { run_id, id: data.call_id, tool: data.tool_name, arguments: data.args });
    case 'tool.result':
      return named('tool_result', {
        run_id,
        id: data.call_id,
        tool: data.tool_name,
        is_error: data.is_error,
        result: data.preview,
      });
    case 'call.retrying':
      return named('retry', { run_id, reason: data.reason, tries: data.tries, next_try_at: data.next_try_at });
    default:
      return undefined;
  }
}
