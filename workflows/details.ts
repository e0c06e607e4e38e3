import { decisionsOf, describeGate, type RunState, type TaskState } from './messages.ts';

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function progressOf(task: TaskState): string {
  if (task.gate?.status === 'open') return `waits for ${describeGate(task.gate.kind)}`;
  return task.status.replaceAll('_', ' ');
}

function howToAnswer({ id, title, gate }: TaskState): string[] {
  if (gate?.status !== 'open') return [];
  const signal = { task_id: id, decision: decisionsOf(gate.kind)[0], output: 'your text' };
  return [
    `**${id} ${cell(title)}** waits for ${describeGate(gate.kind)}.${gate.reason ? ` Reason: ${cell(gate.reason)}` : ''}`,
    `Decisions: ${decisionsOf(gate.kind).join(', ')}. Answer over REST, or send the signal \`completeTask\`:`,
    '```json\n' + JSON.stringify(signal) + '\n```',
  ];
}

/** The run as Markdown, for "Current Details" in the Temporal Web UI. */
export function describeRun(state: RunState): string {
  const rows = state.tasks.map(
    (task) =>
      `| ${task.id} | ${cell(task.title)} | ${progressOf(task)} | ${cell(task.agent ?? 'a person')} | ${task.attempts} | ${task.depends_on.join(', ')} |`,
  );
  const table = rows.length
    ? ['| Task | Title | Status | Agent | Attempts | After |\n|---|---|---|---|---|---|\n' + rows.join('\n')]
    : [];
  const warnings = state.warnings.length
    ? ['**Warnings**\n' + state.warnings.map((text) => `- ${text}`).join('\n')]
    : [];
  return [
    `**${state.status.replaceAll('_', ' ')}** · phase ${state.phase}${state.error ? ` · ${state.error}` : ''}`,
    ...table,
    ...state.tasks.flatMap(howToAnswer),
    ...warnings,
  ].join('\n\n');
}
