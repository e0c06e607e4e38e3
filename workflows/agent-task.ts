import { agentLoop } from './agent.ts';
import type { createGates } from './gate.ts';
import type { History } from './history.ts';
import { noGatePolicy } from './contract/gate-rules.ts';
import type { RunInput } from './contract/inputs.ts';
import type { TaskProgress, TaskState } from './contract/states.ts';
import type { createModelCalls } from './model-calls.ts';
import { outputsBefore } from './contract/plan.ts';
import type { ProgressTracker } from './progress.ts';
import { evaluateTask, executeTask, refusal } from './model-activities.ts';

const maxEvaluationRetries = 2;

/** How agents do tasks. `works` has what is known of each, and comes along when the run continues as new. */
export function createAgents(
  input: RunInput,
  run: ProgressTracker,
  gates: ReturnType<typeof createGates>,
  makeCall: ReturnType<typeof createModelCalls>,
  history: History,
  works: Map<string, TaskProgress>,
) {
  const policy = input.gate_policy ?? noGatePolicy;

  /** Execute, evaluate, again with the feedback; then a person decides, who may send it back as often as they like. */
  async function doByAgent(task: TaskState): Promise<void> {
    const work = works.get(task.id) ?? { failures: 0, feedback_id: null, trouble: null, is_underway: false };
    works.set(task.id, work);
    for (;;) {
      // At a gate of a tool call it is in the middle of an attempt.
      if (task.gate?.status !== 'open' || task.gate.kind === 'tool_approval') {
        if (history.isLong()) await history.toContinue();
        work.trouble = await attempt(task, work);
        const { trouble, failures } = work;
        if (trouble?.feedback_id && failures < maxEvaluationRetries) {
          work.failures += 1;
          work.feedback_id = trouble.feedback_id;
          run.record('task.retrying', { task_id: task.id, attempt: task.attempts, reason: trouble.reason });
          continue;
        }
        if (!trouble && !input.require_approval) return run.complete(task, task.output_id);
      }

      const { trouble } = work;
      const answer = await gates.awaitAnswer(task, trouble ? 'escalation' : 'approval', policy, trouble?.reason);
      if (answer.decision === 'edit') return run.complete(task, answer.output_id);
      if (answer.decision === 'approve') return run.complete(task, (trouble && answer.output_id) || task.output_id);
      work.failures = 0;
      // A retry keeps the feedback that it was asked to answer.
      if (answer.decision === 'reject') work.feedback_id = answer.output_id;
      else work.feedback_id = trouble?.feedback_id ?? work.feedback_id;
    }
  }

  /** One execution and its evaluation. Returns what is wrong with it, or null when it is good. */
  async function attempt(task: TaskState, work: TaskProgress): Promise<TaskProgress['trouble']> {
    const { feedback_id } = work;
    // The same when it is taken up again: answers that were paid for are found by it.
    const attempt = work.is_underway ? task.attempts : task.attempts + 1;
    if (!work.is_underway || !work.loop) work.loop = { turn: 1, pending: [], draft_id: task.output_id };
    const { loop } = work;
    work.is_underway = true;
    const status = task.gate?.status === 'open' ? 'waiting_human' : 'running';
    run.changeTask(task, { status, attempts: attempt, error: null, evaluation: null });
    run.record('task.started', { task_id: task.id, agent: task.agent, attempt });
    const call = { run_id: input.run_id, task_id: task.id, attempt, agent: task.agent! };
    const inputs = outputsBefore(run.state.tasks, task);
    const label = `${task.id} ${task.agent}: ${task.title}${attempt > 1 ? `, attempt ${attempt}` : ''}`;
    const previous_output_id = feedback_id ? loop.draft_id : null;
    try {
      const takeTurn = (turn: number) =>
        makeCall((progress) =>
          executeTask.executeWithOptions({ summary: turn > 1 ? `${label}, turn ${turn}` : label }, [
            { ...call, inputs, feedback_id, previous_output_id, turn, progress },
          ]),
        );
      const result = await agentLoop({ run, gates, policy, history, task, loop }, takeTurn);
      run.changeTask(task, { output_id: result.output_id });
      const evaluation = await makeCall((progress) =>
        evaluateTask.executeWithOptions({ summary: `Evaluate ${label}` }, [
          { ...call, output_id: result.output_id, progress },
        ]),
      );
      evaluation.warnings.forEach(run.warn);
      const { passed, score, feedback } = evaluation;
      run.changeTask(task, { evaluation: { passed, score, feedback } });
      return passed ? null : { reason: `The evaluation says: ${feedback}`, feedback_id: evaluation.feedback_id };
    } catch (error) {
      const reason = refusal(error);
      run.changeTask(task, { error: reason });
      return { reason };
    } finally {
      work.is_underway = false;
    }
  }

  return doByAgent;
}
