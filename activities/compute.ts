import { ApplicationFailure, Context } from '@temporalio/activity';
import { valueOf, type StateRefs, type StateValues } from '../db/shared-state.ts';
import type { Work } from '../db/work.ts';
import { JavaScriptError, runJavaScript } from '../src/javascript/index.ts';
import type { Definition, Step, StepOf } from '../workflows/contract/definition.ts';
import { jsonIn } from './extract-json.ts';
import { asText, render } from './state.ts';

/** A step at work: its definition, and the values of the state that it asked for. */
export type StepWork = { work: Work; definition: Definition; step: Step; values: StateValues };

/** What a step that needs no model makes of the state. `decision` is that of `if_else` and `switch`. */
export type Computed = { value: unknown; decision?: string; warnings: string[] };

const maxCodeSeconds = 60;
const maxDecisionLength = 200;

export async function compute({ step, definition, values }: StepWork): Promise<Computed> {
  switch (step.type) {
    case 'merge':
      return { value: merge(definition, step, values), warnings: [] };
    case 'transform':
      return { value: await evaluate(step.transform_code, values, step.timeout_seconds), warnings: [] };
    case 'if_else': {
      const value = Boolean(await evaluate(step.if_condition, values, step.timeout_seconds));
      return { value, decision: String(value), warnings: [] };
    }
    case 'switch': {
      const value = await evaluate(step.switch_expression, values, step.timeout_seconds);
      return { value, decision: asText(value).slice(0, maxDecisionLength).toWellFormed(), warnings: [] };
    }
    case 'extract_json': {
      const text = step.input_keys.map((key) => asText(values[key] ?? '')).join('\n\n');
      const found = jsonIn(text);
      const value = found.length > 1 ? found : (found[0] ?? null);
      return { value, warnings: found.length === 0 ? [`${step.name}: there is no JSON in what it reads.`] : [] };
    }
    case 'print': {
      const value = render(step.print_content, values);
      return { value, warnings: value.trim() ? [] : [`${step.name}: there is nothing to print.`] };
    }
    default:
      throw ApplicationFailure.nonRetryable(`A step of type ${step.type} is not computed.`);
  }
}

async function evaluate(code: string, state: StateValues, seconds: number): Promise<unknown> {
  const { cancellationSignal: signal } = Context.current();
  const timeout_ms = Math.min(seconds, maxCodeSeconds) * 1_000;
  try {
    return (await runJavaScript(code, { state }, { timeout_ms, signal })).value;
  } catch (error) {
    if (!(error instanceof JavaScriptError)) throw error;
    throw ApplicationFailure.nonRetryable(error.message, 'JavaScriptError');
  }
}

/** The values of the keys that are there, in their order, each under the step that writes it. */
function merge(definition: Definition, step: StepOf<'merge'>, values: StateValues): unknown {
  const entries = step.input_keys
    .filter((key) => values[key] !== undefined)
    .map((key) => {
      const writer = definition.steps.find(({ output_key }) => output_key === key);
      return { source: writer ? `${writer.name} (${writer.id})` : key, data: values[key] };
    });
  switch (step.merge_strategy) {
    case 'list':
      return entries;
    case 'dict':
      return Object.fromEntries(entries.map(({ source, data }) => [source, data]));
    case 'concat':
      return entries.map(({ source, data }) => `[${source}]:\n${asText(data)}`).join('\n\n');
  }
}

/** For each step of a loop's body that has an output: what it was each time. */
export function collect(
  { steps }: Definition,
  { loop_step_ids }: StepOf<'loop'>,
  iterations: StateRefs[],
  texts: Map<string, string>,
): { name: string; output_key: string; list: { iteration: number; agent: string; result: unknown }[] }[] {
  return loop_step_ids.flatMap((id) => {
    const { name, output_key } = steps.find((step) => step.id === id)!;
    if (output_key === null) return [];
    const list = iterations.flatMap((results, index) => {
      const ref = results[id];
      return ref ? [{ iteration: index + 1, agent: name, result: valueOf(ref, texts) }] : [];
    });
    return [{ name, output_key, list }];
  });
}
