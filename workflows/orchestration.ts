import { continueAsNew, isCancellation, proxyActivities, setHandler } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { StepOutline } from './contract/definition.ts';
import { toTheEnd } from './ending.ts';
import { createGates } from './gate.ts';
import { createGuards } from './guards.ts';
import { watchHistory } from './history.ts';
import { noGatePolicy } from './contract/gate-rules.ts';
import { runStateQuery, waitingTasksQuery } from './messages.ts';
import type { RunResult } from './contract/inputs.ts';
import type { TaskState } from './contract/states.ts';
import type { OrchestrationInput } from './contract/inputs.ts';
import { createModelCalls } from './model-calls.ts';
import { modelActivityOptions } from './model-activities.ts';
import { answerOf, idOf, optionsOf, outcomeOf, stepFailure, written, type Outcome, type Writes } from './outcome.ts';
import { trackProgress } from './progress.ts';
import { nextOf, withinLimits, type RouteChoice } from './contract/route.ts';
import { createStepAgents } from './step-agents.ts';
import { newStepTask } from './step-tasks.ts';
import { createWebhooks } from './webhook.ts';

const { routeStep, computeStep, collectLoop, openForm } = proxyActivities<Activities>(modelActivityOptions);

/** A line of steps, one after the other, with the state as they see it. `path` tells it from all other lines of the run. */
type Line = { path: string; state: Writes; written: Writes };

/**
 * One orchestration, step by step from its entry. Every execution of a step is a task of the run. A run that is tried
 * again goes the same way once more: steps that are done are not done again, their outcomes are known.
 */
export async function orchestrationRun(input: OrchestrationInput): Promise<RunResult> {
  const { run_id, definition, definition_hash, attempt, carried } = input;
  const run = trackProgress(run_id, carried);
  const webhooks = createWebhooks(run_id, input.has_webhook, carried?.webhooks);
  const gates = createGates(run, webhooks, carried);
  const makeCall = createModelCalls(run, gates, input.on_budget, noGatePolicy);
  const guards = createGuards(definition, input.spent);
  const history = watchHistory(input.history_limit);
  const agents = createStepAgents(run, gates, makeCall, history);
  const done = new Map(run.state.tasks.flatMap((task) => (isDone(task) ? [[task.step!.path, task]] : [])));
  const steps = new Map(definition.steps.map((step) => [step.id, step]));

  setHandler(runStateQuery, () => run.state, { description: 'Status, steps and warnings of the run.' });
  setHandler(waitingTasksQuery, gates.openGates, {
    description: 'The gates that wait for a person now, with the task, the kind and the reason of each.',
  });

  return toTheEnd({ run, webhooks, gates, history, attempt }, tell, (next) =>
    continueAsNew<typeof orchestrationRun>({ ...input, carried: next, spent: guards.spent() }),
  );

  async function tell(): Promise<void> {
    run.changeRun({ phase: 'execute', shared_state: input.shared_state });
    run.record('run.started', attempt > 1 ? { phase: 'execute', attempt } : { phase: 'execute' });
    await follow(definition.entry_step_id, { path: '', state: { ...input.shared_state }, written: {} });
    run.changeRun({ final_output_id: lastOutput(), phase: 'done', status: 'completed' });
  }

  /** Runs step after step, until none follows, or `join` does. */
  async function follow(first: string, line: Line, join: string | null = null): Promise<void> {
    const entered = new Map<string, number>();
    for (let id: string | null = first, n = 1; id !== null && id !== join; n += 1) {
      const step: StepOutline = steps.get(id)!;
      entered.set(id, (entered.get(id) ?? 0) + 1);
      const { next } = await execute(step, line, `${line.path}${n}`);
      const { id: target, passed } = withinLimits(steps, next, entered);
      passed.forEach(passOver);
      id = target;
    }
  }

  function passOver({ id: step_id, name, max_iterations }: StepOutline): void {
    // Which of the times it is passed over, for the key of the event.
    const n = `${step_id}/${run.state.tasks.length}`;
    run.record('step.loop_limit_reached', { step_id, iterations: max_iterations, max_iterations, n });
    run.warn(`Step '${name}' was passed over after ${max_iterations} times.`);
  }

  /** Runs one step as a task, unless it is done, and applies what it writes to its line. */
  async function execute(step: StepOutline, line: Line, path: string): Promise<Outcome> {
    const before = done.get(path)?.step;
    const outcome = before
      ? { writes: before.writes, output_id: null, next: before.next }
      : await executeAnew(step, line, path);
    Object.assign(line.state, outcome.writes);
    Object.assign(line.written, outcome.writes);
    if (line.path === '') run.changeRun({ shared_state: { ...line.state } });
    return outcome;
  }

  async function executeAnew(step: StepOutline, line: Line, path: string): Promise<Outcome> {
    // One that was begun before the run continued as new.
    let task = run.state.tasks.find(({ status, step: mark }) => mark?.path === path && isOpen(status));
    if (!task) {
      if (history.isLong()) await history.toContinue();
      guards.check();
      task = newStepTask(step, path, run.state.tasks);
      run.state.tasks.push(task);
      run.changeTask(task, { status: 'running', attempts: 1 });
    }
    const names = { task_id: task.id, step_id: step.id, step_name: step.name, step_type: step.type };
    run.record('task.started', names);
    try {
      const outcome = await perform(step, task, line);
      const { writes, next } = outcome;
      run.changeTask(task, {
        status: 'completed',
        output_id: outcome.output_id ?? task.output_id,
        step: { ...task.step!, writes, next },
      });
      run.record('task.completed', { ...names, output_id: task.output_id });
      return outcome;
    } catch (error) {
      if (isCancellation(error)) throw error;
      const failure = stepFailure(step, error);
      run.changeTask(task, { status: 'failed', error: failure.message });
      run.record('task.failed', { ...names, error: failure.message });
      throw failure;
    }
  }

  async function perform(step: StepOutline, task: TaskState, line: Line): Promise<Outcome> {
    const work = { run_id, task_id: task.id, step_id: step.id, definition_hash, state: line.state };
    switch (step.type) {
      case 'agent':
      case 'llm':
        return agents.doByAgent(step, task, work);
      case 'tool':
        return agents.callForcedTool(step, task, work);
      case 'evaluator': {
        const { label, reasoning, warnings } = await makeCall((progress) =>
          routeStep.executeWithOptions(optionsOf(step, task), [{ ...work, progress }]),
        );
        warnings.forEach(run.warn);
        const writes = {
          ...written(step, { value: label }),
          [`_routing_decision_${step.id}`]: { value: label },
          [`_routing_reasoning_${step.id}`]: { text: reasoning.text_id },
        };
        return { writes, output_id: null, next: decide(step, task, { label, reasoning: reasoning.preview }) };
      }
      case 'parallel':
        return runBranches(step, task, line);
      case 'loop':
        return repeat(step, task, line);
      case 'human':
        return askPerson(step, task, line);
      case 'merge':
      case 'transform':
      case 'extract_json':
      case 'print': {
        const { output, warnings } = await run.carry((progress) =>
          computeStep.executeWithOptions(optionsOf(step, task), [{ ...work, progress }]),
        );
        warnings.forEach(run.warn);
        return outcomeOf(step, output);
      }
      case 'if_else':
      case 'switch': {
        const { output, decision = '' } = await run.carry((progress) =>
          computeStep.executeWithOptions(optionsOf(step, task), [{ ...work, progress }]),
        );
        const key = step.type === 'switch' ? `_switch_decision_${step.id}` : `_if_decision_${step.id}`;
        const writes = { ...written(step, output), [key]: { value: decision } };
        return { writes, output_id: idOf(output), next: decide(step, task, { label: decision }) };
      }
      case 'end':
        return { writes: {}, output_id: null, next: null };
    }
  }

  /** All branches at once, each with the state as it is here; what they write is merged in their order. */
  async function runBranches(step: StepOutline & { type: 'parallel' }, task: TaskState, line: Line): Promise<Outcome> {
    const { parallel_branches: branches, next_step_id } = step;
    const lines = branches.map((_, index): Line => ({
      path: `${task.step!.path}.${index}/`,
      state: { ...line.state },
      written: {},
    }));
    const about = { task_id: task.id, step_id: step.id, branch_count: branches.length };
    run.record('step.parallel_start', about);
    await Promise.all(
      branches.map(async (branch, index) => {
        run.record('step.branch_start', { ...about, branch_index: index, n: index });
        if (branch.length === 1) return follow(branch[0]!, lines[index]!, next_step_id);
        for (const [n, id] of branch.entries())
          await execute(steps.get(id)!, lines[index]!, `${lines[index]!.path}${n + 1}`);
      }),
    );
    run.record('step.parallel_complete', about);
    return { writes: Object.assign({}, ...lines.map(({ written: own }) => own)), output_id: null, next: next_step_id };
  }

  /** The body, again and again; then each of its outputs is the list of what it was each time. */
  async function repeat(step: StepOutline & { type: 'loop' }, task: TaskState, line: Line): Promise<Outcome> {
    const inner: Line = { path: '', state: { ...line.state }, written: {} };
    const iterations: Writes[] = [];
    for (let iteration = 1; iteration <= step.loop_count; iteration += 1) {
      run.record('step.loop_iteration', {
        task_id: task.id,
        step_id: step.id,
        iteration,
        total: step.loop_count,
        n: iteration,
      });
      inner.path = `${task.step!.path}.${iteration}/`;
      const results: Writes = {};
      for (const [n, id] of step.loop_step_ids.entries()) {
        const body = steps.get(id)!;
        const { writes } = await execute(body, inner, `${inner.path}${n + 1}`);
        if (body.output_key && writes[body.output_key]) results[id] = writes[body.output_key]!;
      }
      iterations.push(results);
    }
    run.record('step.loop_complete', { task_id: task.id, step_id: step.id, iterations_completed: step.loop_count });
    const work = { run_id, task_id: task.id, step_id: step.id, definition_hash, iterations };
    const collected = await run.carry((progress) =>
      collectLoop.executeWithOptions(optionsOf(step, task), [{ ...work, progress }]),
    );
    const writes = { ...inner.written, ...collected.writes };
    return { writes, output_id: idOf(collected.output), next: step.next_step_id };
  }

  async function askPerson(step: StepOutline & { type: 'human' }, task: TaskState, line: Line): Promise<Outcome> {
    const work = {
      run_id,
      task_id: task.id,
      step_id: step.id,
      definition_hash,
      state: line.state,
      last_output_id: lastOutput(),
    };
    // Accepted while the try before failed: it stands, and nobody is asked twice.
    const answered = run.state.tasks.find(
      ({ status, output_id, step: mark }) => status === 'skipped' && output_id && mark?.path === task.step!.path,
    );
    if (answered) return answerOf(step, answered.output_id!);
    if (task.gate?.status !== 'open')
      await run.carry((progress) => openForm.executeWithOptions(optionsOf(step, task), [{ ...work, progress }]));
    const due_in = step.human_timeout_seconds && step.human_timeout_seconds * 1_000;
    const policy = { ...noGatePolicy, due_in, on_timeout: 'reject' as const };
    const { output_id } = await gates.awaitAnswer(task, 'human_step', policy, null, step.human_fields);
    guards.restartClock();
    return answerOf(step, output_id!);
  }

  function decide(step: StepOutline, task: TaskState, choice: RouteChoice): string | null {
    const target_step_id = nextOf(step, choice.label);
    run.record(`step.${step.type}_decision`, { task_id: task.id, step_id: step.id, ...choice, target_step_id });
    return target_step_id;
  }

  /** The newest output that stands in the state; what a person answers is none. */
  function lastOutput(): string | null {
    const last = run.state.tasks.findLast(
      ({ status, kind, output_id, step }) =>
        status === 'completed' && kind !== 'human' && output_id && step?.output_key,
    );
    return last?.output_id ?? null;
  }
}

function isOpen(status: TaskState['status']): boolean {
  return status === 'running' || status === 'waiting_human';
}

function isDone({ status, step }: TaskState): boolean {
  return status === 'completed' && step !== undefined;
}
