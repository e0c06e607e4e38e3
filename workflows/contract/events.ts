import type { RunEvent } from './states.ts';

/**
 * An event of a run, as its workflow records it, and activities that tell of the same before the workflow hears of it:
 * written by both, it is one event.
 */
export function eventOf(type: string, data: Record<string, unknown> = {}): RunEvent {
  return { key: keyOf(type, data), type, data };
}

/**
 * An event is known by what it says, and not by its number: a workflow task that is lost with its worker has written its
 * events all the same, and when it is made again others may come before them.
 */
function keyOf(
  type: string,
  { task_id, attempt, turn, call_id, gate_id, phase, warning, reminder, n }: Record<string, unknown>,
): string {
  return [type, task_id, attempt, turn, call_id, gate_id, phase, warning, reminder, n]
    .filter((part) => part !== undefined)
    .map(String)
    .join('/');
}
