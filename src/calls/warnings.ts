/** What a caller should know beside the answer: words in a run, and codes where the answer is told. */

export type CallWarning = { code: string; field?: string; message: string };

export const notChecked = 'The input was not held against its schema';

export function deprecated(field: string): string {
  return `The field "${field}" of the input is deprecated, and goes in a later version.`;
}

const codes: [RegExp, string][] = [
  [/ was cut at the model's length limit\.$/, 'TRUNCATED'],
  [/^The field ".*" of the input is deprecated/, 'DEPRECATED_FIELD'],
  [/^The input was not held against its schema/, 'VALIDATION_SKIPPED'],
];

/** A warning of a run with its code: `NOTICE` where the page knows none. */
export function codedWarning(message: string): CallWarning {
  const code = codes.find(([words]) => words.test(message))?.[1] ?? 'NOTICE';
  const [, field] = code === 'DEPRECATED_FIELD' ? (/^The field "(.*)" of/.exec(message) ?? []) : [];
  return { code, ...(field !== undefined && { field }), message };
}
