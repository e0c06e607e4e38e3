import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import { exampleOf } from './contract/form.ts';
import { describeGate } from './contract/gate-rules.ts';
import { jsonBlock, plain } from './contract/markdown.ts';
import type { GateState, RunState, RunStatus, TaskState } from './contract/states.ts';
import { waitingTasks } from './state.ts';

/** What operators see of a run in the Temporal Web UI, and find it by. */

const statusAttribute = defineSearchAttributeKey('OrchflowStatus', 'KEYWORD');
const waitingAttribute = defineSearchAttributeKey('OrchflowWaitingTasks', 'KEYWORD_LIST');

/** What the search attributes say. */
export type Shown = { status: RunStatus; waiting: string };

export type ShownRun = { readonly state: RunState; readonly shown: Shown };

/** What Temporal knows of a run when it starts. */
export function nothingShown(): Shown {
  return { status: 'pending', waiting: '' };
}

/** Shows a run as it is. The search attributes are in its history, so they are set only when they say something else. */
export function showToOperators({ state, shown }: ShownRun): void {
  setCurrentDetails(describeRun(state));
  const waiting = firstOf(waitingTasks(state));
  if (shown.status === state.status && shown.waiting === waiting.join()) return;
  Object.assign(shown, { status: state.status, waiting: waiting.join() });
  upsertSearchAttributes([
    { key: statusAttribute, value: state.status },
    { key: waitingAttribute, value: waiting },
  ]);
}

/** In bytes: of a list with more than 2,048 the server terminates the run (Temporal 1.29.1). Ids are ASCII. */
const maxList = 2_000;

/** As many of the first as there is room for. */
function firstOf(ids: string[]): string[] {
  const count = ids.findIndex((_, index) => JSON.stringify(ids.slice(0, index + 1)).length > maxList);
  return count < 0 ? ids : ids.slice(0, count);
}

/** The run as Markdown, for "Current Details". */
function describeRun(state: RunState): string {
  const warnings = state.warnings.map((text) => `- ${plain(text)}`).join('\n');
  return [
    `**${state.status.replaceAll('_', ' ')}** · phase ${state.phase}${state.error ? ` · ${plain(state.error)}` : ''}`,
    ...howToAnswer(state.tasks),
    ...taskTable(state.tasks),
    ...(warnings ? [`**Warnings**\n\n${warnings}`] : []),
    // The Web UI cuts the panel a little short.
    '\u00A0',
  ].join('\n\n');
}

function statusOf(task: TaskState): string {
  if (task.gate?.status === 'open') return `waits for ${describeGate(task.gate.kind)}`;
  return task.status.replaceAll('_', ' ');
}

/** In characters. The Web UI puts the whole text into a URL, and shows an error from about a million (2.42.1). */
const maxHints = 100_000;

/** Who is waited for and how to answer, of as many as there is room for. */
function howToAnswer(tasks: TaskState[]): string[] {
  const waiting = tasks.flatMap((task) => (task.gate?.status === 'open' ? [hintOf(task, task.gate)] : []));
  const shown: string[] = [];
  let length = 0;
  for (const hint of waiting) {
    length += hint.length;
    if (length >= maxHints) break;
    shown.push(hint);
  }
  const left = waiting.length - shown.length;
  return left > 0 ? [...shown, `${left} more wait; the query \`waitingTasks\` has them.`] : shown;
}

function hintOf({ id, title }: TaskState, gate: GateState): string {
  const reason = gate.reason ? ` Reason: ${plain(gate.reason)}` : '';
  const due = gate.due_at ? ` Due: ${gate.due_at}.` : '';
  return [
    `**${plain(`${id} ${title}`)}** waits for ${describeGate(gate.kind)}.${reason}${due}`,
    `Decisions: ${gate.decisions.join(', ')}. Answer over REST, or send the signal \`completeTask\`, for example with`,
    jsonBlock({ task_id: id, ...exampleAnswer(gate) }),
  ].join('\n\n');
}

/** An answer that the gate takes as it stands. */
function exampleAnswer({ kind, decisions, fields = [] }: GateState): object {
  const output = 'your text';
  switch (kind) {
    case 'context':
    case 'human_task':
      return { output };
    case 'human_step':
      return {
        output: fields.length > 0 ? Object.fromEntries(fields.map((field) => [field.name, exampleOf(field)])) : output,
      };
    case 'escalation':
      return { decision: decisions.includes('retry') ? 'retry' : decisions[0] };
    case 'approval':
    case 'tool_approval':
    case 'budget':
      return { decision: decisions[0] };
  }
}

/** The Web UI draws tables without any space between their columns. */
function row(cells: (string | number)[]): string {
  return `| ${cells.map((text) => `${text}\u2003`).join(' | ')} |`;
}

function taskTable(tasks: TaskState[]): string[] {
  if (tasks.length === 0) return [];
  const head = ['Task', 'Title', 'Status', 'Agent', 'Attempts', 'After'];
  const rows = tasks.map((task) => [
    plain(task.id),
    plain(task.title),
    statusOf(task),
    plain(task.agent ?? (task.kind === 'human' ? 'a person' : (task.step?.type ?? '–'))),
    task.attempts,
    plain(task.depends_on.join(', ')) || '–',
  ]);
  return [[row(head), `|${' :--- |'.repeat(head.length)}`, ...rows.map(row)].join('\n')];
}
