import { z } from 'zod';

const decimal = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i;

/** A number in a query, written as in JSON: to `Number`, an empty text is 0, and `0x10` is 16. */
export function queryNumber<T extends z.ZodType>(schema: T) {
  return z.preprocess((value) => (typeof value === 'string' && decimal.test(value) ? Number(value) : value), schema);
}
