import { insertPlannedTasks } from '../db/tasks.ts';
import type { Work } from '../db/work.ts';
import { chain, graphFault } from '../workflows/contract/graph.ts';
import type { PlannedTask } from '../workflows/contract/inputs.ts';
import { gateName } from '../workflows/contract/plan.ts';
import type { Progress } from '../workflows/contract/states.ts';
import { askForJson } from './ask-json.ts';
import { callOf } from './ask.ts';
import { atWork } from './at-work.ts';
import type { ActivityDeps } from './deps.ts';
import { layOut } from './lay-out.ts';
import { inferDepsAnswer, inferDepsPrompt } from './prompts/infer-deps.ts';
import { splitTasksAnswer, splitTasksPrompt } from './prompts/split-tasks.ts';

const minTasks = 3;
const maxTasks = 6;

type SplitTasks = { run_id: string; progress?: Progress };
type InferDeps = { run_id: string; tasks: { id: string; title: string }[]; progress?: Progress };

/** How a goal becomes tasks. */
export function createPlanningActivities(deps: ActivityDeps) {
  return {
    splitTasks: (input: SplitTasks) => atWork(deps, input, [], (work) => splitTasks(deps, work)),
    inferDeps: (input: InferDeps) => atWork(deps, input, [], (work) => inferDeps(deps, input, work)),
  };
}

/** Splits the goal into tasks, with those that `ask_me_about` and `human_gates` add, and stores their descriptions. */
async function splitTasks(deps: ActivityDeps, work: Work): Promise<{ tasks: PlannedTask[]; warnings: string[] }> {
  const { run } = work;
  const agents = run.agents.map((agent) => agent.name);
  const prompt = splitTasksPrompt({ task: run.task, agents, human_steps: run.human_gates.map(gateName) });
  const request = { ...prompt, max_output_tokens: 4_096 };
  const call = callOf(work, { task_id: null, purpose: 'split_tasks', attempt: 1 }, request);
  const plan = await askForJson(deps, call, splitTasksAnswer, ({ tasks }) =>
    planFault(tasks.length, run.human_gates.length),
  );
  const { tasks: rows, warnings } = layOut(plan?.value.tasks ?? fallbackPlan(), run);
  await insertPlannedTasks(deps.db, run.run_id, rows);
  const planWarnings = plan
    ? plan.warnings
    : ['The model gave no usable plan, so the run follows a plain one: gather, work, check.'];
  return {
    tasks: rows.map(({ description: _description, ...task }) => task),
    warnings: [...planWarnings, ...warnings],
  };
}

/** Infers which planned tasks need the results of which others. Always returns a graph without cycles. */
async function inferDeps(
  deps: ActivityDeps,
  { tasks }: InferDeps,
  work: Work,
): Promise<{ dependencies: { id: string; depends_on: string[] }[]; warnings: string[] }> {
  const request = { ...inferDepsPrompt({ task: work.run.task, tasks }), max_output_tokens: 2_048 };
  const call = callOf(work, { task_id: null, purpose: 'infer_deps', attempt: 1 }, request);
  const ids = tasks.map((task) => task.id);
  const answer = await askForJson(deps, call, inferDepsAnswer, ({ dependencies }) =>
    dependencyFault(ids, dependencies),
  );
  if (!answer) {
    const warnings = ['The model gave no usable dependencies, so the tasks run one after another.'];
    return { dependencies: chain(ids), warnings };
  }
  return { dependencies: toGraph(ids, answer.value.dependencies), warnings: answer.warnings };
}

function planFault(count: number, humanSteps: number): string | undefined {
  if (count >= minTasks && count <= maxTasks + humanSteps) return undefined;
  return `it has ${count} tasks, and ${minTasks} to ${maxTasks + humanSteps} are asked for.`;
}

function fallbackPlan() {
  return [
    {
      title: 'Gather what is needed',
      description: 'Collect the facts, options and constraints that the goal calls for.',
      agent: null,
    },
    { title: 'Do the work', description: 'Produce what the goal asks for, from what was gathered.', agent: null },
    {
      title: 'Check and improve',
      description: 'Review the work against the goal and write the improved version.',
      agent: null,
    },
  ];
}

type Inferred = { task_id: string; depends_on: string[] }[];

function toGraph(ids: string[], inferred: Inferred) {
  const dependsOn = new Map(inferred.map((entry) => [entry.task_id, entry.depends_on]));
  return ids.map((id) => ({ id, depends_on: [...new Set(dependsOn.get(id) ?? [])] }));
}

function dependencyFault(ids: string[], inferred: Inferred): string | undefined {
  const seen = new Set<string>();
  for (const { task_id } of inferred) {
    if (!ids.includes(task_id)) return `${JSON.stringify(task_id)} is not a task.`;
    if (seen.has(task_id)) return `${task_id} is listed twice.`;
    seen.add(task_id);
  }
  return graphFault(toGraph(ids, inferred));
}
