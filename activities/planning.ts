import { listSkills } from '../db/people.ts';
import { showPlan } from '../db/tasks.ts';
import type { Known, Work } from '../db/work.ts';
import { eventOf } from '../workflows/contract/events.ts';
import { chain } from '../workflows/contract/graph.ts';
import type { PlannedTask } from '../workflows/contract/inputs.ts';
import { gateName, tasksBetween } from '../workflows/contract/plan.ts';
import type { Progress, Refused } from '../workflows/contract/states.ts';
import { askForJson, type Understood } from './ask-json.ts';
import { callOf } from './call.ts';
import { atWork } from './at-work.ts';
import { graphOf } from './dependencies.ts';
import type { ActivityDeps } from './deps.ts';
import { filesFor } from './files.ts';
import { layOut, leavesSkillsOpen } from './lay-out.ts';
import { inferDepsAnswer, inferDepsPrompt } from './prompts/infer-deps.ts';
import { splitTasksAnswer, splitTasksPrompt } from './prompts/split-tasks.ts';
import { callAfter } from './second-call.ts';

/** What is asked for, and how many are taken from a model that keeps to its plan when it is asked again. */
const minTasks = 3;
const maxTasks = 6;
const mostTasks = 12;

type SplitTasks = { run_id: string; progress?: Progress };
type InferDeps = { run_id: string; tasks: { id: string; title: string }[]; progress?: Progress };
type Split = { tasks: PlannedTask[]; warnings: string[] };
type Inferred = { dependencies: { id: string; depends_on: string[] }[]; warnings: string[] };

/**
 * How a goal becomes tasks. `splitTasks` infers their graph as well; it keeps the name that it has in the histories of runs
 * that wait, in which `inferDeps` follows it.
 */
export function createPlanningActivities(deps: ActivityDeps) {
  return {
    splitTasks: (input: SplitTasks) => atWork(deps, input, [], (work) => plan(deps, work)),
    inferDeps: (input: InferDeps) => atWork(deps, input, [], (work) => inferDeps(deps, input.tasks, work)),
  };
}

/** Two calls in one activity, so that the history of a run reads as its plan. */
async function plan(deps: ActivityDeps, work: Work): Promise<Split & { inferred?: Inferred | Refused }> {
  const { known, ...split } = await splitTasks(deps, work);
  const inferred = await callAfter(deps, work, known, (now) => inferDeps(deps, tasksBetween(split.tasks), now));
  return { ...split, inferred };
}

/** Splits the goal into tasks, with those that `ask_me_about` and `human_gates` add, and shows them. */
async function splitTasks(deps: ActivityDeps, work: Work): Promise<Split & { known: Known | undefined }> {
  const { run } = work;
  const agents = run.agents.map((agent) => agent.name);
  const human_steps = run.human_gates.map(gateName);
  const skills = leavesSkillsOpen(run) ? await listSkills(deps.db, run.account_id) : [];
  const files = await filesFor(deps, work, []);
  const prompt = splitTasksPrompt({ task: run.task, agents, human_steps, files, skills });
  const request = { ...prompt, max_output_tokens: 4_096 };
  const call = callOf(work, { task_id: null, purpose: 'split_tasks', attempt: 1 }, request);
  const plan = await askForJson(deps, { ...call, goes_on: true }, splitTasksAnswer, (said, ask) =>
    withFewTasks(said, run.human_gates.length, ask),
  );
  const chosen = plan?.value.step_skills.map((step) => ({
    ...step,
    skills: step.skills.filter((skill) => skills.includes(skill)),
  }));
  const { tasks: rows, warnings } = layOut(plan?.value.tasks ?? fallbackPlan(), run, chosen);
  const which = run.attempt > 1 ? { attempt: run.attempt } : {};
  await showPlan(deps.db, run.run_id, rows, [eventOf('run.phase', { phase: 'infer_deps', ...which })]);
  deps.live.changed(run.run_id);
  const planWarnings = plan
    ? plan.warnings
    : ['The model gave no usable plan, so the run follows a plain one: gather, work, check.'];
  return {
    tasks: rows.map(({ description: _description, skills: _skills, ...task }) => task),
    warnings: [...planWarnings, ...warnings],
    known: plan?.known,
  };
}

/** Infers which planned tasks need the results of which others. Always returns a graph without cycles. */
async function inferDeps(deps: ActivityDeps, tasks: InferDeps['tasks'], work: Work): Promise<Inferred> {
  const request = { ...inferDepsPrompt({ task: work.run.task, tasks }), max_output_tokens: 2_048 };
  const call = callOf(work, { task_id: null, purpose: 'infer_deps', attempt: 1 }, request);
  const answer = await askForJson(deps, call, inferDepsAnswer, ({ dependencies }) => graphOf(tasks, dependencies));
  if (answer) return { dependencies: answer.value, warnings: answer.warnings };
  const warnings = ['The model gave no usable dependencies, so the tasks run one after another.'];
  return { dependencies: chain(tasks.map(({ id }) => id)), warnings };
}

function withFewTasks<P extends { tasks: unknown[] }>(plan: P, humanSteps: number, ask: number): Understood<P> {
  const count = plan.tasks.length;
  const [least, most] = ask === 1 ? [minTasks, maxTasks] : [1, mostTasks];
  if (count >= least && count <= most + humanSteps) return { value: plan };
  return { fault: `it has ${count} tasks, and ${minTasks} to ${maxTasks + humanSteps} are asked for.` };
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
