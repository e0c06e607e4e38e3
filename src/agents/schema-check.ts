import { z } from 'zod';
import type { JsonSchema } from '../../db/schema.ts';
import type { FieldFault } from '../errors.ts';
import { isObject } from '../llm/index.ts';

/**
 * Checks values by the JSON Schemas of accounts. Each step is counted, and after so many it stops, whatever the schema and the
 * value: a list of choices of choices costs their product for each of its items.
 */

/** Some 30 milliseconds. */
const mostSteps = 100_000;
const mostFaults = 100;

type Path = FieldFault['path'];
type Value = string | number | boolean | null;

/** A schema that `jsonSchema` has taken. */
type Schema = {
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  enum?: Value[];
  const?: Value;
  anyOf?: Schema[];
  minLength?: number;
  maxLength?: number;
  format?: string;
  minimum?: number;
  maximum?: number;
};

/** The steps that are left, for all values together that are checked with it. */
type Steps = { left: number };

class TooManySteps extends Error {}

/**
 * What tells the faults of a value by a schema that `jsonSchema` has taken, each at its place, a hundred at most. All calls of it
 * together take a bounded number of steps. A value that would take more has one fault, which says so.
 */
export function checkerOf(schema: JsonSchema): (value: unknown) => FieldFault[] {
  const steps = { left: mostSteps };
  return (value) => {
    try {
      const faults: FieldFault[] = [];
      for (const fault of faultsOf(schema, value, [], steps)) {
        if (faults.push(fault) === mostFaults) break;
      }
      return faults;
    } catch (error) {
      if (!(error instanceof TooManySteps)) throw error;
      const detail = `takes more than ${mostSteps} steps to check by its schema: give fewer values, or a schema with fewer choices`;
      return [{ path: [], detail }];
    }
  };
}

/** A fault in words: where, and what. */
export function inWords({ path, detail }: FieldFault): string {
  return path.length > 0 ? `${path.map(String).join('.')} ${detail}` : `it ${detail}`;
}

function take(steps: Steps, count = 1): void {
  steps.left -= count;
  if (steps.left < 0) throw new TooManySteps();
}

/** Lazily, so that who asks for the first fault only has no more looked for. */
function* faultsOf(schema: Schema, value: unknown, path: Path, steps: Steps): Generator<FieldFault, void> {
  take(steps);
  if (schema.anyOf) return yield* faultsOfChoice(schema.anyOf, value, path, steps);
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => isOfType(value, type))) {
    return yield { path, detail: `must be ${types.map((type) => typeWords[type]).join(' or ')}` };
  }
  const allowed = schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  if (allowed) {
    take(steps, allowed.length / 10);
    if (!allowed.includes(value as Value)) yield { path, detail: oneOf(allowed) };
  } else if (typeof value === 'string') yield* faultsOfText(schema, value, path, steps);
  else if (typeof value === 'number') yield* faultsOfNumber(schema, value, path);
  else if (Array.isArray(value)) yield* faultsOfList(schema, value, path, steps);
  else if (isObject(value)) yield* faultsOfObject(schema, value, path, steps);
}

/** Where only one of the choices is for such a value, it is told what is wrong by that one. */
function* faultsOfChoice(choices: Schema[], value: unknown, path: Path, steps: Steps): Generator<FieldFault, void> {
  const faults: FieldFault[] = [];
  for (const choice of choices) {
    const { value: fault } = faultsOf(choice, value, path, steps).next();
    if (!fault) return;
    const isForSuch = choice.type !== undefined && [choice.type].flat().some((type) => isOfType(value, type));
    if (isForSuch) faults.push(fault);
  }
  yield faults.length === 1 ? faults[0]! : { path, detail: `fits none of the ${choices.length} schemas of \`anyOf\`` };
}

function* faultsOfText(schema: Schema, value: string, path: Path, steps: Steps): Generator<FieldFault, void> {
  const { minLength = 0, maxLength = Infinity, format } = schema;
  if (value.length < minLength) yield { path, detail: `must be at least ${minLength} characters` };
  if (value.length > maxLength) yield { path, detail: `must be at most ${maxLength} characters` };
  if (format === undefined) return;
  take(steps, value.length / 100);
  if (!formats[format]!.test(value)) yield { path, detail: `must be ${formats[format]!.words}` };
}

function* faultsOfNumber({ minimum, maximum }: Schema, value: number, path: Path): Generator<FieldFault, void> {
  if (minimum !== undefined && value < minimum) yield { path, detail: `must be at least ${minimum}` };
  if (maximum !== undefined && value > maximum) yield { path, detail: `must be at most ${maximum}` };
}

function* faultsOfList(schema: Schema, value: unknown[], path: Path, steps: Steps): Generator<FieldFault, void> {
  const { minItems = 0, maxItems = Infinity, items } = schema;
  if (value.length < minItems) yield { path, detail: `must have at least ${minItems} items` };
  if (value.length > maxItems) yield { path, detail: `must have at most ${maxItems} items` };
  if (!items) return;
  for (const [index, item] of value.entries()) yield* faultsOf(items, item, [...path, index], steps);
}

/** Names of what every object inherits are names like others: only what an object has of its own counts. */
function* faultsOfObject(
  schema: Schema,
  value: Record<string, unknown>,
  path: Path,
  steps: Steps,
): Generator<FieldFault, void> {
  const { properties = {}, required = [], additionalProperties = true } = schema;
  take(steps, required.length);
  for (const name of required) {
    if (!Object.hasOwn(value, name)) yield { path: [...path, name], detail: 'is required' };
  }
  for (const [name, member] of Object.entries(value)) {
    take(steps);
    const at = [...path, name];
    if (Object.hasOwn(properties, name)) yield* faultsOf(properties[name]!, member, at, steps);
    else if (!additionalProperties) yield { path: at, detail: 'is not a property of the schema' };
  }
}

const typeWords: Record<string, string> = {
  object: 'an object',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  null: 'null',
};

function isOfType(value: unknown, type: string): boolean {
  if (type === 'object') return isObject(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'null') return value === null;
  return type === 'integer' ? Number.isInteger(value) : typeof value === type;
}

function oneOf(allowed: Value[]): string {
  const words = allowed.slice(0, 20).map((one) => (typeof one === 'string' ? one.slice(0, 100) : String(one)));
  if (allowed.length === 1) return `must be ${words[0]}`;
  return `must be one of ${words.join(', ')}${allowed.length > words.length ? ', …' : ''}`;
}

const matches = (schema: z.ZodType) => (value: string) => schema.safeParse(value).success;
const isTime = matches(z.iso.time());

/** None takes longer than its text is. */
const formats: Record<string, { words: string; test: (value: string) => boolean }> = {
  'date-time': { words: 'a date and time as 2026-01-31T09:30:00Z', test: matches(z.iso.datetime({ offset: true })) },
  date: { words: 'a date as 2026-01-31', test: matches(z.iso.date()) },
  time: { words: 'a time as 09:30:00Z', test: (value) => isTime(value.replace(/(Z|[+-]\d\d:\d\d)$/, '')) },
  email: { words: 'an email address', test: matches(z.email()) },
  uri: { words: 'a URL', test: (value) => URL.canParse(value) },
  uuid: { words: 'a UUID', test: matches(z.guid()) },
};
