import { z } from 'zod';
import { json, members } from '../fields.ts';
import { stateKey } from './form-schema.ts';
import { keysOfRun } from './first-state.ts';

export const maxStateValues = 100;
/** In characters, of a text or of JSON. */
const maxValueLength = 100_000;
const maxLength = 500_000;

/** Values of the state of a run, by key, within the bounds of all that a request gives it. */
function stateValues(key: z.ZodType<string, string>, value: z.ZodType) {
  return members(key, value, maxStateValues).superRefine((values, context) => {
    const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    const lengths = Object.entries(values).map(([name, value]) => [name, lengthOf(value)] as const);
    for (const [name, length] of lengths) {
      if (length > maxValueLength) refuse([name], `must have at most ${maxValueLength} characters`);
    }
    const sum = lengths.reduce((before, [, length]) => before + length, 0);
    if (sum > maxLength) refuse([], `must have at most ${maxLength} characters together`);
  });
}

/**
 * Values that the state has when a step is done again, by key; also of keys that the run gives by itself. Whether they can be
 * stored was looked at before it was known what they are for.
 */
export const stateEdits = stateValues(stateKey, z.unknown());

const initialKey = stateKey.refine((name) => !keysOfRun.includes(name), 'is given by the run itself');

/** Values that the state of a run begins with, by key. */
export const initialStateSchema = stateValues(initialKey, json())
  .default({})
  .meta({
    description:
      'What the state begins with beside `message`, by key; in place of the defaults of the state schema, and, for its first ' +
      'key, of the message. `user_input`, `user_query` and `human_response` are given by the run itself. At most 100 values, of ' +
      '100,000 characters each and 500,000 together.',
    example: { tone: 'dry', words: 300 },
  });

function lengthOf(value: unknown): number {
  return typeof value === 'string' ? value.length : JSON.stringify(value).length;
}
