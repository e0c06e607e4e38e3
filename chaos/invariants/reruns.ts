import { isDeepStrictEqual } from 'node:util';
import type { Evidence } from '../evidence.ts';
import type { Rerun } from '../journal.ts';
import { comesBefore, type Execution } from '../orchestration.ts';
import { ancestors } from '../../workflows/contract/graph.ts';
import { entries, isReused, isTakenOver, time, type Invariant } from './runs.ts';
import { readSteps } from './steps.ts';

/** 16. A rerun does the task again and all after it, from outputs that stand or were given; its source stays as it was. */
export const rerunsLeaveTheirSource: Invariant = (e) => {
  const faults: string[] = [];
  for (const { outcome, rerun, body, invoked } of entries(e, 'start')) {
    if (!rerun || outcome !== 'ok') continue;
    const { source, from_task, edits } = rerun;
    const { run_id } = e.runs.find((run) => run.run_id === body.run_id)!;
    const now = Object.entries(e.sources.get(source.run_id)!);
    const changed = now.filter(([name, value]) => !isDeepStrictEqual(value, source[name as keyof typeof source]));
    for (const [name, value] of changed) faults.push(`${source.run_id}: ${name} became ${JSON.stringify(value)}`);
    const late = e.events.filter((event) => event.run_id === source.run_id && time(event.created_at) > invoked);
    for (const { type } of late) faults.push(`${source.run_id} had ${type} after it had ended`);

    if (source.orchestration_id) {
      faults.push(...stepsAgain(e, run_id, rerun));
      continue;
    }
    const { plan, status } = e.runs.find((run) => run.run_id === run_id)!;
    for (const task of e.tasks.filter((row) => row.run_id === run_id && /^T[1-4]$/.test(row.id))) {
      const was = source.tasks.find(({ id }) => id === task.id)!;
      const again = task.id === from_task || ancestors(source.tasks, task.id).includes(from_task);
      const calls = e.calls.filter((call) => call.run_id === run_id && call.task_id === task.id);
      const given = edits[task.id] ?? was.output;
      if (task.title !== was.title || task.depends_on.join() !== was.depends_on.join()) {
        faults.push(`${run_id} ${task.id} is "${task.title}" after ${task.depends_on.join()}, not as in the source`);
      }
      if (again && isReused(plan, task.id)) faults.push(`${run_id} ${task.id} was to be done again`);
      if (again && status === 'completed' && task.kind === 'ai' && calls.length === 0) {
        faults.push(`${run_id} ${task.id} was to be done again, and was not`);
      }
      if (again || !isReused(plan, task.id)) continue;
      const stands = e.texts.get(task.output_id ?? '') ?? null;
      if (calls.length) faults.push(`${run_id} ${task.id} stands, and was done again`);
      if (stands !== given) faults.push(`${run_id} ${task.id} is ${stands?.slice(0, 80)}, not ${given?.slice(0, 80)}`);
    }
  }
  return faults;
};

/** The step and all after it were done by this run; what was done before it is as the source had it, and cost nothing. */
function stepsAgain(e: Evidence, run_id: string, { source, from_task }: Rerun): string[] {
  const faults: string[] = [];
  const was = e.tasks.filter((task) => task.run_id === source.run_id && task.step !== null);
  const { path, step_id } = was.find(({ id }) => id === from_task)!.step!;
  const { done, executions } = readSteps(e, run_id);
  const isFirst = (one: Execution) => one.path === path && one.step_id === step_id;
  const first = executions.find(isFirst)!;
  for (const execution of executions) {
    const task = done.find(({ step }) => step.path === execution.path);
    const isBefore = comesBefore(execution, first, executions);
    if (isBefore && !(task && isTakenOver(task))) faults.push(`${run_id} ${execution.path} was to stand`);
    if (!task) continue;
    const isAgain = isFirst(execution) || comesBefore(first, execution, executions);
    if (isAgain && isTakenOver(task)) faults.push(`${run_id} ${task.id} was to be done again`);
    if (!isTakenOver(task)) continue;
    const calls = e.calls.filter(({ call_id }) => call_id.startsWith(`${run_id}/${task.id}/`));
    if (calls.length > 0) faults.push(`${run_id} ${task.id} stands, and was done again`);
    const before = was.filter(({ step, status }) => step!.path === execution.path && status === 'completed').at(-1);
    const texts = [before, task].map((row) => e.texts.get(row?.output_id ?? ''));
    if (before && texts[0] !== texts[1]) faults.push(`${run_id} ${task.id} is not what stood in ${source.run_id}`);
  }
  return faults;
}
