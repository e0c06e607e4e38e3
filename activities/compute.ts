import { ApplicationFailure, Context } from '@temporalio/activity';
import { valueOf, type StateRefs, type StateValues } from '../db/shared-state.ts';
import { JavaScriptError, NoThreadError, runJavaScript } from '../src/javascript/index.ts';
import type { Definition, StepOf } from '../workflows/contract/definition.ts';
import { jsonIn } from './extract-json.ts';
import { asText, join, render } from './state.ts';
import { noThread } from './places.ts';
import type { LoadedStep } from './step-reads.ts';

/** What a step that needs no model makes of the state. `decision` is that of `if_else` and `switch`. */
export type Computed = { value: unknown; decision?: string; warnings: string[] };

const maxCodeSeconds = 60;
const maxDecisionLength = 200;

/** Does a step that needs no model. Code that fails is a `JavaScriptError`, which is not tried again. */
export async function compute({ work, step, definition, values }: LoadedStep, limit: number): Promise<Computed> {
  const evaluate = (code: string) => evaluateFor(work.run.account_id, code, values, step.timeout_seconds);
  switch (step.type) {
    case 'merge':
      return { value: merge(definition, step, values, limit), warnings: [] };
    case 'transform':
      return { value: await evaluate(step.transform_code), warnings: [] };
    case 'if_else': {
      const value = Boolean(await evaluate(step.if_condition));
      return { value, decision: String(value), warnings: [] };
    }
    case 'switch': {
      const value = await evaluate(step.switch_expression);
      return { value, decision: asText(value).slice(0, maxDecisionLength).toWellFormed(), warnings: [] };
    }
    case 'extract_json': {
      const texts = step.input_keys.map((key) => asText(values[key] ?? ''));
      const text = join(texts, limit);
      const found = jsonIn(text);
      const value = found.length > 1 ? found : (found[0] ?? null);
      return { value, warnings: found.length === 0 ? [`${step.name}: there is no JSON in what it reads.`] : [] };
    }
    case 'print': {
      const value = render(step.print_content, values, limit);
      return { value, warnings: value.trim() ? [] : [`${step.name}: there is nothing to print.`] };
    }
    default:
      throw ApplicationFailure.nonRetryable(`A step of type ${step.type} is not computed.`);
  }
}

async function evaluateFor(owner: string, code: string, state: StateValues, seconds: number): Promise<unknown> {
  const { cancellationSignal: signal } = Context.current();
  const timeout_ms = Math.min(seconds, maxCodeSeconds) * 1_000;
  try {
    return (await runJavaScript(code, { state }, { owner, timeout_ms, signal })).value;
  } catch (error) {
    if (error instanceof NoThreadError) throw noThread();
    if (!(error instanceof JavaScriptError)) throw error;
    throw ApplicationFailure.nonRetryable(error.message, 'JavaScriptError');
  }
}

/** The values of the keys that are there, in their order, each under the step that writes it. */
function merge(definition: Definition, step: StepOf<'merge'>, values: StateValues, limit: number): unknown {
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
      return join(
        entries.map(({ source, data }) => `[${source}]:\n${asText(data)}`),
        limit,
      );
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
