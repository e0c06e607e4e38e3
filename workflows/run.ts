import { ApplicationFailure, continueAsNew, patched } from '@temporalio/workflow';
import type { Completed } from './contract/completion.ts';
import type { Carried, CarriedRun, PlannedTask, RunInput, RunResult, TakenTask } from './contract/inputs.ts';
import {
  connectTasks,
  finalOutputTask,
  isBesidePlan,
  outline,
  planningTask,
  takenTask,
  tasksBetween,
} from './contract/plan.ts';
import { hasEnded, type Phase, type TaskProgress, type TaskState } from './contract/states.ts';
import { completeRun, runToEnd } from './ending.ts';
import { awaitAnswer } from './gate.ts';
import { withoutApproval } from './gate-policy.ts';
import { nextLimit, restWhenLong } from './history.ts';
import { accepted, inferDependencies, refusal, splitTasks, writeFinalOutput } from './model-activities.ts';
import { openRun, whichTry } from './run-context.ts';
import { addTask, changeRun, changeTask, complete, record, warn } from './state.ts';
import {
  beginTasks,
  finalizeUnlessSteered,
  hearSteering,
  plannedTasks,
  steerAsToldBefore,
  tasksDone,
  type SteeredRun,
} from './steering.ts';
import { doByAgent, noAttempts } from './task-attempts.ts';
import { hearTerms, readTerms } from './terms.ts';

type GoalRun = SteeredRun & { readonly input: RunInput };

/**
 * One run, from goal to final output: plan -> execute -> finalize. Lasts as long as people take to answer.
 * Ends `failed` only for its budget, or for a gate that nobody answers when the run's terms say so; other trouble waits for
 * a person instead. When its history has grown long it continues as new, with `carried`.
 */
export async function orchflowRun(input: RunInput): Promise<RunResult> {
  const run = openGoalRun(input);
  return runToEnd(run, story, (carried) =>
    continueAsNew<typeof orchflowRun>({
      ...input,
      ...nextLimit(run),
      carried: { ...carried, ...planCarriedOver(run) },
    }),
  );
}

/** A run that continues as new, or is tried again, takes it up where it was. */
async function story(run: GoalRun): Promise<Completed> {
  const { input, planned, state } = run;
  if (run.attempt > 1 && planned.size > 0) record(run, 'run.started', { phase: state.phase, ...whichTry(run) });
  if (planned.size === 0 && input.plan) takeOver(run, input.plan);
  else if (planned.size === 0) await planWithHelp(run);
  for (;;) {
    if (state.phase !== 'finalize') await execute(run);
    enter(run, 'finalize');
    const finalOutput = await finalizeUnlessSteered(run, () => finalize(run));
    if (finalOutput !== undefined) return completeRun(run, finalOutput);
  }
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
        if (run.state.tasks.includes(task)) changeTask(run, task, { status: 'completed' });
        return;
      }
      // Runs of 0.1.0 end here.
      if (!patched('help-with-planning')) throw ApplicationFailure.nonRetryable(reason, 'PlanningFailed');
      addTask(run, task);
    }
    const policy = () => withoutApproval(run.terms.gate_policy);
    await awaitAnswer(run, task, { kind: 'escalation', policy, reason, decisions: ['retry'] });
  }
}

async function plan(run: GoalRun): Promise<void> {
  const { agents } = run.input;
  changeRun(run, { phase: 'split_tasks' });
  record(run, 'run.started', { phase: 'split_tasks', ...whichTry(run) });
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
  // The plan may be made of those that were changed meanwhile.
  if (run.terms.n > 0) await readTerms(run);
}

/** The plan of another run. Its outputs that stand are completed tasks here. */
function takeOver(run: GoalRun, tasks: TakenTask[]): void {
  record(run, 'run.started', { phase: 'execute', ...whichTry(run) });
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
  beginTasks(run, plannedTasks(run));
  steerAsToldBefore(run);
  await tasksDone(run);
}

async function doTask(run: GoalRun, task: TaskState): Promise<void> {
  if (hasEnded(task.status)) return;
  const { require_approval, agents } = run.input;
  const agent = agents.find(({ name }) => name === task.agent);
  const waits = require_approval || agent?.require_approval === true;
  await (task.kind === 'human' ? doByPerson(run, task) : doByAgent(run, task, taskProgressOf(run, task), waits));
}

async function doByPerson(run: GoalRun, task: TaskState): Promise<void> {
  const { place, human_gate, gate_policy } = run.planned.get(task.id)!;
  const reason = taskProgressOf(run, task).trouble?.reason;
  const policy = () => {
    const { terms } = run;
    return (
      terms.task_policies?.[task.id] ??
      gate_policy ??
      terms.human_gate_policies?.[human_gate ?? -1] ??
      terms.gate_policy
    );
  };
  const answer = await awaitAnswer(run, task, { kind: place === 'start' ? 'context' : 'human_task', policy, reason });
  complete(run, task, answer.output_id);
}

/** One coherent result of all outputs. When the model refuses for good, a person sends it, or mends the provider. */
async function finalize(run: GoalRun): Promise<string> {
  const { finalWork } = run;
  const helped = finalOutputTask(plannedTasks(run));
  const task = run.state.tasks.find(({ id }) => id === helped.id) ?? helped;
  for (;;) {
    let reason: string | null = null;
    if (task.gate?.status !== 'open') {
      restWhenLong(run);
      const written = await writeFinalOutput(run, finalMaterial(run, task));
      if ('output_id' in written) {
        if (run.state.tasks.includes(task)) complete(run, task, written.output_id);
        return written.output_id;
      }
      ({ reason } = written);
      addTask(run, task);
    }
    const policy = () => withoutApproval(run.terms.gate_policy);
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
  record(run, 'run.phase', { phase, n: run.state.steered, ...whichTry(run) });
}

/** What is asked beside the plan stays beside them. */
function showTasks({ state }: GoalRun, tasks: TaskState[]): void {
  state.tasks = [...tasks, ...state.tasks.filter(isBesidePlan)];
}

function taskProgressOf({ taskProgress }: GoalRun, { id }: TaskState): TaskProgress {
  const known = taskProgress.get(id) ?? noAttempts();
  taskProgress.set(id, known);
  return known;
}

function openGoalRun(input: RunInput): GoalRun {
  const { carried } = input;
  const run: GoalRun = Object.assign(openRun(input), {
    input,
    planned: new Map(carried?.planned.map((task) => [task.id, task])),
    taskProgress: new Map(carried?.works),
    finalWork: carried?.final_work ?? { attempt: 1, remarks: [] },
    branches: new Map(),
    early: [],
    doTask: (task: TaskState) => doTask(run, task),
  });
  hearSteering(run);
  hearTerms(run);
  return run;
}

function planCarriedOver({ planned, taskProgress, finalWork }: GoalRun): Omit<CarriedRun, keyof Carried> {
  return { planned: [...planned.values()], works: [...taskProgress], final_work: finalWork };
}
