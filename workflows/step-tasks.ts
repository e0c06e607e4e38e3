import { asksModel, type StepOutline } from './contract/definition.ts';
import type { TaskState } from './contract/states.ts';
import { newTask } from './contract/plan.ts';

/** The task of one execution of a step. Its id is that of the step, and `step.2`, … when it is executed again. */
export function newStepTask(step: StepOutline, path: string, tasks: TaskState[]): TaskState {
  const before = tasks.filter((task) => task.step?.step_id === step.id).length;
  const task = newTask({
    id: before === 0 ? step.id : `${step.id}.${before + 1}`,
    title: step.name,
    kind: step.type === 'human' ? 'human' : asksModel(step) ? 'ai' : 'code',
    agent: 'agent_id' in step ? step.agent_id : null,
    model: 'model' in step ? step.model : null,
    depends_on: [],
  });
  const { id: step_id, type, output_key } = step;
  return { ...task, step: { step_id, type, path, output_key, writes: {}, next: null } };
}
