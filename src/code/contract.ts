import type { CodeInput } from '../../db/code-runs.ts';
import type { CodeFault, JsonSchema } from '../../db/schema.ts';
import { checkerOf, inWords } from '../agents/schema-check.ts';
import { isObject, revive } from '../llm/index.ts';
import { withoutSecrets, type Limits, type Outcome } from '../sandbox/index.ts';
import { inputNames } from './inputs.ts';

/** What code is given, and what it must give: JSON on stdin, JSON on stdout. */

/**
 * The input, as the code reads it: the object that was given, or `{"input": …}` of a text. With files it is the manifest of the
 * files, and the object is its `metadata`.
 */
export function stdinOf(input: string, files: CodeInput[], uploadsAt: string): string {
  const given = objectOf(input) ?? { input };
  if (files.length === 0) return JSON.stringify(given);
  const names = inputNames(files);
  const manifest = files.map(({ name, media_type, size }, index) => ({
    path: `${uploadsAt}/${names[index]!}`,
    original_name: name,
    content_type: media_type,
    size_bytes: size,
  }));
  return JSON.stringify({ files: manifest, metadata: given });
}

function objectOf(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** `isCallers`: its time is what whoever called it has left. */
type CodeLimits = Limits & { isCallers: boolean };

/** Of a message that is shown. */
const longestWords = 500;

/**
 * The output that code has given, as JSON without the secrets that it was given; or why it has given none. That is told in Temporal, so
 * it has nothing of what code has printed, but for names of members in which the output does not fit its schema.
 */
export function readOutput(
  outcome: Outcome,
  limits: CodeLimits,
  schema: JsonSchema | null,
  secrets: string[],
): { output: string | null; fault: CodeFault | null } {
  if (outcome.ended === 'cancelled') return { output: null, fault: null };
  const fault = faultOf(outcome, limits);
  if (fault) return { output: null, fault };
  let value: unknown;
  try {
    value = JSON.parse(outcome.stdout.text.trim(), revive);
  } catch {
    return failed(`what its code printed to stdout is no JSON${outcome.stdout.text.trim() ? '.' : ', but nothing.'}`);
  }
  const faults = schema ? checkerOf(schema)(value) : [];
  if (faults.length > 0) {
    const words = withoutSecrets(faults.slice(0, 10).map(inWords).join('; '), secrets);
    return failed(`the output of its code does not fit the output schema: ${words}`, { code: 'INVALID_OUTPUT' });
  }
  // Another spelling of one is the same in JSON.
  return { output: withoutSecrets(JSON.stringify(value), secrets), fault: null };
}

function failed(message: string, more: Partial<CodeFault> = {}): { output: null; fault: CodeFault } {
  const words = message.slice(0, longestWords).toWellFormed();
  return { output: null, fault: { code: 'SANDBOX_ERROR', category: 'code_error', message: words, ...more } };
}

function faultOf({ ended, exit_code, stdout, stderr }: Outcome, limits: CodeLimits): CodeFault | undefined {
  const fail = (message: string, more?: Partial<CodeFault>) => failed(message, more).fault;
  const mib = (bytes: number) => `${Math.round(bytes / 1024 / 1024)} MiB`;
  if (ended === 'time') {
    if (limits.isCallers)
      return fail('its code was not done at the deadline of its call.', { code: 'TIMEOUT', category: null });
    const seconds = Math.ceil(limits.wall_ms / 1_000);
    return fail(`its code timed out after ${seconds} seconds.`, { code: 'SANDBOX_TIMEOUT', category: null });
  }
  if (ended === 'memory') return fail(`its code used more than ${mib(limits.memory_bytes)} of memory.`);
  if (ended === 'output') return fail(`its code printed far more than ${limits.output_bytes} bytes.`);
  if (ended === 'killed') return fail('its code was ended by a signal.');
  if (exit_code !== 0) {
    const category = isOfSetup(exit_code, stderr.text) ? 'setup_error' : 'code_error';
    const end = stderr.text.trim() ? '. What it says of that is in its stderr.' : '.';
    return fail(`its code ended with exit code ${exit_code}${end}`, { category });
  }
  if (stdout.is_cut) return fail(`its code printed more than ${limits.output_bytes} bytes to stdout.`);
  return undefined;
}

/** Whoever has written the code has forgotten a part of it. */
function isOfSetup(exit_code: number | null, stderr: string): boolean {
  if (exit_code === 126 || exit_code === 127) return true;
  return /ModuleNotFoundError|ERR_MODULE_NOT_FOUND|Cannot find module|can't open file/.test(stderr);
}
