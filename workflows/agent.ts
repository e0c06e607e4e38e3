import type { createGates } from './gate.ts';
import type { History } from './history.ts';
import type { GatePolicy } from './contract/gate-rules.ts';
import type { AgentLoop, TaskState, ToolRequest } from './contract/states.ts';
import type { ProgressTracker } from './progress.ts';
import { callTool } from './model-activities.ts';

/** What one turn of an agent came to. Without `calls` it has no tools; with some, it goes on when they are made. */
type Turn = { output_id: string; warnings: string[]; preview?: string; calls?: ToolRequest[] };

export type Agent = {
  run: ProgressTracker;
  gates: ReturnType<typeof createGates>;
  /** Of the gates at which people approve tool calls. */
  policy: GatePolicy;
  history: History;
  task: TaskState;
  /** How far it is; comes along when the run continues as new. */
  loop: AgentLoop;
};

/**
 * An agent at work: turns of its model and calls of its tools, until it answers without calling one. Each turn and each
 * call is an activity of its own, so that a crash repeats one of them and not the loop; the conversation is in Postgres.
 * `takeTurn` is the activity that knows the prompt and the last turn. Returns the turn that is the answer.
 */
export async function agentLoop<T extends Turn>(agent: Agent, takeTurn: (turn: number) => Promise<T>): Promise<T> {
  const { run, history, task, loop } = agent;
  for (;;) {
    if (loop.pending.length) await makePendingCalls(agent);
    if (loop.turn > 1 && history.isLong()) await history.toContinue();
    const turn = await takeTurn(loop.turn);
    turn.warnings.forEach(run.warn);
    if (!turn.calls) return turn;
    const { output_id, preview } = turn;
    run.record('agent.turn', { ...namesOf(task), attempt: task.attempts, turn: loop.turn, output_id, preview });
    if (turn.calls.length === 0) return turn;
    loop.pending = turn.calls;
    loop.turn += 1;
  }
}

/** Those that nobody need approve at the same time; the others one after another, for a task has one gate at a time. */
async function makePendingCalls(agent: Agent): Promise<void> {
  const { loop } = agent;
  const free = loop.pending.filter((call) => !call.arguments_id);
  await Promise.all(free.map((call) => makeToolCall(agent, call)));
  loop.pending = loop.pending.filter((call) => call.arguments_id);
  for (; loop.pending.length; loop.pending = loop.pending.slice(1)) await makeToolCall(agent, loop.pending[0]!);
}

/** One call, approved first where that is asked for. Its result, also that it failed or was refused, is in the journal. */
export async function makeToolCall(agent: Agent, call: ToolRequest) {
  const { run, task } = agent;
  const { answer_id, position, tool, preview } = call;
  const event = { ...namesOf(task), call_id: `${answer_id}/${position}`, tool_name: tool };
  const ruling = call.arguments_id ? await askPerson(agent, tool, call.arguments_id) : {};
  const is_refused = 'refused_id' in ruling;
  if (!is_refused) run.record('tool.called', { ...event, args: preview });
  const result = await run.carry((progress) =>
    callTool.executeWithOptions({ summary: `${task.agent ? `${task.id} ${task.agent}` : task.id}: ${tool}` }, [
      { run_id: run.state.run_id, answer_id, position, ...ruling, progress },
    ]),
  );
  run.record('tool.result', { ...event, is_error: result.is_error, preview: result.preview });
  return { ...result, is_refused };
}

/** A task that is a step of an orchestration has two names. */
function namesOf({ id: task_id, title, step }: TaskState) {
  return step ? { task_id, step_id: step.step_id, step_name: title } : { task_id };
}

type Ruling = { edited_id?: string | null } | { refused_id: string | null };

/** The gate shows the arguments as the task's draft, which is what `edit` replaces. */
async function askPerson(agent: Agent, tool: string, arguments_id: string): Promise<Ruling> {
  const { run, gates, policy, task, loop } = agent;
  if (task.gate?.status !== 'open') run.changeTask(task, { output_id: arguments_id });
  const reason = `${task.agent ?? task.title} wants to call the tool ${tool}. Its arguments are the draft.`;
  const { decision, output_id } = await gates.awaitAnswer(task, 'tool_approval', policy, reason);
  run.changeTask(task, { output_id: loop.draft_id });
  if (decision === 'reject') return { refused_id: output_id };
  return decision === 'edit' ? { edited_id: output_id } : {};
}
