import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import { describeGate } from './contract/gate-rules.ts';
import type { RunState, RunStatus, TaskState } from './contract/states.ts';
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
    ...state.tasks.flatMap(howToAnswer),
    ...taskTable(state.tasks),
    ...(warnings ? [`**Warnings**\n\n${warnings}`] : []),
    // The Web UI cuts the panel a little short.
    '\u00A0',
  ].join('\n\n');
}

/** Plain text inside Markdown. The Web UI drops what stands between braces, also in code. */
function plain(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll(/[|{}<>`*_]/g, (character) => `&#${character.codePointAt(0)};`);
}

function statusOf(task: TaskState): string {
  if (task.gate?.status === 'open') return `waits for ${describeGate(task.gate.kind)}`;
  return task.status.replaceAll('_', ' ');
}

function howToAnswer({ id, title, gate }: TaskState): string[] {
  if (gate?.status !== 'open') return [];
  const members = `"task_id": "${id}", "decision": "${gate.decisions[0]}", "output": "your text"`;
  return [
    `**${id} ${plain(title)}** waits for ${describeGate(gate.kind)}.${gate.reason ? ` Reason: ${plain(gate.reason)}` : ''}${gate.due_at ? ` Due: ${gate.due_at}.` : ''}`,
    `Decisions: ${gate.decisions.join(', ')}. Answer over REST, or send the signal \`completeTask\` with &#123; \`${members}\` &#125;`,
  ];
}

/** The Web UI draws tables without any space between their columns. */
function row(cells: (string | number)[]): string {
  return `| ${cells.map((text) => `${text}\u2003`).join(' | ')} |`;
}

function taskTable(tasks: TaskState[]): string[] {
  if (tasks.length === 0) return [];
  const head = ['Task', 'Title', 'Status', 'Agent', 'Attempts', 'After'];
  const rows = tasks.map((task) => [
    task.id,
    plain(task.title),
    statusOf(task),
    plain(task.agent ?? (task.kind === 'human' ? 'a person' : (task.step?.type ?? '–'))),
    task.attempts,
    task.depends_on.join(', ') || '–',
  ]);
  return [[row(head), `|${' :--- |'.repeat(head.length)}`, ...rows.map(row)].join('\n')];
}
