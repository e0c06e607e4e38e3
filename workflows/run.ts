import { ApplicationFailure, continueAsNew, setHandler } from '@temporalio/workflow';
import { createAgents } from './agent-task.ts';
import { withoutApproval } from './gate-policy.ts';
import { toTheEnd } from './ending.ts';
import { createGates } from './gate.ts';
import { topologicalOrder } from './contract/graph.ts';
import { watchHistory } from './history.ts';
import { noGatePolicy } from './contract/gate-rules.ts';
import { runStateQuery, waitingTasksQuery } from './messages.ts';
import type { PlannedTask, RunInput, RunResult, TakenTask } from './contract/inputs.ts';
import type { TaskState } from './contract/states.ts';
import { createModelCalls } from './model-calls.ts';
import { connectTasks, finalOutputTask, isBudgetTask, outline, takenTask } from './contract/plan.ts';
import { trackProgress } from './progress.ts';
import { finalizeRun, inferDeps, refusal, splitTasks } from './model-activities.ts';
import { createWebhooks } from './webhook.ts';

/**
 * One run, from goal to final output: plan -> execute -> finalize. Lasts as long as people take to answer.
 * Ends `failed` only when nothing could be planned, for its budget, or for a gate that nobody answers when the run's terms
 * say so; other trouble waits for a person instead. When its history has grown long it continues as new, with `carried`.
 */
export async function orchflowRun(input: RunInput): Promise<RunResult> {
  const { run_id, carried: before } = input;
  const run = trackProgress(run_id, before);
  const webhooks = createWebhooks(run_id, input.has_webhook, before?.webhooks);
  const gates = createGates(run, webhooks, before);
  const gatePolicy = input.gate_policy ?? noGatePolicy;
  const makeCall = createModelCalls(run, gates, input.on_budget, gatePolicy);
  const history = watchHistory(input.history_limit);
  const works = new Map(before?.works);
  const doByAgent = createAgents(input, run, gates, makeCall, history, works);
  /** The tasks of the plan, by id. */
  const planned = new Map<string, PlannedTask>(before?.planned.map((task) => [task.id, task]));
  const finalWork = before?.final_work ?? { attempt: 1, remarks: [] };

  setHandler(runStateQuery, () => run.state, { description: 'Status, phase, tasks and warnings of the run.' });
  setHandler(waitingTasksQuery, gates.openGates, {
    description: 'The gates that wait for a person now, with the task, the kind and the reason of each.',
  });

  return toTheEnd({ run, webhooks, gates, history }, tell, (carried) => {
    const plan = { planned: [...planned.values()], works: [...works], final_work: finalWork };
    return continueAsNew<typeof orchflowRun>({ ...input, carried: { ...carried, ...plan } });
  });

  /** The story itself. A run that continues as new takes it up where it was. */
  async function tell(): Promise<void> {
    if (planned.size === 0 && input.plan) takeOver(input.plan);
    else if (planned.size === 0) {
      await plan().catch((error) => {
        throw ApplicationFailure.nonRetryable(refusal(error), 'PlanningFailed');
      });
    }
    if (run.state.phase !== 'finalize') await execute();
    run.changeRun({ final_output_id: await finalize(), phase: 'done', status: 'completed' });
  }

  async function plan(): Promise<void> {
    run.changeRun({ phase: 'split_tasks' });
    run.record('run.started', { phase: 'split_tasks' });
    const split = await makeCall((progress) =>
      splitTasks.executeWithOptions({ summary: 'Split the goal into tasks' }, [{ run_id, progress }]),
    );
    split.warnings.forEach(run.warn);

    // Readers see the tasks from here on, so they end with the run also when it ends before they are connected.
    run.state.tasks = [...connectTasks(split.tasks, [], input.agents), ...run.state.tasks.filter(isBudgetTask)];
    run.changeRun({ phase: 'infer_deps' });
    run.record('run.phase', { phase: 'infer_deps' });
    const between = split.tasks.filter((task) => task.place === 'planned');
    const inferred = await makeCall((progress) =>
      inferDeps.executeWithOptions({ summary: `Infer the dependencies of ${between.length} tasks` }, [
        { run_id, tasks: between.map(({ id, title }) => ({ id, title })), progress },
      ]),
    );
    inferred.warnings.forEach(run.warn);

    run.changeRun({ phase: 'assign_agents' });
    usePlan(split.tasks, connectTasks(split.tasks, inferred.dependencies, input.agents));
  }

  /** The plan of another run. Its outputs that stand are completed tasks here. */
  function takeOver(tasks: TakenTask[]): void {
    run.record('run.started', { phase: 'execute' });
    usePlan(tasks, tasks.map(takenTask));
  }

  function usePlan(plan: PlannedTask[], tasks: TaskState[]): void {
    for (const task of plan) planned.set(task.id, task);
    run.state.tasks = [...tasks, ...run.state.tasks.filter(isBudgetTask)];
    for (const task of tasks) run.changeTask(task, {});
    run.record('run.planned', { tasks: tasks.map(outline) });
  }

  /** Every task starts as soon as the tasks that it depends on are done. */
  async function execute(): Promise<void> {
    run.changeRun({ phase: 'execute' });
    run.record('run.phase', { phase: 'execute' });
    const tasks = plannedTasks();
    const done = new Map<string, Promise<void>>();
    for (const id of topologicalOrder(tasks)!) {
      const task = tasks.find((candidate) => candidate.id === id)!;
      const before = Promise.all(task.depends_on.map((dependency) => done.get(dependency)!));
      done.set(
        id,
        before.then(() => doTask(task)),
      );
    }
    await Promise.all(done.values());
  }

  async function doTask(task: TaskState): Promise<void> {
    if (task.status === 'completed') return;
    await (task.kind === 'human' ? doByPerson(task) : doByAgent(task));
  }

  async function doByPerson(task: TaskState): Promise<void> {
    const { place, human_gate } = planned.get(task.id)!;
    const policy = input.human_gate_policies?.[human_gate ?? -1] ?? gatePolicy;
    const answer = await gates.awaitAnswer(task, place === 'start' ? 'context' : 'human_task', policy);
    run.complete(task, answer.output_id);
  }

  /** One coherent result of all outputs. When the model refuses for good, a person sends it, or mends the provider. */
  async function finalize(): Promise<string> {
    run.changeRun({ phase: 'finalize' });
    run.record('run.phase', { phase: 'finalize' });
    const helped = finalOutputTask(plannedTasks());
    const task = run.state.tasks.find(({ id }) => id === helped.id) ?? helped;
    for (;;) {
      let reason: string | null = null;
      if (task.gate?.status !== 'open') {
        if (history.isLong()) await history.toContinue();
        const written = await writeFinalOutput(task.id);
        if ('output_id' in written) {
          if (task.gate) run.complete(task, written.output_id);
          return written.output_id;
        }
        ({ reason } = written);
        if (!task.gate) run.state.tasks.push(task);
      }
      const { decision, output_id } = await gates.awaitAnswer(task, 'escalation', withoutApproval(gatePolicy), reason);
      if (output_id && (decision === 'approve' || decision === 'edit')) {
        run.complete(task, output_id);
        return output_id;
      }
      // What a person wants done differently is material like any other answer.
      if (output_id) finalWork.remarks.push(output_id);
      finalWork.attempt += 1;
    }
  }

  async function writeFinalOutput(task_id: string): Promise<{ output_id: string } | { reason: string }> {
    const { attempt, remarks } = finalWork;
    const outputs = [
      ...plannedTasks().map(({ id, output_id }) => ({ task_id: id, output_id })),
      ...remarks.map((output_id) => ({ task_id, output_id })),
    ];
    const summary = `Write the final output${attempt > 1 ? `, attempt ${attempt}` : ''}`;
    try {
      const { output_id, warnings, status } = await makeCall((progress) =>
        finalizeRun.executeWithOptions({ summary }, [
          // Where a person has helped, the task of that person is completed first.
          { run_id, attempt, outputs, completes: attempt === 1, progress },
        ]),
      );
      if (status) run.endSaved(status);
      warnings.forEach(run.warn);
      return { output_id };
    } catch (error) {
      return { reason: refusal(error) };
    }
  }

  /** Without those in which a person helps with the budget or the final output. */
  function plannedTasks(): TaskState[] {
    return run.state.tasks.filter(({ id }) => planned.has(id));
  }
}
