/** Pure: the fields of forms, what those take that are no free text, and what it then is. */

export type HumanField = {
  name: string;
  type: FieldType;
  label: string | null;
  /** Of a `select` or `multi_select`, as they were given: `approve,reject` or a list. */
  options: string | string[] | null;
  required: boolean;
} & FieldBounds;

export const fieldTypes = [
  'text',
  'textarea',
  'select',
  'multi_select',
  'number',
  'integer',
  'boolean',
  'date',
  'datetime',
  'file',
] as const;
export type FieldType = (typeof fieldTypes)[number];

/** What bounds the value of a field, both ends included. One that is not there does not bound it. */
export type FieldBounds = { [Bound in (typeof fieldBounds)[number]]?: number };

export const fieldBounds = ['min', 'max', 'min_items', 'max_items', 'min_length', 'max_length'] as const;

/** The bounds that fields of this type may have: of their value, of how many options, or of how long a text. */
export function boundsOf(type: FieldType): FieldBoundPair | undefined {
  switch (type) {
    case 'number':
    case 'integer':
      return ['min', 'max'];
    case 'multi_select':
      return ['min_items', 'max_items'];
    case 'text':
    case 'textarea':
      return ['min_length', 'max_length'];
    default:
      return undefined;
  }
}

type FieldBoundPair = [least: keyof FieldBounds, most: keyof FieldBounds];

/** Of one field: its value in its type, undefined when nothing was given. */
export type FieldAnswer = { value: unknown } | { detail: string };

/** The options of a `select` or `multi_select`, given as a list or as a text with commas. */
export function optionsOf({ options }: HumanField): string[] {
  const list = typeof options === 'string' ? options.split(',') : (options ?? []);
  return list.map((option) => option.trim()).filter(Boolean);
}

/** A value that the field takes. */
export function exampleOf(field: HumanField): unknown {
  switch (field.type) {
    case 'number':
    case 'integer':
      return Math.min(Math.max(1, field.min ?? 1), field.max ?? Infinity);
    case 'boolean':
      return true;
    case 'select':
      return optionsOf(field)[0];
    case 'multi_select':
      return optionsOf(field).slice(0, field.min_items ?? 1);
    case 'date':
      return '2026-01-31';
    case 'datetime':
      return '2026-01-31T09:30:00Z';
    case 'file':
      return 'file_00000000000000000000';
    case 'text':
    case 'textarea':
      return 'your text'.padEnd(field.min_length ?? 0, '.').slice(0, field.max_length ?? undefined);
  }
}

/** As people write numbers everywhere: no `0x10`, and no `3,5`, which is another number elsewhere. */
const decimal = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;

export function readNumber(field: HumanField, given: unknown): FieldAnswer {
  const isText = typeof given === 'string';
  const number = isText && decimal.test(given.trim()) ? Number(given) : given;
  if (typeof number !== 'number' || !Number.isFinite(number)) return { detail: 'must be a number' };
  const isRounded = Number.isInteger(number) && !Number.isSafeInteger(number);
  if (isRounded) return { detail: 'must be a number that is not rounded: 15 digits at most' };
  if (field.type === 'integer' && !Number.isInteger(number)) return { detail: 'must be a whole number' };
  return outOfBounds(field, number) ?? { value: number };
}

/** What is wrong with a number, a length or a count that is out of the bounds of its field; undefined when it is not. */
export function outOfBounds(field: HumanField, size: number, unit?: string): { detail: string } | undefined {
  const [least, most] = boundsOf(field.type)!.map((bound) => field[bound]);
  const words = (count: number) => (unit ? `${count} ${unit}${count === 1 ? '' : 's'}` : `${count}`);
  if (typeof least === 'number' && size < least) return { detail: `must be at least ${words(least)}` };
  if (typeof most === 'number' && size > most) return { detail: `must be at most ${words(most)}` };
  return undefined;
}

/** Only what is plain: "yes", "on" and 1 are for whoever shows the form to translate. */
export function readBoolean(given: unknown): FieldAnswer {
  const word = typeof given === 'string' ? given.trim().toLowerCase() : given;
  if (word === true || word === 'true') return { value: true };
  return word === false || word === 'false' ? { value: false } : { detail: 'must be true or false' };
}

const day = /^(?!0000)\d{4}-\d\d-\d\d$/;

/** A day of the calendar, as `2026-01-31`. */
export function readDate(given: unknown): FieldAnswer {
  const text = typeof given === 'string' ? given.trim() : '';
  return isDay(text) ? { value: text } : { detail: 'must be a date, as 2026-01-31' };
}

function isDay(text: string): boolean {
  const parsed = day.test(text) ? new Date(`${text}T00:00:00Z`) : undefined;
  // The 30th of February is read as a day of March.
  return parsed !== undefined && !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(text);
}

const moment =
  /^(\S{10})[Tt ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** A moment with its offset from UTC, as RFC 3339 has it, seconds or not; what is read is UTC, in milliseconds. */
export function readDatetime(given: unknown): FieldAnswer {
  const text = typeof given === 'string' ? given.trim() : '';
  const [, date = ''] = moment.exec(text) ?? [];
  const parsed = new Date(text.toUpperCase().replace(' ', 'T'));
  // Beyond the year 9999 it has other digits.
  if (isDay(date) && !Number.isNaN(parsed.getTime())) {
    const value = parsed.toISOString();
    if (value.length === 24) return { value };
  }
  return { detail: 'must be a date with time and offset, as 2026-01-31T09:30:00Z or 2026-01-31T10:30+01:00' };
}

/** Whether there is such a file is not known here. */
export function readFileId(given: unknown): FieldAnswer {
  const file_id = typeof given === 'string' ? given.trim() : '';
  return /^file_\w{1,59}$/.test(file_id) ? { value: file_id } : { detail: 'must be the id of a file' };
}

/** The option in its own words, however it was written, when no other option is meant. */
export function readOption(options: string[], given: unknown): FieldAnswer {
  const value = findOption(options, given);
  return value === undefined ? { detail: `must be one of ${options.join(', ')}` } : { value };
}

/** Each option that is meant once, in the order of the form. None of them is as if nothing was given. */
export function readOptions(field: HumanField, given: unknown): FieldAnswer {
  const options = optionsOf(field);
  const list = listOf(options, given);
  if (!list) return { detail: 'must be a list' };
  const found = list.map((one) => findOption(options, one));
  if (found.includes(undefined)) return { detail: `must be a list of some of ${options.join(', ')}` };
  const value = options.filter((option, index) => found.includes(option) && options.indexOf(option) === index);
  if (value.length === 0) return { value: undefined };
  return outOfBounds(field, value.length, 'option') ?? { value };
}

/** A list, one in JSON, one option alone, or several with commas. */
function listOf(options: string[], given: unknown): unknown[] | undefined {
  if (Array.isArray(given)) return given;
  if (typeof given === 'string' && findOption(options, given) === undefined) {
    if (!given.trimStart().startsWith('[')) return given.split(',').filter((word) => word.trim() !== '');
    try {
      const parsed: unknown = JSON.parse(given);
      if (Array.isArray(parsed)) return parsed;
    } catch {
      return given.split(',');
    }
  }
  return typeof given === 'object' ? undefined : [given];
}

function findOption(options: string[], given: unknown): string | undefined {
  const word = typeof given === 'number' || typeof given === 'boolean' ? String(given) : given;
  if (typeof word !== 'string') return undefined;
  const exact = options.find((option) => option === word.trim());
  const alike = options.filter((option) => option.toLowerCase() === word.trim().toLowerCase());
  return exact ?? (alike.length === 1 ? alike[0] : undefined);
}
