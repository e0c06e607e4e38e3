import { ApplicationFailure, continueAsNew, patched } from '@temporalio/workflow';
import type { Completed } from './contract/completion.ts';
import { topologicalOrder } from './contract/graph.ts';
import type { Carried, CarriedRun, FinalWork, PlannedTask, RunInput, RunResult, TakenTask } from './contract/inputs.ts';
import {
  connectTasks,
  finalOutputTask,
  isBesidePlan,
  outline,
  planningTask,
  takenTask,
  tasksBetween,
} from './contract/plan.ts';
import type { Phase, TaskProgress, TaskState } from './contract/states.ts';
import { completeRun, runToEnd } from './ending.ts';
import { awaitAnswer } from './gate.ts';
import { withoutApproval } from './gate-policy.ts';
import { allBranches, restWhenLong } from './history.ts';
import { accepted, inferDependencies, refusal, splitTasks, writeFinalOutput } from './model-activities.ts';
import { openRun, type RunContext } from './run-context.ts';
import { changeRun, changeTask, complete, record, warn } from './state.ts';
import { doByAgent, noAttempts } from './task-attempts.ts';

type GoalRun = RunContext & {
  readonly input: RunInput;
  /** The tasks of the plan, by id. */
  readonly planned: Map<string, PlannedTask>;
  /** How far the tasks of agents are, by id. */
  readonly taskProgress: Map<string, TaskProgress>;
  readonly finalWork: FinalWork;
};

/**
 * One run, from goal to final output: plan -> execute -> finalize. Lasts as long as people take to answer.
 * Ends `failed` only for its budget, or for a gate that nobody answers when the run's terms say so; other trouble waits for
 * a person instead. When its history has grown long it continues as new, with `carried`.
 */
export async function orchflowRun(input: RunInput): Promise<RunResult> {
  const run = openGoalRun(input);
  return runToEnd(run, story, (carried) =>
    continueAsNew<typeof orchflowRun>({ ...input, carried: { ...carried, ...planCarriedOver(run) } }),
  );
}

/** A run that continues as new takes it up where it was. */
async function story(run: GoalRun): Promise<Completed> {
  const { input, planned, state } = run;
  if (planned.size === 0 && input.plan) takeOver(run, input.plan);
  else if (planned.size === 0) await planWithHelp(run);
  if (state.phase !== 'finalize') await execute(run);
  const finalOutput = await finalize(run);
  return completeRun(run, finalOutput);
}

/** Plans until there is a plan. When the model refuses for good, a person mends the provider, and has it planned again. */
async function planWithHelp(run: GoalRun): Promise<void> {
  const known = planningTask();
  const task = run.state.tasks.find(({ id }) => id === known.id) ?? known;
  for (;;) {
    let reason: string | null = null;
    if (task.gate?.status !== 'open') {
      if (task.gate) restWhenLong(run);
      reason = await plan(run).then(() => null, refusal);
      if (reason === null) {
        if (task.gate) changeTask(run, task, { status: 'completed' });
        return;
      }
      // Runs of 0.1.0 end here.
      if (!patched('help-with-planning')) throw ApplicationFailure.nonRetryable(reason, 'PlanningFailed');
      if (!task.gate) run.state.tasks.push(task);
    }
    const policy = withoutApproval(run.gatePolicy);
    await awaitAnswer(run, task, { kind: 'escalation', policy, reason, decisions: ['retry'] });
  }
}

async function plan(run: GoalRun): Promise<void> {
  const { agents } = run.input;
  changeRun(run, { phase: 'split_tasks' });
  record(run, 'run.started', { phase: 'split_tasks' });
  const split = await splitTasks(run);
  const planned = withKnownGates(split.tasks);
  warn(run, ...split.warnings);

  // Readers see the tasks from here on, so they end with the run also when it ends before they are connected.
  showTasks(run, connectTasks(planned, [], agents));
  enter(run, 'infer_deps');
  const inferred = accepted(split.inferred) ?? (await inferDependencies(run, tasksBetween(planned)));
  warn(run, ...inferred.warnings);

  changeRun(run, { phase: 'assign_agents' });
  usePlan(run, planned, connectTasks(planned, inferred.dependencies, agents));
}

/** The plan of another run. Its outputs that stand are completed tasks here. */
function takeOver(run: GoalRun, tasks: TakenTask[]): void {
  record(run, 'run.started', { phase: 'execute' });
  usePlan(run, withKnownGates(tasks), tasks.map(takenTask));
}

/** A worker of 0.1.0 may have begun the run: it leaves guards and the terms of several gates alone. */
function withKnownGates<T extends PlannedTask>(tasks: T[]): T[] {
  const isNew = tasks.some(({ guards = [], gate_policy }) => guards.length > 0 || gate_policy);
  if (!isNew || patched('gates-in-plan')) return tasks;
  return tasks.map((task) => ({ ...task, guards: undefined, gate_policy: undefined }));
}

function usePlan(run: GoalRun, planned: PlannedTask[], tasks: TaskState[]): void {
  for (const task of planned) run.planned.set(task.id, task);
  showTasks(run, tasks);
  for (const task of tasks) changeTask(run, task, {});
  const gatesOf = new Map(planned.map(({ id, human_gates }) => [id, human_gates && { human_gates }]));
  record(run, 'run.planned', { tasks: tasks.map((task) => ({ ...outline(task), ...gatesOf.get(task.id) })) });
}

/** Every task starts as soon as the tasks that it depends on are done. */
async function execute(run: GoalRun): Promise<void> {
  enter(run, 'execute');
  const tasks = plannedTasks(run);
  const done = new Map<string, Promise<void>>();
  for (const id of topologicalOrder(tasks)!) {
    const task = tasks.find((candidate) => candidate.id === id)!;
    const before = Promise.all(task.depends_on.map((dependency) => done.get(dependency)!));
    done.set(
      id,
      before.then(() => doTask(run, task)),
    );
  }
  await allBranches([...done.values()]);
}

async function doTask(run: GoalRun, task: TaskState): Promise<void> {
  if (task.status === 'completed') return;
  const { require_approval } = run.input;
  await (task.kind === 'human'
    ? doByPerson(run, task)
    : doByAgent(run, task, taskProgressOf(run, task), require_approval));
}

async function doByPerson(run: GoalRun, task: TaskState): Promise<void> {
  const { place, human_gate, gate_policy } = run.planned.get(task.id)!;
  const policy = gate_policy ?? run.input.human_gate_policies?.[human_gate ?? -1] ?? run.gatePolicy;
  const answer = await awaitAnswer(run, task, { kind: place === 'start' ? 'context' : 'human_task', policy });
  complete(run, task, answer.output_id);
}

/** One coherent result of all outputs. When the model refuses for good, a person sends it, or mends the provider. */
async function finalize(run: GoalRun): Promise<string> {
  enter(run, 'finalize');
  const { finalWork } = run;
  const helped = finalOutputTask(plannedTasks(run));
  const task = run.state.tasks.find(({ id }) => id === helped.id) ?? helped;
  for (;;) {
    let reason: string | null = null;
    if (task.gate?.status !== 'open') {
      restWhenLong(run);
      const written = await writeFinalOutput(run, finalMaterial(run, task));
      if ('output_id' in written) {
        if (task.gate) complete(run, task, written.output_id);
        return written.output_id;
      }
      ({ reason } = written);
      if (!task.gate) run.state.tasks.push(task);
    }
    const policy = withoutApproval(run.gatePolicy);
    const { decision, output_id } = await awaitAnswer(run, task, { kind: 'escalation', policy, reason });
    if (output_id && (decision === 'approve' || decision === 'edit')) {
      complete(run, task, output_id);
      return output_id;
    }
    // What a person wants done differently is material like any other answer.
    if (output_id) finalWork.remarks.push(output_id);
    finalWork.attempt += 1;
  }
}

/** All outputs, and what people have said to the final output so far. */
function finalMaterial(run: GoalRun, { id: task_id }: TaskState) {
  const { attempt, remarks } = run.finalWork;
  const outputs = [
    ...plannedTasks(run).map(({ id, output_id }) => ({ task_id: id, output_id })),
    ...remarks.map((output_id) => ({ task_id, output_id })),
  ];
  return { attempt, outputs };
}

function enter(run: GoalRun, phase: Phase): void {
  changeRun(run, { phase });
  record(run, 'run.phase', { phase });
}

/** What is asked beside the plan stays beside them. */
function showTasks({ state }: GoalRun, tasks: TaskState[]): void {
  state.tasks = [...tasks, ...state.tasks.filter(isBesidePlan)];
}

/** Without those in which a person helps with the budget or the final output. */
function plannedTasks({ state, planned }: GoalRun): TaskState[] {
  return state.tasks.filter(({ id }) => planned.has(id));
}

function taskProgressOf({ taskProgress }: GoalRun, { id }: TaskState): TaskProgress {
  const known = taskProgress.get(id) ?? noAttempts();
  taskProgress.set(id, known);
  return known;
}

function openGoalRun(input: RunInput): GoalRun {
  const { carried } = input;
  return Object.assign(openRun(input), {
    input,
    planned: new Map(carried?.planned.map((task) => [task.id, task])),
    taskProgress: new Map(carried?.works),
    finalWork: carried?.final_work ?? { attempt: 1, remarks: [] },
  });
}

function planCarriedOver({ planned, taskProgress, finalWork }: GoalRun): Omit<CarriedRun, keyof Carried> {
  return { planned: [...planned.values()], works: [...taskProgress], final_work: finalWork };
}
