import type { CallWarning } from '../../db/schema.ts';
import { isObject } from '../llm/index.ts';

/** What the output of an agent is for who called it. */

const mostWarnings = 100;

/**
 * The data of an answer: the output where it is a JSON object, and else `{"result": output}`. Warnings that it has as its member
 * `warnings`, each with a `code` and a `message`, are taken out of it.
 */
export function readOutput(output: string): { data: Record<string, unknown>; warnings: CallWarning[] } {
  const value = parsed(output);
  if (!isObject(value)) return { data: { result: value }, warnings: [] };
  const { warnings, ...data } = value;
  if (!Array.isArray(warnings) || warnings.length > mostWarnings || !warnings.every(isWarning)) {
    return { data: value, warnings: [] };
  }
  return { data, warnings };
}

function isWarning(value: unknown): value is CallWarning {
  return isObject(value) && typeof value.code === 'string' && typeof value.message === 'string';
}

/** A text that is no JSON is itself. */
function parsed(output: string): unknown {
  if (!/^\s*[[{]/.test(output)) return output;
  try {
    return JSON.parse(output);
  } catch {
    return output;
  }
}
