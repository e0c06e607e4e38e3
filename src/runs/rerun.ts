import type { Run, Task } from '../../db/schema.ts';
import { ancestors } from '../../workflows/contract/graph.ts';
import type { TakenTask } from '../../workflows/contract/inputs.ts';
import { gateName, matchesGate } from '../../workflows/contract/plan.ts';
import { ApiError, invalid } from '../http/problems.ts';

/**
 * The plan of a run that does `from_task` of another again, and every task after it. What is completed of the others
 * stands, or the text that is given in its place. Throws 422 for tasks that are not so, and 409 when a task before
 * `from_task` is not completed.
 */
export function planRerun(
  run_id: string,
  source: { run: Run; tasks: Task[] },
  { from_task, edits }: { from_task: string; edits: Record<string, string> },
): TakenTask[] {
  const { run, tasks } = source;
  if (tasks.length === 0) throw new ApiError('RUN_NOT_READY', 'The run has no plan yet.', { run_status: run.status });
  const known = new Set(tasks.map(({ id }) => id));
  if (!known.has(from_task))
    throw invalid([{ pointer: '/from_task', detail: 'is not a task of the plan of this run' }]);
  const isAfter = (id: string) => id === from_task || ancestors(tasks, id).includes(from_task);
  const faults = Object.keys(edits)
    .filter((id) => !known.has(id) || isAfter(id))
    .map((id) => ({
      pointer: `/edits/${id.replaceAll('~', '~0').replaceAll('/', '~1')}`,
      detail: known.has(id) ? 'is done again, so its output cannot be given' : 'is not a task of the plan of this run',
    }));
  if (faults.length > 0) throw invalid(faults);

  const stands = ({ id, status }: Task) => !isAfter(id) && (status === 'completed' || Object.hasOwn(edits, id));
  const before = ancestors(tasks, from_task);
  const missing = tasks.filter((task) => before.includes(task.id) && !stands(task)).map(({ id }) => id);
  if (missing.length > 0) {
    const detail = `${missing.join(', ')} must be completed before ${from_task} can be done again.`;
    throw new ApiError('RUN_NOT_READY', detail, { run_status: run.status });
  }

  return tasks.map((task, index): TakenTask => {
    const { id, title, kind, agent, model, depends_on } = task;
    const asks = index === 0 && kind === 'human' && run.ask_me_about.length > 0;
    const gate = kind === 'ai' || asks ? -1 : run.human_gates.findIndex((entry) => matchesGate(gateName(entry), title));
    const is_reused = stands(task);
    const has_output = task.output_id !== null || Object.hasOwn(edits, id);
    return {
      id,
      title,
      kind,
      agent,
      model,
      depends_on,
      place: asks ? 'start' : 'planned',
      ...(gate >= 0 && { human_gate: gate }),
      is_reused,
      output_id: is_reused && has_output ? `${run_id}/${id}/reused` : null,
    };
  });
}
