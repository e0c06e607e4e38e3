import { CancellationScope, condition, setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import { exampleOf } from './contract/field-values.ts';
import { describeGate } from './contract/gate-rules.ts';
import { jsonBlock, plain } from './contract/markdown.ts';
import type { GateState, RunState, RunStatus, TaskState } from './contract/states.ts';
import { waitingTasks } from './state.ts';

/** What operators see of a run in the Temporal Web UI, and find it by. */

const statusAttribute = defineSearchAttributeKey('OrchflowStatus', 'KEYWORD');
const waitingAttribute = defineSearchAttributeKey('OrchflowWaitingTasks', 'KEYWORD_LIST');

/** What the search attributes say, and whether the details lag behind. */
export type Shown = { status: RunStatus; waiting: string; isStale: boolean };

export type ShownRun = { readonly state: RunState; readonly shown: Shown };

/** What Temporal knows of a run when it starts. */
export function nothingShown(): Shown {
  return { status: 'pending', waiting: '', isStale: false };
}

/** From here on, the details are those of the run as it is after each workflow task: to write them takes long of a large run. */
export function keepDescribing({ state, shown }: ShownRun): void {
  void CancellationScope.nonCancellable(async () => {
    for (;;) {
      await condition(() => shown.isStale);
      shown.isStale = false;
      setCurrentDetails(describeRun(state));
    }
  });
}

/** Shows a run as it is. The search attributes are in its history, so they are set only when they say something else. */
export function showToOperators({ state, shown }: ShownRun): void {
  shown.isStale = true;
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
  const warnings = fitting(state.warnings.map((text) => `- ${plain(text)}`));
  return [
    `**${state.status.replaceAll('_', ' ')}** · phase ${state.phase}${state.error ? ` · ${plain(state.error)}` : ''}`,
    ...howToAnswer(state.tasks),
    ...taskTable(state.tasks),
    ...(state.warnings.length > 0 ? [`**Warnings**\n\n${[...warnings.shown, ...more(warnings)].join('\n')}`] : []),
    // The Web UI cuts the panel a little short.
    '\u00A0',
  ].join('\n\n');
}

function statusOf(task: TaskState): string {
  if (task.gate?.status === 'open') return `waits for ${describeGate(task.gate.kind)}`;
  return task.status.replaceAll('_', ' ');
}

/** Of each part, in characters. The Web UI puts the whole text into a URL, and shows an error from about a million (2.42.1). */
const maxPart = 100_000;

/** As many of the first as there is room for, and how many there are besides. */
function fitting(texts: string[]): { shown: string[]; left: number } {
  let room = maxPart;
  const count = texts.findIndex((text) => (room -= text.length) < 0);
  const shown = count < 0 ? texts : texts.slice(0, count);
  return { shown, left: texts.length - shown.length };
}

function more({ left }: { left: number }): string[] {
  return left > 0 ? [`- and ${left} more`] : [];
}

/** Who is waited for and how to answer, of as many as there is room for. */
function howToAnswer(tasks: TaskState[]): string[] {
  const { shown, left } = fitting(
    tasks.flatMap((task) => (task.gate?.status === 'open' ? [hintOf(task, task.gate)] : [])),
  );
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
  const { shown, left } = fitting(rows.map(row));
  const table = [row(head), `|${' :--- |'.repeat(head.length)}`, ...shown].join('\n');
  return left > 0 ? [table, `${left} more tasks; the API has them.`] : [table];
}
