import { optionsOf, type HumanField } from './contract/field-values.ts';
import { isObject } from './contract/form.ts';
import { decisionsOf, maxSignalText, type SentAnswer } from './contract/gate-rules.ts';
import type { GateState } from './contract/states.ts';

/**
 * Which signals by hand a run of 0.1.0 took: what it took is in its history, and what it did not take is not. For the replay
 * of such histories only; it goes with the patch `answers-in-types`.
 */

export function readSignalOf010(
  gate: GateState & { has_draft: boolean },
  answer: SentAnswer,
): { output: string | null } | { fault: string } {
  const { decision = 'approve', output = null } = answer;
  const { kind, has_draft, fields } = gate;
  const isText = output === null || typeof output === 'string';
  if (!isText || !isTaken(output ?? '')) return { fault: '`output` was not taken.' };
  if (!(gate.decisions ?? decisionsOf(kind)).includes(decision)) return { fault: '`decision` was not taken.' };
  const isNeeded =
    kind !== 'budget' &&
    kind !== 'human_step' &&
    (decision === 'edit' || decision === 'reject' || (decision === 'approve' && kind !== 'approval' && !has_draft));
  if (isNeeded && !output?.trim()) return { fault: '`output` was needed.' };
  if (kind === 'tool_approval' && decision === 'edit' && !isObject(parsed(output!))) return { fault: 'No arguments.' };
  if (!fields) return { output };
  const form = parsed(output ?? '');
  const value = typeof form === 'object' && form !== null ? form : byText(fields, output ?? '');
  return isObject(value) && fits(fields, value) ? { output: JSON.stringify(value) } : { fault: 'It did not fit.' };
}

function isTaken(text: string): boolean {
  return text.length <= maxSignalText && text.isWellFormed() && !text.includes('\u0000');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function byText(fields: HumanField[], text: string): unknown {
  return fields.length > 1 ? undefined : { [fields[0]?.name ?? 'response']: text };
}

function fits(fields: HumanField[], value: Record<string, unknown>): boolean {
  if (fields.length === 0) return true;
  const areKnown = Object.keys(value).every((name) => fields.some((field) => field.name === name));
  return areKnown && fields.every((field) => isFit(field, Object.hasOwn(value, field.name) ? value[field.name] : null));
}

function isFit(field: HumanField, given: unknown): boolean {
  if (given === undefined || given === null || given === '') return !field.required;
  switch (field.type) {
    case 'number':
      return typeof given === 'number' || (typeof given === 'string' && Number.isFinite(Number(given.trim() || NaN)));
    case 'boolean':
      return typeof given === 'boolean' || given === 'true' || given === 'false';
    case 'select':
      return optionsOf(field).includes(typeof given === 'string' ? given : JSON.stringify(given));
    case 'text':
    case 'textarea':
      return typeof given === 'string' || typeof given === 'number';
    default:
      // It had no fields of other types.
      return false;
  }
}
