import { ancestors } from './graph.ts';
import type { PlannedTask, RunInput, TakenTask } from './inputs.ts';
import type { TaskState } from './states.ts';

/** Pure: how a plan and its dependencies become the tasks of a run. */

/** So many skills a task asks for, whatever gates meet in it. */
export const maxAsked = 20;

type Agent = RunInput['agents'][number];
type Dependencies = { id: string; depends_on: string[] }[];

/** Made once, when it is needed: the bundle of the workflows writes the classes out, as 13 kB. */
let wordPattern: RegExp | undefined;

function words(text: string): string[] {
  wordPattern ??= /[\p{L}\p{N}]+/gu;
  return text.toLowerCase().match(wordPattern) ?? [];
}

/** "writer" and "write", "research" and "researching": the same word at heart. */
function sameStem(a: string, b: string): boolean {
  const length = Math.min(a.length, b.length, 6);
  return length >= 4 && a.slice(0, length) === b.slice(0, length);
}

/**
 * Routes a task to an agent by name: the one the plan names, else one whose name stands in the title,
 * else the agents in turn.
 */
export function assignAgent(agents: Agent[], task: { title: string; agent: string | null }, turn: number): Agent {
  const named = task.agent?.trim().toLowerCase();
  const titleWords = words(task.title);
  return (
    agents.find((agent) => agent.name.toLowerCase() === named) ??
    agents.find((agent) => words(agent.name).some((part) => titleWords.some((word) => sameStem(part, word)))) ??
    agents[turn % agents.length]!
  );
}

/** The words of an entry of `human_gates`, which may have terms of its own. */
export function gateName(gate: string | { name: string }): string {
  return typeof gate === 'string' ? gate : gate.name;
}

/** What a person is asked about, of which skills may be said too. */
export function aboutOf(asked: string | { about: string }): string {
  return typeof asked === 'string' ? asked : asked.about;
}

/** The tasks of a plan between which there is a graph to be inferred. */
export function tasksBetween(planned: PlannedTask[]): Pick<PlannedTask, 'id' | 'title'>[] {
  return planned.filter(({ place }) => place === 'planned').map(({ id, title }) => ({ id, title }));
}

/** A task that nothing has happened to. */
export function newTask(task: Pick<TaskState, 'id' | 'title' | 'kind' | 'agent' | 'model' | 'depends_on'>): TaskState {
  return { ...task, status: 'pending', attempts: 0, output_id: null, evaluation: null, error: null, gate: null };
}

/**
 * Connects a plan. Answers asked for at the start come before every AI task; gates that match no planned task come
 * before the tasks that they guard, or after all others; between them the inferred graph. AI tasks get their agents.
 */
export function connectTasks(planned: PlannedTask[], inferred: Dependencies, agents: Agent[]): TaskState[] {
  const atStart = planned.filter((task) => task.place === 'start').map((task) => task.id);
  const beforeEnd = planned.filter((task) => task.place !== 'end').map((task) => task.id);
  const inferredOf = new Map(inferred.map(({ id, depends_on }) => [id, depends_on]));
  const tasks = planned.map(({ id, title, kind, place, agent: named }, turn) => {
    const agent = kind === 'ai' ? assignAgent(agents, { title, agent: named }, turn) : undefined;
    const between = [...(kind === 'ai' ? atStart : []), ...(inferredOf.get(id) ?? [])];
    const depends_on = place === 'start' ? [] : place === 'end' ? beforeEnd : between;
    return newTask({ id, title, kind, depends_on, agent: agent?.name ?? null, model: agent?.model ?? null });
  });
  return planned.reduce(guard, tasks);
}

/**
 * A gate with tasks to guard needs what they need, so that a person sees it, and they need the gate. One that is planned
 * has its own needs. Makes no cycle.
 */
function guard(tasks: TaskState[], { id, place, guards = [] }: PlannedTask): TaskState[] {
  if (guards.length === 0) return tasks;
  if (place === 'planned') {
    const before = ancestors(tasks, id);
    const behind = guards.filter((task_id) => !before.includes(task_id));
    return tasks.map((task) =>
      behind.includes(task.id) ? { ...task, depends_on: [...new Set([...task.depends_on, id])] } : task,
    );
  }
  const guarded = new Set(guards);
  const isBehind = (task_id: string) => [task_id, ...ancestors(tasks, task_id)].some((before) => guarded.has(before));
  const needed = tasks.filter((task) => guarded.has(task.id)).flatMap(({ depends_on }) => depends_on);
  return tasks.map((task) => {
    if (task.id === id) return { ...task, depends_on: [...new Set(needed)].filter((task_id) => !isBehind(task_id)) };
    return guarded.has(task.id) ? { ...task, depends_on: [...task.depends_on, id] } : task;
  });
}

/** A task of a plan that was taken over. */
export function takenTask({ id, title, kind, agent, model, depends_on, is_reused, output_id }: TakenTask): TaskState {
  const task = newTask({ id, title, kind, agent, model, depends_on });
  return is_reused ? { ...task, status: 'completed', output_id } : task;
}

/** A task as the plan has it, without what happened to it since. */
export function outline({ id, title, kind, agent, depends_on }: TaskState) {
  return { id, title, kind, agent, depends_on };
}

/** The outputs of all tasks before this one in the graph. */
export function outputsBefore(tasks: TaskState[], { id }: TaskState) {
  return ancestors(tasks, id).map((task_id) => {
    const output_id = tasks.find((before) => before.id === task_id)?.output_id ?? null;
    return { task_id, output_id };
  });
}

/**
 * The task in which a person decides this time that the run's budget is used up. No step of a user has such an id. A run that was
 * begun anew may not know all that were approved.
 */
export function budgetTask(tasks: TaskState[], approvals: number): TaskState {
  const id = `_budget_${Math.max(tasks.filter(isBudgetTask).length, approvals) + 1}`;
  return newTask({ id, title: 'Decide on the budget', kind: 'human', agent: null, model: null, depends_on: [] });
}

export function isBudgetTask({ id }: Pick<TaskState, 'id'>): boolean {
  return id.startsWith('_budget_');
}

/** The only task of the run of one agent, beside what is asked about its budget. */
export const agentTaskId = 'T1';

export function agentTask({ name, model }: { name: string; model: string | null }): TaskState {
  return newTask({ id: agentTaskId, title: name, kind: 'ai', agent: name, model, depends_on: [] });
}

/** The task in which a person helps when nothing can be planned. */
export function planningTask(): TaskState {
  return newTask({ id: '_planning', title: 'Planning', kind: 'human', agent: null, model: null, depends_on: [] });
}

/** A task in which Orchflow asks a person for something beside the plan. */
export function isBesidePlan({ id }: Pick<TaskState, 'id'>): boolean {
  return id === '_planning' || isBudgetTask({ id });
}

/** The task in which a person helps when the final output cannot be written. */
export function finalOutputTask(tasks: Pick<TaskState, 'id'>[]): TaskState {
  const depends_on = tasks.map(({ id }) => id);
  const id = `T${depends_on.length + 1}`;
  return newTask({ id, title: 'Final output', kind: 'human', agent: null, model: null, depends_on });
}
