import { z } from 'zod';
import type { JsonSchema } from '../../db/schema.ts';
import { members, text } from '../fields.ts';

/**
 * The JSON Schemas that accounts give for what agents take and return: the part of the language of which every keyword is
 * checked. No references and no patterns: both can make checking a short value take for ever.
 */

const maxLength = 20_000;
const maxDepth = 10;
const maxMembers = 100;

const types = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
type Type = (typeof types)[number];

const scalar = z.union([text(0, 1_000), z.number(), z.boolean(), z.null()]);
const size = z.int().min(0).max(1_000_000);
/** What says nothing of a value. */
const about = {
  $schema: text(0, 1_000).optional(),
  title: text(0, 1_000).optional(),
  description: text(0, 5_000).optional(),
  /** Of a member of an input: who sends it is warned. */
  deprecated: z.boolean().optional(),
};

/** Which keywords say something of which type. */
const keywordsOf: Partial<Record<Type, string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'format'],
  number: ['minimum', 'maximum'],
  integer: ['minimum', 'maximum'],
};

const shape = {
  ...about,
  type: z.union([z.enum(types), z.array(z.enum(types)).min(1).max(types.length)]).optional(),
  properties: members(text(1, 100), z.unknown(), maxMembers).optional(),
  required: z.array(text(1, 100)).max(maxMembers).optional(),
  additionalProperties: z.boolean().optional(),
  items: z.unknown().optional(),
  minItems: size.optional(),
  maxItems: size.optional(),
  enum: z.array(scalar).min(1).max(maxMembers).optional(),
  const: scalar.optional(),
  anyOf: z.array(z.unknown()).min(1).max(20).optional(),
  minLength: size.optional(),
  maxLength: size.optional(),
  format: z.enum(['date-time', 'date', 'time', 'email', 'uri', 'uuid']).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
};

const node = z.strictObject(shape, {
  error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : 'must be a JSON Schema: an object with a `type`'),
});

type Node = z.infer<typeof node>;
type Fault = { path: PropertyKey[]; message: string };

/** What of a schema cannot be taken, each at its place. */
function faultsOf(given: unknown, path: PropertyKey[], depth: number): Fault[] {
  if (depth > maxDepth) return [{ path, message: `is nested deeper than ${maxDepth} schemas` }];
  const { data, error } = node.safeParse(given);
  if (!data) {
    return error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => ({ path: [...path, key], message: 'is not a keyword that is taken here' }))
        : [{ path: [...path, ...issue.path], message: issue.message }],
    );
  }
  return [...faultsOfNode(data, path), ...innerFaults(data, path, depth + 1)];
}

function faultsOfNode(schema: Node, path: PropertyKey[]): Fault[] {
  const { type, properties = {}, required = [] } = schema;
  const fault = (keyword: string, message: string): Fault => ({ path: [...path, keyword], message });
  const own = Object.keys(schema).filter((keyword) => !Object.hasOwn(about, keyword));
  const alone = (['anyOf', 'enum', 'const'] as const).find((keyword) => own.includes(keyword));
  if (alone) {
    const beside = own.filter((keyword) => keyword !== alone && (alone === 'anyOf' || keyword !== 'type'));
    return beside.map((keyword) => fault(keyword, `cannot stand beside \`${alone}\``));
  }
  if (type === undefined) return own.length > 0 ? [{ path, message: 'must say its `type`' }] : [];
  const said = [type].flat().flatMap((one) => keywordsOf[one] ?? []);
  return [
    ...own
      .filter((keyword) => keyword !== 'type' && !said.includes(keyword))
      .map((keyword) => fault(keyword, `says nothing of the type ${[type].flat().join(', ')}`)),
    ...required
      .map((name, index): Fault => ({ path: [...path, 'required', index], message: 'is not one of the `properties`' }))
      .filter((_fault, index) => !Object.hasOwn(properties, required[index]!)),
  ];
}

function innerFaults({ properties = {}, items, anyOf = [] }: Node, path: PropertyKey[], depth: number): Fault[] {
  return [
    ...Object.entries(properties).flatMap(([name, inner]) => faultsOf(inner, [...path, 'properties', name], depth)),
    ...(items === undefined ? [] : faultsOf(items, [...path, 'items'], depth)),
    ...anyOf.flatMap((inner, index) => faultsOf(inner, [...path, 'anyOf', index], depth)),
  ];
}

/** A field that is the JSON Schema of an object (`JsonSchema`). */
export function jsonSchema(description: string) {
  return z
    .unknown()
    .superRefine((given, context) => {
      if (given === undefined) return;
      // Nothing is looked at of what is too long: each of its parts would take its time.
      if (JSON.stringify(given).length > maxLength) {
        context.addIssue({ code: 'custom', message: `must have at most ${maxLength} characters as JSON` });
        return;
      }
      const faults = faultsOf(given, [], 1).slice(0, maxMembers);
      const { type } = (given ?? {}) as JsonSchema;
      if (faults.length === 0 && type !== 'object') faults.push({ path: ['type'], message: 'must be object' });
      for (const { path, message } of faults) context.addIssue({ code: 'custom', path, message });
    })
    .meta({ description, type: 'object', additionalProperties: true });
}
