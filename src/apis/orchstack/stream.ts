import type { Delta } from '../../../db/live.ts';
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
  /** Of a workflow: its steps are told too, and whose a text is. */
  ofSteps?: boolean;
};

/**
 * A run as server-sent events: `run` at once, then the text of its answer as the model writes it, with what its tools do and what is
 * tried again; `result` comes last, when it has ended or waits for a person, or after the time. Without a `result`, as when this process
 * stops, its reader asks again. The run itself goes on, whoever reads.
 */
export async function* runToEvents(
  { run_id, runEvents, read, most_ms, ofSteps = false }: Followed,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent | null> {
  yield named('run', { run_id });
  const late = AbortSignal.timeout(most_ms);
  const begun = await read();
  if (!begun) return;
  // Texts of steps are not the output.
  const [said, steps] = ofSteps ? [undefined, followSteps()] : [followText(), undefined];
  const joins = followEnds();
  if (hasResult(begun) || beginsAfter(begun, most_ms)) return yield* ending(begun, said);
  for await (const item of runEvents.follow(run_id, 0, AbortSignal.any([signal, late]))) {
    if ('ended' in item) break;
    if ('idle' in item) yield null;
    else if ('delta' in item) {
      if (!joins(item.delta)) continue;
      said?.hear(item.delta);
      if (!steps) yield tokenOf(run_id, item.delta);
      else if (steps.hasBegun(item.delta)) yield tokenOfStep(run_id, item.delta);
    } else if ('event' in item) {
      const of = { run_id, ...(steps && { task_id: item.event.data.task_id }) };
      const told = eventToWire(of, item.event) ?? (steps && stepToWire(of, item.event));
      if (told) yield told;
      for (const delta of steps?.begin(item.event) ?? []) yield tokenOfStep(run_id, delta);
      const run = item.event.type === 'gate.opened' ? await read() : undefined;
      if (run && hasResult(run)) return yield* ending(run, said);
    }
  }
  if (signal.aborted) return;
  const run = await read();
  if (run && (hasResult(run) || late.aborted)) yield* ending(run, said);
}

/** The result, and before it, of a run that has completed, what its reader lacks of the output. */
function* ending(run: RunResult, said: ReturnType<typeof followText> | undefined): Generator<ServerSentEvent> {
  const rest = run.status === 'completed' ? said?.restOf(run.output ?? '') : undefined;
  if (rest) yield tokenOf(run.run_id, rest);
  yield named('result', resultOf(run));
}

/**
 * Whether a piece goes on from what a reader has of this text. Who joins in the middle, at a process that has not heard its beginning,
 * could make nothing of it.
 */
function followEnds(): (delta: Delta) => boolean {
  const ends = new Map<string | null, number>();
  return ({ task_id, offset, text }) => {
    const isNext = offset <= (ends.get(task_id) ?? 0);
    if (isNext) ends.set(task_id, offset + text.length);
    return isNext;
  };
}

/** What a reader has of the answer by now. */
function followText() {
  let attempt = 1;
  let heard = '';
  return {
    hear(delta: Delta): void {
      attempt = delta.attempt;
      heard = heard.slice(0, delta.offset) + delta.text;
    },
    /**
     * The token that makes it the output: its end, which may be on its way yet when the run is seen to have ended, or all of it, where
     * some was lost, or was not what stands. Undefined when there is nothing to add.
     */
    restOf(output: string): Omit<Delta, 'task_id'> | undefined {
      const offset = output.startsWith(heard) ? heard.length : 0;
      const text = output.slice(offset);
      return text === '' ? undefined : { attempt, offset, text };
    },
  };
}

/** Which steps have begun for a reader. Their texts may be here before the event that says so, and are told after it. */
function followSteps() {
  const begun = new Set<unknown>();
  let early: Delta[] = [];
  return {
    /** Keeps the text of a step that has not. */
    hasBegun(delta: Delta): boolean {
      const has = begun.has(delta.task_id);
      if (!has) early.push(delta);
      return has;
    },
    /** The texts that were kept, when this event is that their step has begun. */
    begin({ type, data: { task_id } }: StoredEvent): Delta[] {
      if (type !== 'task.started') return [];
      begun.add(task_id);
      const own = early.filter((delta) => delta.task_id === task_id);
      early = early.filter((delta) => delta.task_id !== task_id);
      return own;
    },
  };
}

function tokenOf(run_id: string, { attempt, offset, text }: Omit<Delta, 'task_id'>): ServerSentEvent {
  return named('token', { run_id, attempt, offset, text });
}

function tokenOfStep(run_id: string, { task_id, attempt, offset, text }: Delta): ServerSentEvent {
  return named('token', { run_id, task_id, attempt, offset, text });
}

/** Its type stands in the data too, for readers that know no names of events. */
function named(type: string, data: object): ServerSentEvent {
  return { event: type, data: { type, ...data } };
}

function eventToWire(of: object, { type, data }: StoredEvent): ServerSentEvent | undefined {
  switch (type) {
    case 'tool.called':
      return named('tool_call', { ...of, id: data.call_id, tool: data.tool_name, arguments: data.args });
    case 'tool.result':
      return named('tool_result', {
        ...of,
        id: data.call_id,
        tool: data.tool_name,
        is_error: data.is_error,
        result: data.preview,
      });
    case 'call.retrying':
      return named('retry', { ...of, reason: data.reason, tries: data.tries, next_try_at: data.next_try_at });
    default:
      return undefined;
  }
}

function stepToWire(of: object, { type, data }: StoredEvent): ServerSentEvent | undefined {
  const { step_id, step_name: name, step_type, error } = data;
  switch (type) {
    case 'task.started':
      return named('step_started', { ...of, step_id, name, step_type });
    case 'task.completed':
      return named('step_completed', { ...of, step_id, name, step_type });
    case 'task.failed':
      return named('step_failed', { ...of, step_id, name, step_type, error });
    default:
      return undefined;
  }
}
