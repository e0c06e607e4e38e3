import type { Delta } from '../../../db/live.ts';
import type { StoredEvent } from '../../../db/run-events.ts';
import type { RunStreamItem } from '../../runs/events.ts';
import type { ServerSentEvent } from '../../http/sse.ts';
import { createTurns, type Leave } from '../../http/turns.ts';
import { eventToWire, type Following } from './event-view.ts';
import type { Enter } from './read-run.ts';

/** Long ends that are told at once of an account, in each process: a state of up to 8 MiB comes in two events, and is held until it is sent. */
const longEnds = createTurns(8);

/**
 * The events of a run as clients of orchestrations know them, from its start or from an answer, until it ends or waits
 * for a person; `done` comes last. The run itself goes on, whoever reads.
 */
export async function* orchestrationEventsToWire(
  following: Following,
  items: AsyncIterable<RunStreamItem>,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent | null> {
  /** Texts may be here before the event that their step has begun. */
  const begun = new Set<unknown>();
  const early: Delta[] = [];

  for await (const item of items) {
    if ('idle' in item) yield null;
    else if ('delta' in item && !begun.has(item.delta.task_id)) early.push(item.delta);
    else if ('delta' in item) yield { data: deltaToWire(item.delta) };
    else if ('event' in item) {
      const { type, data } = item.event;
      if (yield* tell(following, item.event, signal)) return;
      if (type === 'task.started') {
        const { task_id } = data;
        begun.add(task_id);
        for (const delta of early.filter((one) => one.task_id === task_id)) yield { data: deltaToWire(delta) };
        early.splice(0, early.length, ...early.filter((one) => one.task_id !== task_id));
      }
    }
  }
}

/** Tells one event, and returns whether it was the last. */
async function* tell(
  following: Following,
  stored: StoredEvent,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent, boolean> {
  let leave: Leave | undefined;
  const enter: Enter = async (turns, account_id) => {
    leave = await longEnds.enter(account_id, () => signal);
    return turns.enter(account_id, () => signal);
  };
  try {
    const events = await eventToWire(following, stored, enter);
    // The last one has the id: who resumes from it has seen those before it.
    for (const [index, event] of events.entries()) {
      yield index === events.length - 1 ? { id: String(stored.seq), data: event } : { data: event };
    }
    return events.at(-1)?.type === 'done';
  } finally {
    leave?.();
  }
}

function deltaToWire(delta: Delta) {
  return { type: 'delta', ...delta };
}
