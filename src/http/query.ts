import { z } from 'zod';

const decimal = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i;

/** A number in a query, written as in JSON: to `Number`, an empty text is 0, and `0x10` is 16. */
export function queryNumber<T extends z.ZodType>(schema: T) {
  return z.preprocess((value) => (typeof value === 'string' && decimal.test(value) ? Number(value) : value), schema);
}

/** What a read takes that waits for a change of a run, with its statuses as its surface calls them. */
export function runWaitQuery<S extends z.ZodEnum>(status: S, example: z.infer<S>) {
  return {
    wait: queryNumber(
      z
        .number()
        .min(0)
        .max(60)
        .optional()
        .meta({
          description:
            'Seconds that the answer may wait for: until the run has ended or waits for a person, or, with `seen`, until its ' +
            'status is another. After that time the run is answered as it is; a run that has ended, at once. After three ' +
            'seconds the answer begins, with white space.',
          example: 30,
        }),
    ),
    seen: status.optional().meta({
      description: 'With `wait`: the status that you have seen, so that no change is missed and none is told twice.',
      example,
    }),
  };
}
