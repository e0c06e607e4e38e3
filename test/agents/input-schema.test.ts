import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { registerAgent } from '../harness/agent.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';

/** How inputs of runs are checked by the input schemas of agents. */

let orchflow: Orchflow;
let user: User;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
beforeEach(async () => {
  user = await orchflow.register();
});
afterAll(() => orchflow.stop());

/** The faults of an input where an agent's input schema has these properties, as `pointer: detail`. */
async function faultsOf(input: object, properties: object, more: object = {}): Promise<string[]> {
  const input_schema = { type: 'object', properties, ...more };
  const agent_id = await registerAgent(user, { name: `legal ${Math.random()}`, input_schema });
  // It waits: what counts is that it was accepted.
  const { body } = await user.post(`/agents/${agent_id}/runs`, { input, start_in: '1d' });
  return (body.errors ?? []).map(({ pointer, detail }: any) => `${pointer}: ${detail}`);
}

test('an input is checked in a bounded number of steps, whatever its schema has of choices', async () => {
  const choices = (one: object, last = one) => ({ anyOf: [...Array.from({ length: 19 }, () => one), last] });
  const values = Array.from({ length: 100 }, (_, index) => String(index).padStart(4, 'x'));
  const list = (items: object) => ({ list: { type: 'array', items } });
  const many = { list: Array.from({ length: 2_000 }, () => 1) };
  for (const items of [choices(choices({ const: 0 }), { const: 1 }), choices({ enum: values }, { const: 1 })]) {
    expect(await faultsOf(many, list(items))).toEqual([expect.stringMatching(/^\/input: .* more than 100000 steps/)]);
  }
  expect(await faultsOf({ list: ['x', ...many.list] }, list(choices({ const: 0 }, { const: 1 })))).toEqual([
    '/input/list/0: fits none of the 20 schemas of `anyOf`',
  ]);
  expect(await faultsOf({ list: many.list.map(() => 'x') }, list({ type: 'null' }))).toHaveLength(100);
  const long = { list: Array.from({ length: 9_900 }, () => 1) };
  expect(await faultsOf(long, list({ anyOf: [{ type: 'string' }, { type: 'integer', minimum: 1 }] }))).toEqual([]);
});

test('it is checked by names that every object inherits as by others', async () => {
  const properties = { toString: { type: 'string' }, constructor: { type: 'string' } };
  expect(await faultsOf({}, properties)).toEqual([]);
  expect(await faultsOf({}, properties, { required: ['toString'] })).toEqual(['/input/toString: is required']);
  expect(await faultsOf({ constructor: 1 }, properties)).toEqual(['/input/constructor: must be a text']);
  expect(await faultsOf({ toString: 'x', constructor: 'x' }, properties)).toEqual([]);
  const closed = await faultsOf({ valueOf: 1 }, {}, { additionalProperties: false });
  expect(closed).toEqual(['/input/valueOf: is not a property of the schema']);
});

test('it is checked by every keyword, and told in words', async () => {
  const format = (name: string) => ({ type: 'string', format: name });
  for (const [value, schema, detail] of [
    ['2026-01-31T09:30:00+01:00', format('date-time')],
    ['tomorrow', format('date-time'), 'must be a date and time as 2026-01-31T09:30:00Z'],
    ['2026-02-30', format('date'), 'must be a date as 2026-01-31'],
    ['09:30:00Z', format('time')],
    ['25:00:00', format('time'), 'must be a time as 09:30:00Z'],
    ['anna', format('email'), 'must be an email address'],
    ['https://acme.example/a?b', format('uri')],
    ['acme', format('uri'), 'must be a URL'],
    ['0199f3c2', format('uuid'), 'must be a UUID'],
    ['', { type: 'string', minLength: 1 }, 'must be at least 1 characters'],
    [1.5, { type: 'integer' }, 'must be a whole number'],
    [2, { type: 'number', minimum: 3 }, 'must be at least 3'],
    [4, { type: ['number', 'null'], maximum: 3 }, 'must be at most 3'],
    [null, { type: ['number', 'null'], maximum: 3 }],
    ['x', { type: ['number', 'null'] }, 'must be a number or null'],
    [[], { type: 'array', minItems: 1 }, 'must have at least 1 items'],
    [[1, 2], { type: 'array', maxItems: 1 }, 'must have at most 1 items'],
    ['1', { enum: ['a', 1, null] }, 'must be one of a, 1, null'],
    [false, { const: true }, 'must be true'],
    [{ any: ['thing'] }, {}],
    [5, { anyOf: [{ type: 'string' }, { type: 'null' }] }, 'fits none of the 2 schemas of `anyOf`'],
    ['long', { anyOf: [{ type: 'string', maxLength: 3 }, { type: 'null' }] }, 'must be at most 3 characters'],
  ] as const) {
    const faults = await faultsOf({ a: value }, { a: schema });
    expect(faults, JSON.stringify([value, schema])).toEqual(detail === undefined ? [] : [`/input/a: ${detail}`]);
  }
});
