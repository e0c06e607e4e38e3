import type { StoredEvent } from '../../../db/run-events.ts';
import type { RunResult } from '../../../db/run-results.ts';
import type { ServerSentEvent } from '../../http/sse.ts';
import type { RunEvents } from '../../runs/events.ts';
import { eventOf, hasAnswer, type Told } from './call-answer.ts';

type Followed = {
  run_id: string;
  runEvents: RunEvents;
  read: () => Promise<RunResult | undefined>;
  most_ms: number;
  max_turns: number;
  told: () => Promise<Told>;
  /** What comes from now on is the answer. */
  isAnswer: () => void;
};

const briefLength = 200;

/**
 * A call as server-sent events: what the agent does as `progress`, with a `type` each, and last `result` or `error`, with what the
 * answer would have been.
 */
export async function* callToEvents(
  { run_id, runEvents, read, most_ms, max_turns, told, isAnswer }: Followed,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent | null> {
  const late = AbortSignal.timeout(most_ms);
  const turns = countTurns(max_turns);
  for await (const item of runEvents.follow(run_id, 0, AbortSignal.any([signal, late]))) {
    if ('ended' in item) break;
    if ('delta' in item) continue;
    if ('idle' in item) {
      yield progress({ type: 'heartbeat' });
      continue;
    }
    for (const data of turns.tell(item.event)) yield progress(data);
    const run = item.event.type === 'gate.opened' ? await read() : undefined;
    if (run && hasAnswer(run)) break;
  }
  if (signal.aborted) return;
  const run = await read();
  if (!run) return;
  const whole = await told();
  const { code } = whole;
  for (const type of ['stdout', 'stderr'] as const) if (code?.[type]) yield progress({ type, text: code[type] });
  const exit_code = code?.exit_code ?? (run.status === 'failed' ? 1 : 0);
  if (hasAnswer(run)) {
    yield progress({ type: 'done', exit_code, execution_time_ms: code?.wall_ms ?? run.duration_ms });
    isAnswer();
  }
  yield eventOf(run, whole);
}

function progress(data: object): ServerSentEvent {
  return { event: 'progress', data };
}

/** A turn begins with the attempt, and again when all that the one before has called is done. */
function countTurns(max_turns: number) {
  let turn = 0;
  let open = 0;
  const begin = () => ({ type: 'turn_start', turn: (turn += 1), max_turns });
  return {
    *tell({ type, data }: StoredEvent): Generator<object> {
      switch (type) {
        case 'task.started':
          turn = 0;
          open = 0;
          return yield begin();
        case 'tool.called':
          open += 1;
          return yield {
            type: 'tool_call',
            tool: data.tool_name,
            args_brief: typeof data.args === 'string' ? data.args.slice(0, briefLength) : '',
          };
        case 'tool.result':
          open -= 1;
          yield { type: 'tool_result', status: data.is_error ? 'error' : 'success' };
          if (open <= 0) yield begin();
          return;
        case 'task.failed':
          return yield { type: 'error', message: data.error };
      }
    },
  };
}
