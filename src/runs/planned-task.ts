import type { SourceTask } from '../../db/reruns.ts';
import type { Run } from '../../db/schema.ts';
import type { PlannedTask } from '../../workflows/contract/inputs.ts';
import { gateName } from '../../workflows/contract/plan.ts';
import { gatesOfTask } from './gate-terms.ts';
import { matchesGate } from './gate-words.ts';

/** A task of the plan of a run, for a workflow that takes the plan over. `index` is its place among them, from 0. */
export function plannedTask(run: Run, task: SourceTask, index: number): PlannedTask {
  const { id, title, kind, agent } = task;
  const asks = index === 0 && kind === 'human' && run.ask_me_about.length > 0;
  const gates = kind === 'human' && !asks && gatesOfTask(run, task.human_gates ?? gatesByWords(run, title));
  return { id, title, kind, agent, place: asks ? 'start' : 'planned', ...gates };
}

/** Plans of 0.1.0 do not say to which gates a task answers. */
function gatesByWords({ human_gates }: Run, title: string): number[] {
  return human_gates.flatMap((gate, index) => (matchesGate(gateName(gate), title) ? [index] : []));
}
