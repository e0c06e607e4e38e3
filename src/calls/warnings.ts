import type { CallWarning } from '../../db/schema.ts';

/** What a caller should know beside the answer: kept with the call, with codes that programs read; its run has the words alone. */

export function notChecked(rest: string): CallWarning {
  return { code: 'VALIDATION_SKIPPED', message: `The input was not held against its schema${rest}.` };
}

export function deprecated(field: string): CallWarning {
  const message = `The field "${field}" of the input is deprecated, and goes in a later version.`;
  return { code: 'DEPRECATED_FIELD', field, message };
}

/** What the page has no code for. */
export function notice(message: string): CallWarning {
  return { code: 'NOTICE', message };
}

/** The warnings of a run with the codes that those of them have which are known. */
export function codedWarnings(messages: string[], known: CallWarning[]): CallWarning[] {
  return messages.map((message) => known.find((one) => one.message === message) ?? notice(message));
}
