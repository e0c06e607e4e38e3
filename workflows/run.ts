import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  proxyActivities,
  setHandler,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import { createGates } from './gate.ts';
import { withoutApproval } from './gate-policy.ts';
import { topologicalOrder } from './graph.ts';
import { noGatePolicy, runStateQuery, waitingTasksQuery } from './messages.ts';
import type { PlannedTask, RunInput, RunResult, TaskState } from './messages.ts';
import { createModelCalls } from './model-calls.ts';
import { connectTasks, finalOutputTask, outline, outputsBefore } from './plan.ts';
import { trackProgress } from './progress.ts';
import { createWebhooks } from './webhook.ts';

const { splitTasks, inferDeps, executeTask, evaluateTask, finalizeRun } = proxyActivities<Activities>({
  // The activity bounds each model call itself; a lost worker is noticed by its missing heartbeats.
  startToCloseTimeout: '30 minutes',
  heartbeatTimeout: '6s',
  // About a day of failures. Not a time: a server that was switched off over a weekend has lost none of its runs.
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1 minute', maximumAttempts: 1_440 },
  cancellationType: 'TRY_CANCEL',
});

const maxEvaluationRetries = 2;

/**
 * One run, from goal to final output: plan -> execute -> finalize. Lasts as long as people take to answer.
 * Ends `failed` only when nothing could be planned, for its budget, or for a gate that nobody answers when the run's terms
 * say so; other trouble waits for a person instead.
 */
export async function orchflowRun(input: RunInput): Promise<RunResult> {
  const { run_id } = input;
  const run = trackProgress(run_id);
  const webhooks = createWebhooks(run_id, input.has_webhook);
  const gates = createGates(run, webhooks);
  const gatePolicy = input.gate_policy ?? noGatePolicy;
  const makeCall = createModelCalls(run, gates, input.on_budget, gatePolicy);
  const work = new CancellationScope();
  /** The tasks of the plan, by id. */
  const planned = new Map<string, PlannedTask>();

  setHandler(runStateQuery, () => run.state, { description: 'Status, phase, tasks and warnings of the run.' });
  setHandler(waitingTasksQuery, gates.openGates, {
    description: 'The gates that wait for a person now, with the task, the kind and the reason of each.',
  });

  try {
    await plan().catch((error) => {
      throw ApplicationFailure.nonRetryable(refusal(error), 'PlanningFailed');
    });
    await work.run(execute);
    run.changeRun({ final_output_id: await finalize(), phase: 'done', status: 'completed' });
    run.record('run.completed');
    // Cancelled in Postgres before it could complete there: the request is on its way here.
    if ((await run.saved()) === 'cancelled') await CancellationScope.current().cancelRequested;
    webhooks.send('completed', []);
    return { status: 'completed', final_output_id: run.state.final_output_id, error: null };
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(cancel);
    else if (error instanceof ApplicationFailure) await fail(error);
    throw error;
  } finally {
    await webhooks.started();
  }

  async function plan(): Promise<void> {
    run.changeRun({ phase: 'split_tasks' });
    run.record('run.started', { phase: 'split_tasks' });
    const split = await makeCall((progress) =>
      splitTasks.executeWithOptions({ summary: 'Split the goal into tasks' }, [{ run_id, progress }]),
    );
    split.warnings.forEach(run.warn);

    // Readers see the tasks from here on, so they end with the run also when it ends before they are connected.
    run.state.tasks = connectTasks(split.tasks, [], input.agents);
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
    run.state.tasks = connectTasks(split.tasks, inferred.dependencies, input.agents);
    for (const task of run.state.tasks) run.changeTask(task, {});
    for (const task of split.tasks) planned.set(task.id, task);
    run.record('run.planned', { tasks: run.state.tasks.map(outline) });
  }

  /** Every task starts as soon as the tasks that it depends on are done. */
  async function execute(): Promise<void> {
    const { tasks } = run.state;
    run.changeRun({ phase: 'execute' });
    run.record('run.phase', { phase: 'execute' });
    const done = new Map<string, Promise<void>>();
    for (const id of topologicalOrder(tasks)!) {
      const task = tasks.find((candidate) => candidate.id === id)!;
      const before = Promise.all(task.depends_on.map((dependency) => done.get(dependency)!));
      done.set(
        id,
        before.then(() => (task.kind === 'human' ? doByPerson(task) : doByAgent(task))),
      );
    }
    await Promise.all(done.values());
  }

  async function doByPerson(task: TaskState): Promise<void> {
    const { place, human_gate } = planned.get(task.id)!;
    const policy = input.human_gate_policies?.[human_gate ?? -1] ?? gatePolicy;
    const answer = await gates.awaitAnswer(task, place === 'start' ? 'context' : 'human_task', policy);
    complete(task, answer.output_id);
  }

  /** Execute, evaluate, again with the feedback; then a person decides, who may send it back as often as they like. */
  async function doByAgent(task: TaskState): Promise<void> {
    let feedback_id: string | null = null;
    for (let failures = 0; ;) {
      const trouble = await attempt(task, feedback_id);
      if (trouble?.feedback_id && failures < maxEvaluationRetries) {
        failures += 1;
        feedback_id = trouble.feedback_id;
        run.record('task.retrying', { task_id: task.id, attempt: task.attempts, reason: trouble.reason });
        continue;
      }
      if (!trouble && !input.require_approval) return complete(task, task.output_id);

      const answer = await gates.awaitAnswer(task, trouble ? 'escalation' : 'approval', gatePolicy, trouble?.reason);
      if (answer.decision === 'edit') return complete(task, answer.output_id);
      if (answer.decision === 'approve') return complete(task, (trouble && answer.output_id) || task.output_id);
      failures = 0;
      // A retry keeps the feedback that it was asked to answer.
      feedback_id = answer.decision === 'reject' ? answer.output_id : (trouble?.feedback_id ?? feedback_id);
    }
  }

  /** One execution and its evaluation. Returns what is wrong with it, or undefined when it is good. */
  async function attempt(
    task: TaskState,
    feedback_id: string | null,
  ): Promise<{ reason: string; feedback_id?: string } | undefined> {
    const previous_output_id = feedback_id ? task.output_id : null;
    const attempt = task.attempts + 1;
    run.changeTask(task, { status: 'running', attempts: attempt, error: null, evaluation: null });
    run.record('task.started', { task_id: task.id, agent: task.agent, attempt });
    const call = { run_id, task_id: task.id, attempt, agent: task.agent! };
    const inputs = outputsBefore(run.state.tasks, task);
    const label = `${task.id} ${task.agent}: ${task.title}${attempt > 1 ? `, attempt ${attempt}` : ''}`;
    try {
      const result = await makeCall((progress) =>
        executeTask.executeWithOptions({ summary: label }, [
          { ...call, inputs, feedback_id, previous_output_id, progress },
        ]),
      );
      result.warnings.forEach(run.warn);
      run.changeTask(task, { output_id: result.output_id });
      const evaluation = await makeCall((progress) =>
        evaluateTask.executeWithOptions({ summary: `Evaluate ${label}` }, [
          { ...call, output_id: result.output_id, progress },
        ]),
      );
      evaluation.warnings.forEach(run.warn);
      const { passed, score, feedback } = evaluation;
      run.changeTask(task, { evaluation: { passed, score, feedback } });
      return passed ? undefined : { reason: `The evaluation says: ${feedback}`, feedback_id: evaluation.feedback_id };
    } catch (error) {
      const reason = refusal(error);
      run.changeTask(task, { error: reason });
      return { reason };
    }
  }

  function complete(task: TaskState, output_id: string | null): void {
    run.changeTask(task, { status: 'completed', output_id, error: null });
    run.record('task.completed', { task_id: task.id, output_id });
  }

  /** One coherent result of all outputs. When the model refuses for good, a person sends it, or mends the provider. */
  async function finalize(): Promise<string> {
    run.changeRun({ phase: 'finalize' });
    run.record('run.phase', { phase: 'finalize' });
    const { tasks } = run.state;
    const outputs = tasks.map(({ id, output_id }) => ({ task_id: id, output_id }));
    let escalation: TaskState | undefined;
    for (let attempt = 1; ; attempt += 1) {
      const summary = `Write the final output${attempt > 1 ? `, attempt ${attempt}` : ''}`;
      try {
        const result = await makeCall((progress) =>
          finalizeRun.executeWithOptions({ summary }, [{ run_id, attempt, outputs, progress }]),
        );
        result.warnings.forEach(run.warn);
        if (escalation) complete(escalation, result.output_id);
        return result.output_id;
      } catch (error) {
        const reason = refusal(error);
        if (!escalation) {
          escalation = finalOutputTask(tasks);
          tasks.push(escalation);
        }
        const policy = withoutApproval(gatePolicy);
        const { decision, output_id } = await gates.awaitAnswer(escalation, 'escalation', policy, reason);
        if (output_id && (decision === 'approve' || decision === 'edit')) {
          complete(escalation, output_id);
          return output_id;
        }
        // What a person wants done differently is material like any other answer.
        if (output_id) outputs.push({ task_id: escalation.id, output_id });
      }
    }
  }

  async function cancel(): Promise<void> {
    end('cancelled');
    run.changeRun({ status: 'cancelled' });
    run.record('run.cancelled');
    await run.saved();
    webhooks.send('cancelled', []);
  }

  async function fail(failure: ApplicationFailure): Promise<void> {
    work.cancel();
    end('skipped');
    run.changeRun({ status: 'failed', error: failure.message });
    run.record('run.failed', { error: failure.message });
    await run.saved();
    webhooks.send('failed', []);
  }

  /** Closes what is still open when the run ends early. */
  function end(status: 'cancelled' | 'skipped'): void {
    for (const task of run.state.tasks) {
      if (task.status === 'completed') continue;
      if (task.gate?.status === 'open') task.gate.status = 'closed';
      run.changeTask(task, { status });
    }
  }
}

/** Why the activity gave up, in a sentence. Cancellations, and faults of our own code, go on upwards. */
function refusal(error: unknown): string {
  if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
  return error.cause?.message ?? error.message;
}
