import type { AgentLoop, TaskState, ToolRequest } from './contract/states.ts';
import { awaitAnswer } from './gate.ts';
import { restWhenLong } from './history.ts';
import { callTool, type Turn } from './model-activities.ts';
import type { RunContext } from './run-context.ts';
import { changeTask, record, warn } from './state.ts';

/** An agent at work on a task of its run. */
export type Agent = {
  run: RunContext;
  task: TaskState;
  /** How far it is; comes along when the run continues as new. */
  loop: AgentLoop;
};

/**
 * An agent at work: turns of its model and calls of its tools, until it answers without calling one. Each turn and each
 * call is an activity of its own, so that a crash repeats one of them and not the loop; the conversation is in Postgres.
 * `takeTurn` is the activity that knows the prompt and the last turn. Returns the turn that is the answer.
 */
export async function agentLoop<T extends Turn>(agent: Agent, takeTurn: () => Promise<T>): Promise<T> {
  const { run, task, loop } = agent;
  for (;;) {
    if (loop.pending.length) await makePendingCalls(agent);
    if (loop.turn > 1) restWhenLong(run);
    const turn = await takeTurn();
    warn(run, ...turn.warnings);
    if (!turn.calls) return turn;
    const { output_id, preview } = turn;
    record(run, 'agent.turn', { ...namesOf(task), attempt: task.attempts, turn: loop.turn, output_id, preview });
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
  // What a person wrote in place of the arguments is in Postgres, which puts it into the event.
  const sent = 'edited_id' in ruling && ruling.edited_id ? { args_id: ruling.edited_id } : {};
  if (!is_refused) record(run, 'tool.called', { ...event, args: preview, ...sent });
  const result = await callTool(run, task, call, ruling);
  record(run, 'tool.result', { ...event, is_error: result.is_error, preview: result.preview });
  return { ...result, is_refused };
}

/** A task that is a step of an orchestration has two names. */
function namesOf({ id: task_id, title, step }: TaskState) {
  return step ? { task_id, step_id: step.step_id, step_name: title } : { task_id };
}

type Ruling = { gate_id?: string; edited_id?: string | null } | { refused_id: string | null };

/** The gate shows the arguments as the task's draft, which is what `edit` replaces. */
async function askPerson({ run, task, loop }: Agent, tool: string, arguments_id: string): Promise<Ruling> {
  if (task.gate?.status !== 'open') changeTask(run, task, { output_id: arguments_id });
  const reason = `${task.agent ?? task.title} wants to call the tool ${tool}. Its arguments are the draft.`;
  const question = { kind: 'tool_approval' as const, policy: () => run.terms.gate_policy, reason };
  const { decision, output_id } = await awaitAnswer(run, task, question);
  changeTask(run, task, { output_id: loop.draft_id });
  if (decision === 'reject') return { refused_id: output_id };
  const { gate_id } = task.gate!;
  return decision === 'edit' ? { gate_id, edited_id: output_id } : { gate_id };
}
