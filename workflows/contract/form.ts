import type { HumanField } from './definition.ts';

/**
 * Pure: what a person fills in at a human step, whether an answer fits it, and what it then says. One rule for REST and for
 * signals.
 */

export type FormFault = { field: string | null; detail: string };
export type FormAnswer = { value: Record<string, unknown> } | { faults: FormFault[] };

/** Of one field: its value in its type, undefined when nothing was given. */
type FieldAnswer = { value: unknown } | { detail: string };

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

/** The options of a `select`, given as a list or as a text with commas. */
export function optionsOf({ options }: HumanField): string[] {
  const list = typeof options === 'string' ? options.split(',') : (options ?? []);
  return list.map((option) => option.trim()).filter(Boolean);
}

/** A value that the field takes. */
export function exampleOf(field: HumanField): unknown {
  switch (field.type) {
    case 'number':
      return 1;
    case 'boolean':
      return true;
    case 'select':
      return optionsOf(field)[0];
    case 'text':
    case 'textarea':
      return 'your text';
  }
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
  if (given === undefined || given === null || (typeof given === 'string' && isBlank(given))) {
    return field.required ? { detail: 'is required' } : { value: undefined };
  }
  switch (field.type) {
    case 'number':
      return readNumber(given);
    case 'boolean':
      return readBoolean(given);
    case 'select':
      return readOption(optionsOf(field), given);
    case 'text':
    case 'textarea':
      if (typeof given === 'number') return { value: String(given) };
      if (typeof given !== 'string') return { detail: 'must be a text' };
      return isStorable(given) ? { value: given } : { detail: unstorable };
  }
}

/** As people write numbers everywhere: no `0x10`, and no `3,5`, which is another number elsewhere. */
const decimal = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;

function readNumber(given: unknown): FieldAnswer {
  const isText = typeof given === 'string';
  const number = isText && decimal.test(given.trim()) ? Number(given) : given;
  if (typeof number !== 'number' || !Number.isFinite(number)) return { detail: 'must be a number' };
  const isRounded = Number.isInteger(number) && !Number.isSafeInteger(number);
  return isRounded ? { detail: 'must be a number that is not rounded: 15 digits at most' } : { value: number };
}

/** Only what is plain: "yes", "on" and 1 are for whoever shows the form to translate. */
function readBoolean(given: unknown): FieldAnswer {
  const word = typeof given === 'string' ? given.trim().toLowerCase() : given;
  if (word === true || word === 'true') return { value: true };
  return word === false || word === 'false' ? { value: false } : { detail: 'must be true or false' };
}

/** The option in its own words, however it was written, when no other option is meant. */
function readOption(options: string[], given: unknown): FieldAnswer {
  const word = typeof given === 'number' || typeof given === 'boolean' ? String(given) : given;
  if (typeof word === 'string') {
    const exact = options.find((option) => option === word.trim());
    const alike = options.filter((option) => option.toLowerCase() === word.trim().toLowerCase());
    const value = exact ?? (alike.length === 1 ? alike[0] : undefined);
    if (value !== undefined) return { value };
  }
  return { detail: `must be one of ${options.join(', ')}` };
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
