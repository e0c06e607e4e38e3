import type { HumanField } from './definition.ts';

/** Pure: what a person fills in at a human step, and whether an answer fits it. One rule for REST and for signals. */

export type FormFault = { field: string | null; detail: string };
export type FormAnswer = { value: Record<string, unknown> } | { faults: FormFault[] };

/** The options of a `select`, given as a list or as a text with commas. */
export function optionsOf({ options }: HumanField): string[] {
  const list = typeof options === 'string' ? options.split(',') : (options ?? []);
  return list.map((option) => option.trim()).filter(Boolean);
}

/**
 * Reads an answer: an object by field names, or a text, which answers the only field; without fields, any object, and
 * a text becomes `{ response: text }`.
 */
export function readAnswer(fields: HumanField[], given: unknown): FormAnswer {
  if (typeof given === 'string') {
    if (fields.length > 1) return { faults: [{ field: null, detail: `must be an object with ${names(fields)}` }] };
    return readAnswer(fields, { [fields[0]?.name ?? 'response']: given });
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return { faults: [{ field: null, detail: 'must be an object or a text' }] };
  }
  const value = given as Record<string, unknown>;
  if (fields.length === 0) return { value };
  const faults: FormFault[] = [];
  for (const name of Object.keys(value)) {
    if (!fields.some((field) => field.name === name)) {
      faults.push({ field: name, detail: `is not a field of this step: ${names(fields)}` });
    }
  }
  for (const field of fields) {
    const detail = faultOf(field, Object.hasOwn(value, field.name) ? value[field.name] : undefined);
    if (detail) faults.push({ field: field.name, detail });
  }
  return faults.length > 0 ? { faults } : { value };
}

/** Reads a text that may be an object in JSON. */
export function readTextAnswer(fields: HumanField[], text: string): FormAnswer {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) return readAnswer(fields, parsed);
  } catch {
    // Plain words.
  }
  return readAnswer(fields, text);
}

function faultOf(field: HumanField, given: unknown): string | undefined {
  if (given === undefined || given === null || given === '') return field.required ? 'is required' : undefined;
  switch (field.type) {
    case 'number':
      return isNumber(given) ? undefined : 'must be a number';
    case 'boolean':
      return typeof given === 'boolean' || given === 'true' || given === 'false' ? undefined : 'must be true or false';
    case 'select': {
      const options = optionsOf(field);
      return options.includes(typeof given === 'string' ? given : JSON.stringify(given))
        ? undefined
        : `must be one of ${options.join(', ')}`;
    }
    case 'text':
    case 'textarea':
      return typeof given === 'string' || typeof given === 'number' ? undefined : 'must be a text';
  }
}

function isNumber(given: unknown): boolean {
  return typeof given === 'number' || (typeof given === 'string' && Number.isFinite(Number(given.trim() || NaN)));
}

function names(fields: HumanField[]): string {
  return fields.map(({ name }) => `"${name}"`).join(', ');
}
