import { describeGate } from './contract/gate-rules.ts';
import type { RunState, TaskState } from './contract/states.ts';

/** Plain text inside Markdown. The Web UI drops what stands between braces, also in code. */
function plain(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll(/[|{}<>`*_]/g, (character) => `&#${character.codePointAt(0)};`);
}

function progressOf(task: TaskState): string {
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
    progressOf(task),
    plain(task.agent ?? (task.kind === 'human' ? 'a person' : (task.step?.type ?? '–'))),
    task.attempts,
    task.depends_on.join(', ') || '–',
  ]);
  return [[row(head), `|${' :--- |'.repeat(head.length)}`, ...rows.map(row)].join('\n')];
}

/** The run as Markdown, for "Current Details" in the Temporal Web UI. */
export function describeRun(state: RunState): string {
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
