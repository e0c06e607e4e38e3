import { z } from 'zod';

/**
 * Which members each entry of a list has: sparse fieldsets, as JSON:API knows them
 * (https://jsonapi.org/format/#fetching-sparse-fieldsets), with one list of names, since every list has entries of one kind.
 */

type Entry = z.ZodObject<z.core.$ZodLooseShape>;

/**
 * The query parameter `fields` of a list: some names of the members that its entries have, with commas between them. Others are refused,
 * with the names that there are. The member that names an entry, `id`, need not be among them: it is always there.
 */
export function fieldsQuery<E extends Entry>(entry: E, id: keyof E['shape'] & string) {
  const names = Object.keys(entry.shape);
  const example = names
    .filter((name) => name !== id)
    .slice(0, 2)
    .join(',');
  return z
    .string()
    .transform((text) => text.split(','))
    .refine(
      (asked) => asked.every((name) => names.includes(name)),
      `must be names of fields with commas between them: ${names.join(', ')}`,
    )
    .optional()
    .meta({
      type: 'string',
      description: `The fields that each entry has, with commas between them; all unless given. \`${id}\` is always there. Of: ${names.join(', ')}.`,
      example,
    }) as unknown as z.ZodOptional<z.ZodType<(keyof E['shape'] & string)[], string>>;
}

/** An entry of such a list, as it is answered: all but `id` may be left out. */
export function sparse<E extends Entry, I extends keyof E['shape'] & string>(entry: E, id: I) {
  const shape = Object.fromEntries(
    Object.entries(entry.shape).map(([name, field]) => [name, name === id ? field : (field as z.ZodType).optional()]),
  );
  return z.object(shape) as unknown as z.ZodObject<
    Pick<E['shape'], I> & { [Name in Exclude<keyof E['shape'], I>]: z.ZodOptional<E['shape'][Name]> }
  >;
}

/** These members of an entry, and its `id`; the whole entry where no `fields` are asked for. */
export function pickFields<T extends object, I extends keyof T & string>(
  entry: T,
  id: I,
  fields: readonly string[] | undefined,
): Pick<T, I> & Partial<T> {
  if (!fields) return entry;
  const kept = Object.entries(entry).filter(([name]) => name === id || fields.includes(name));
  return Object.fromEntries(kept) as Pick<T, I> & Partial<T>;
}
