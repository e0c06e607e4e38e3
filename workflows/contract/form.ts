import {
  optionsOf,
  outOfBounds,
  readBoolean,
  readDate,
  readDatetime,
  readFileId,
  readNumber,
  readOption,
  readOptions,
  type FieldAnswer,
  type HumanField,
} from './field-values.ts';

/**
 * Pure: what a person fills in at a human step, whether an answer fits it, and what it then says. One rule for REST and for
 * signals.
 */

export type FormFault = { field: string | null; detail: string };
export type FormAnswer = { value: Record<string, unknown> } | { faults: FormFault[] };

const invisible = /^[\s\p{Cc}\p{Cf}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]*$/u;

/** True when there is nothing to see in a text: it is empty, or has only what is drawn as nothing. NUL is a fault of its own. */
export function isBlank(text: string): boolean {
  return !text.includes('\u0000') && invisible.test(text);
}

/** True when Postgres can store the text. */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\u0000');
}

/** What is wrong with a text that it cannot. */
export const unstorable = 'must be Unicode text without NUL';

/** What Postgres can store of a text. */
export function storable(text: string): string {
  return text.replaceAll('\u0000', '').toWellFormed();
}

export type FileInForm = { field: string; file_id: string };

/** The files that an answer names, as it is kept. */
export function filesInForm(fields: HumanField[] | undefined, output: string | null): FileInForm[] {
  const names = (fields ?? []).filter(({ type }) => type === 'file').map(({ name }) => name);
  if (names.length === 0 || output === null) return [];
  const form = JSON.parse(output) as Record<string, string | undefined>;
  return names.flatMap((field) => {
    const file_id = form[field];
    return file_id === undefined ? [] : [{ field, file_id }];
  });
}

/**
 * Reads an answer by the fields of a form. An object is the form; so is a text that is one in JSON with members that are
 * fields. Any other text answers the only field; without fields it is `{ response: text }`, and any object is taken.
 * What comes back has the types of the fields, and lacks those that were given as null or as a blank text.
 */
export function readAnswer(fields: HumanField[], given: unknown): FormAnswer {
  if (typeof given === 'string') return readText(fields, given);
  if (!isObject(given)) return { faults: [{ field: null, detail: 'must be an object or a text' }] };
  return fields.length === 0 ? readFreely(given) : readForm(fields, given);
}

function readText(fields: HumanField[], text: string): FormAnswer {
  const form = formIn(fields, text);
  if (form) return readForm(fields, form);
  if (fields.length > 1) return { faults: [{ field: null, detail: `must be an object with ${names(fields)}` }] };
  if (fields[0]) return readForm(fields, { [fields[0].name]: text });
  if (text !== '' && isBlank(text)) return { faults: [{ field: null, detail: 'must not be empty' }] };
  if (!isStorable(text)) return { faults: [{ field: null, detail: unstorable }] };
  return { value: { response: text } };
}

/** The form that a text is. Where one field waits for words, an object with other members is words. */
function formIn(fields: HumanField[], text: string): Record<string, unknown> | undefined {
  if (fields.length === 0 || !text.trimStart().startsWith('{')) return undefined;
  try {
    const form: unknown = JSON.parse(text);
    if (!isObject(form)) return undefined;
    const members = Object.keys(form);
    const isIt = fields.length > 1 || (members.length > 0 && members.every((name) => isField(fields, name)));
    return isIt ? form : undefined;
  } catch {
    // Plain words.
    return undefined;
  }
}

/** Without fields nothing says what it must be, only that it can be kept. */
function readFreely(value: Record<string, unknown>): FormAnswer {
  let isKept = true;
  try {
    JSON.stringify(value, (name, inner: unknown) => {
      isKept &&= isStorable(name) && (typeof inner !== 'string' || isStorable(inner));
      return inner;
    });
  } catch {
    // In a workflow a plain error is tried again for ever.
    return { faults: [{ field: null, detail: 'nests too deep' }] };
  }
  return isKept ? { value } : { faults: [{ field: null, detail: unstorable }] };
}

function readForm(fields: HumanField[], given: Record<string, unknown>): FormAnswer {
  const faults: FormFault[] = [];
  for (const name of Object.keys(given)) {
    if (isField(fields, name)) continue;
    faults.push({ field: name, detail: `is not a field of this step: ${names(fields)}` });
  }
  const value: Record<string, unknown> = {};
  for (const field of fields) {
    const answer = readField(field, Object.hasOwn(given, field.name) ? given[field.name] : undefined);
    if ('detail' in answer) faults.push({ field: field.name, detail: answer.detail });
    else if (answer.value !== undefined) value[field.name] = answer.value;
  }
  return faults.length > 0 ? { faults } : { value };
}

function readField(field: HumanField, given: unknown): FieldAnswer {
  const isGiven = given !== undefined && given !== null && !(typeof given === 'string' && isBlank(given));
  const answer = isGiven ? readValue(field, given) : { value: undefined };
  return 'value' in answer && answer.value === undefined && field.required ? { detail: 'is required' } : answer;
}

function readValue(field: HumanField, given: unknown): FieldAnswer {
  switch (field.type) {
    case 'number':
    case 'integer':
      return readNumber(field, given);
    case 'boolean':
      return readBoolean(given);
    case 'select':
      return readOption(optionsOf(field), given);
    case 'multi_select':
      return readOptions(field, given);
    case 'date':
      return readDate(given);
    case 'datetime':
      return readDatetime(given);
    case 'file':
      return readFileId(given);
    case 'text':
    case 'textarea':
      return readWords(field, given);
  }
}

function readWords(field: HumanField, given: unknown): FieldAnswer {
  if (typeof given !== 'number' && typeof given !== 'string') return { detail: 'must be a text' };
  const value = String(given);
  if (!isStorable(value)) return { detail: unstorable };
  return outOfBounds(field, value.length, 'character') ?? { value };
}

function isField(fields: HumanField[], name: string): boolean {
  return fields.some((field) => field.name === name);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function names(fields: HumanField[]): string {
  return fields.map(({ name }) => `"${name}"`).join(', ');
}
