import { readBlocks, type Block } from './blocks.ts';
import { exampleOf } from './demo-json.ts';
import { inferDependencies, planTasks, shorten } from './demo-plan.ts';
import type { ModelAnswer, ModelRequest, ModelTarget, ToolCall } from './model.ts';
import { toolCalls } from './tools.ts';
import { estimateTokens } from './usage.ts';
import type { Wire } from './wire.ts';

const NOTE = "_Written by Orchflow's offline demo model; configure a provider for real answers._";

/**
 * The model that answers when no provider is configured: no network, no cost, and the same answer to the same prompt.
 * It knows Orchflow's prompts by their first line and reads the delimited parts; all that it writes says what it is.
 */
export async function callDemo(
  { model }: ModelTarget,
  request: ModelRequest,
  { on_delta }: Pick<Wire, 'on_delta'>,
): Promise<ModelAnswer> {
  const { system, prompt } = request;
  const forced = forcedCall(request);
  if (forced) return { text: '', tool_calls: [forced], model, finish: 'stop', input_tokens: 0, output_tokens: 0 };
  const text = answerTo(system.split('\n', 1)[0]!.trim(), readBlocks(prompt), request.schema?.json_schema);
  for (const line of text.match(/[^\n]*\n+|[^\n]+$/g) ?? []) on_delta?.(line);
  return {
    text,
    model,
    finish: 'stop',
    input_tokens: estimateTokens(system + prompt),
    output_tokens: estimateTokens(text),
  };
}

/** It calls a tool only when it must: with the goal as every text that is required. */
function forcedCall({ prompt, tools = [], tool_choice, turns }: ModelRequest): ToolCall | undefined {
  const tool = typeof tool_choice === 'object' && tools.find(({ name }) => name === tool_choice.name);
  if (!tool) return undefined;
  const required = (tool.json_schema.required ?? []) as string[];
  const goal = goalOf(readBlocks(prompt));
  const given = Object.fromEntries(required.map((name) => [name, goal]));
  return toolCalls([{ name: tool.name, arguments: given }], turns)[0];
}

function answerTo(role: string, blocks: Block[], schema?: Record<string, unknown>): string {
  switch (role) {
    case "You are Orchflow's planner.":
      return JSON.stringify({
        tasks: planTasks(goalOf(blocks), linesOf(blocks, 'agents'), stepsOf(blocks)),
      });
    case "You are Orchflow's dependency analyst.":
      return JSON.stringify({ dependencies: inferDependencies(tasksOf(blocks)) });
    case "You are Orchflow's evaluator.":
      return JSON.stringify(evaluation(blocks));
    case "You are Orchflow's router.":
      return JSON.stringify(route(blocks));
    case "You are Orchflow's editor.":
      return finalResult(blocks);
    default:
      return schema ? JSON.stringify(exampleOf(schema, shorten(goalOf(blocks), 100))) : taskOutput(blocks);
  }
}

function find(blocks: Block[], tag: string): Block | undefined {
  return blocks.find((block) => block.tag === tag);
}

function goalOf(blocks: Block[]): string {
  return find(blocks, 'goal')?.text.trim() || 'the goal';
}

function linesOf(blocks: Block[], tag: string): string[] {
  const lines = find(blocks, tag)?.text.split('\n') ?? [];
  return lines.map((line) => line.trim()).filter(Boolean);
}

/** Without their numbers. */
function stepsOf(blocks: Block[]): string[] {
  return linesOf(blocks, 'human_steps').map((line) => line.replace(/^\d+:\s*/, ''));
}

function tasksOf(blocks: Block[]): { id: string; title: string }[] {
  return linesOf(blocks, 'tasks').flatMap((line) => {
    const [, id, title] = /^([^:\s]+):\s*(.*)$/.exec(line) ?? [];
    return id ? [{ id, title: title ?? '' }] : [];
  });
}

function evaluation(blocks: Block[]) {
  const passed = Boolean(find(blocks, 'draft')?.text.trim());
  const feedback = passed ? 'Accepted without judging it' : 'The draft is empty';
  return { passed, score: passed ? 0.9 : 0, feedback: `${feedback} (Orchflow's offline demo model).` };
}

/** The route whose words the material has most of; the first when it has none. */
function route(blocks: Block[]) {
  const routes = linesOf(blocks, 'routes').map((line) => ({ line, label: line.split(':', 1)[0]! }));
  const material = blocks.filter(({ tag }) => tag === 'output' || tag === 'answer').map(({ text }) => text);
  const said = new Set(wordsOf(material.join(' ')));
  const hits = ({ line }: { line: string }) => wordsOf(line).filter((word) => said.has(word)).length;
  const best = routes.toSorted((a, b) => hits(b) - hits(a))[0];
  return { route: best?.label ?? '', reasoning: "Chosen by its words alone (Orchflow's offline demo model)." };
}

/** Their beginnings: "invoice" and "invoices" are one word. */
function wordsOf(text: string): string[] {
  return (text.toLowerCase().match(/[\p{L}\p{N}]{4,}/gu) ?? []).map((word) => word.slice(0, 6));
}

function taskOutput(blocks: Block[]): string {
  const task = find(blocks, 'task');
  const title = task?.attributes.title ?? 'Task';
  const feedback = find(blocks, 'feedback');
  return paragraphs(
    `## ${title}`,
    `This is where an agent's work on “${title}” would stand. It serves the goal:`,
    `> ${shorten(goalOf(blocks), 300)}`,
    task && `**The task.** ${shorten(withoutNote(task.text), 400)}`,
    list('**What people said**', blocks, 'answer', 300),
    list('**What it builds on**', blocks, 'output', 200),
    feedback && `**Changed after feedback.** ${shorten(feedback.text, 300)}`,
    '**Next steps**\n\n1. Check the points above against the goal.\n2. Hand the result to the tasks that need it.',
    NOTE,
  );
}

function finalResult(blocks: Block[]): string {
  const outputs = blocks.filter(({ tag }) => tag === 'output');
  return paragraphs(
    `# ${shorten(goalOf(blocks), 120)}`,
    `This result puts together ${outputs.length} ${outputs.length === 1 ? 'piece' : 'pieces'} of work for the goal: ${shorten(goalOf(blocks), 400)}`,
    list('**Decided by people**', blocks, 'answer', 400),
    ...outputs.map(({ attributes, text }) => `## ${attributes.title}\n\n${bodyOf(text)}`),
    NOTE,
  );
}

/** An output as a section of the whole: without its own heading and the note, which the whole has. */
function bodyOf(output: string): string {
  const body = withoutNote(output)
    .replace(/^#+ .*\n+/, '')
    .trim();
  return body.length > 3000 ? `${body.slice(0, 3000)}…` : body;
}

function withoutNote(text: string): string {
  return text.replace(NOTE, '').replace(" (Planned by Orchflow's offline demo model.)", '').trim();
}

function list(heading: string, blocks: Block[], tag: 'answer' | 'output', limit: number): string | undefined {
  const items = blocks.filter((block) => block.tag === tag);
  if (!items.length) return undefined;
  const lines = items.map(({ attributes, text }) => `- ${attributes.title}: ${shorten(withoutNote(text), limit)}`);
  return `${heading}\n\n${lines.join('\n')}`;
}

function paragraphs(...texts: (string | undefined)[]): string {
  return texts.filter((text) => text !== undefined).join('\n\n');
}
