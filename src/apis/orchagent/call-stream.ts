import type { CodeNews } from '../../../db/live.ts';
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
  const codeRun = followCode();
  for await (const item of runEvents.follow(run_id, 0, AbortSignal.any([signal, late]))) {
    if ('ended' in item) break;
    if ('delta' in item) continue;
    if ('code' in item) {
      for (const data of codeRun.tell(item.code)) yield progress(data);
      continue;
    }
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
  for (const data of code ? codeRun.rest(code) : []) yield progress(data);
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

/**
 * What code does, as it comes, and at last what of that was lost on the way: together all that is kept of what it has printed, each
 * bit once and in its order. Of stderr that was cut the end is kept, which is told again then.
 */
function followCode() {
  let place = '';
  let told = { stdout: 0, stderr: 0 };
  let isCut = false;

  /** Another try begins anew. */
  function* begin({ call_id, try: number }: Pick<CodeNews, 'call_id' | 'try'>): Generator<object> {
    if (place === `${call_id}/${number}`) return;
    place = `${call_id}/${number}`;
    told = { stdout: 0, stderr: 0 };
    isCut = false;
    yield { type: 'sandbox_start' };
  }

  function* cut(): Generator<object> {
    if (!isCut) yield { type: 'output_truncated' };
    isCut = true;
  }

  return {
    *tell(news: CodeNews): Generator<object> {
      yield* begin(news);
      if (news.type === 'setup_step') yield { type: news.type, name: news.name, status: news.status };
      if (news.type === 'output_truncated') yield* cut();
      if (!('text' in news)) return;
      const { type, offset } = news;
      // What comes after a gap is told with what is in it.
      const text = offset > told[type] ? '' : news.text.slice(told[type] - offset);
      told[type] += text.length;
      if (text) yield { type, text };
    },
    *rest(code: NonNullable<Told['code']>): Generator<object> {
      const { stdout, stderr, stdout_is_cut, stderr_is_cut } = code;
      yield* begin(code);
      if (stdout_is_cut || stderr_is_cut) yield* cut();
      const missing = {
        stdout: stdout?.slice(told.stdout),
        stderr: stderr?.slice(stderr_is_cut ? 0 : told.stderr),
      };
      for (const type of ['stdout', 'stderr'] as const) if (missing[type]) yield { type, text: missing[type] };
    },
  };
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
