import variant from '@jitl/quickjs-wasmfile-release-sync';
import {
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core';

export type Evaluation = {
  code: string;
  variables: Record<string, unknown>;
  timeout_ms: number;
  memory_bytes: number;
};
/** Code that is read and not run; `statements` allows more than one expression. */
export type Source = { code: string; allowed: 'expression' | 'statements' };
export type Outcome = { value: unknown; logs: string[] } | { fault: string };

const maxResultLength = 1024 * 1024;
const maxLogLines = 100;
const maxStackSize = 512 * 1024;

let loading: Promise<QuickJSWASMModule> | undefined;

export function load(): Promise<QuickJSWASMModule> {
  // Its types are those of its CommonJS build.
  loading ??= newQuickJSWASMModuleFromVariant(variant as unknown as QuickJSSyncVariant);
  return loading;
}

function asExpression(code: string): string {
  return `(function () { return (\n${code}\n); })`;
}

function asStatements(code: string): string {
  return `(function () {\n${code}\n})`;
}

/** What is wrong with the syntax of this code, or undefined. Runs nothing; nothing interrupts it either. */
export async function syntaxFault({ code, allowed }: Source): Promise<string | undefined> {
  if (code.trim() === '') return 'is empty';
  const quickjs = await load();
  const runtime = quickjs.newRuntime({ maxStackSizeBytes: maxStackSize, memoryLimitBytes: 32 * 1024 * 1024 });
  const context = runtime.newContext();
  try {
    const fault = faultOf(context, asExpression(code));
    const standing = fault && allowed === 'statements' ? faultOf(context, asStatements(code)) : fault;
    context.dispose();
    runtime.dispose();
    return standing;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // The stack of this process ran out before that of the interpreter, which is unusable now.
    loading = undefined;
    return 'The code is nested too deeply.';
  }
}

function faultOf(context: QuickJSContext, source: string): string | undefined {
  const compiled = context.evalCode(source, 'code', { compileOnly: true });
  if (!compiled.error) {
    compiled.value.dispose();
    return undefined;
  }
  return compiled.error.consume((error) => describe(context.dump(error)));
}

/** The evaluation itself, for `thread.ts`: it blocks until it ends or meets its deadline. */
export async function evaluate({ code, variables, timeout_ms, memory_bytes }: Evaluation): Promise<Outcome> {
  const quickjs = await load();
  const deadline = performance.now() + timeout_ms;
  let isLate = false;
  const runtime = quickjs.newRuntime({ memoryLimitBytes: memory_bytes, maxStackSizeBytes: maxStackSize });
  runtime.setInterruptHandler(() => (isLate = performance.now() > deadline));
  const context = runtime.newContext();
  context.newString(JSON.stringify(variables)).consume((text) => context.setProp(context.global, '__variables', text));
  const source = faultOf(context, asExpression(code)) ? asStatements(code) : asExpression(code);
  const result = context.evalCode(program(source), 'code');
  // The runtime is not disposed: its thread ends now, and a context that ran out of memory may not bear it.
  if (isLate) return { fault: `The code did not end within ${timeout_ms / 1000} seconds.` };
  if (result.error) return { fault: describe(context.dump(result.error)) };
  const text: unknown = context.dump(result.value);
  if (typeof text !== 'string') return { fault: 'The result is not JSON.' };
  if (text.length > maxResultLength) return { fault: `The result is longer than ${maxResultLength} characters.` };
  return parse(text);
}

function parse(text: string): Outcome {
  try {
    const { value = null, logs } = JSON.parse(text) as { value?: unknown; logs: string[] };
    return { value, logs: logs.map(String) };
  } catch {
    return { fault: 'The result is not JSON.' };
  }
}

/** The code between its variables and its result, as one program. */
function program(source: string): string {
  return `(() => {
    const { stringify, parse } = JSON;
    const logs = [];
    const show = (value) => (typeof value === 'string' ? value : String(stringify(value) ?? value));
    const log = (...values) => void (logs.length < ${maxLogLines} && logs.push(values.map(show).join(' ').slice(0, 2000)));
    globalThis.console = { log, info: log, warn: log, error: log, debug: log };
    globalThis.result = undefined;
    const variables = parse(__variables);
    delete globalThis.__variables;
    for (const name of Object.keys(variables)) globalThis[name] = variables[name];
    const returned = (0, eval)(${JSON.stringify(source)})();
    if (returned instanceof Promise) throw new TypeError('The code must return its value, not a promise of it.');
    return stringify({ value: returned === undefined ? globalThis.result : returned, logs });
  })()`;
}

/** `TypeError: x is not a function`, without a stack: those are ours. */
function describe(error: unknown): string {
  if (typeof error !== 'object' || error === null) return `The code threw ${JSON.stringify(error)}.`.slice(0, 500);
  const { name, message } = error as { name?: unknown; message?: unknown };
  if (name === 'InternalError' && message === 'out of memory') return 'The code needs more memory than it may have.';
  if (typeof message !== 'string') return 'The code threw an object.';
  return `${typeof name === 'string' ? name : 'Error'}: ${message}`.slice(0, 500).toWellFormed();
}
