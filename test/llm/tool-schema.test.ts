import { expect, test } from 'vitest';
import { fitToolSchema } from '../../src/llm/index.ts';
import { ask, useFakeModel, VENDORS } from '../fakes/ask.ts';

/** Tools of anybody's servers, as the vendors take them; one that they do not take is left out, and no other with it. */

const { fake, fetch } = await useFakeModel();

const a = { type: 'string' };
const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });

test.each<[string, unknown, object]>([
  ['what is fit stays as it is', object({ a }, { required: ['a'] }), object({ a }, { required: ['a'] })],
  ['nothing', undefined, object({})],
  ['null', null, object({})],
  ['no properties', { type: 'object' }, object({})],
  ['no type', { properties: { a } }, object({ a })],
  ['a type of two', { type: ['object', 'null'], properties: { a } }, object({ a })],
  ['a list in place of the properties, as PHP has it', { type: 'object', properties: [], required: {} }, object({})],
  [
    'anyOf that only says what is needed',
    object({ a, b: a }, { anyOf: [{ required: ['a'] }, { required: ['b'] }] }),
    object({ a, b: a }),
  ],
  [
    'what every choice needs',
    object({ a, b: a }, { oneOf: [{ required: ['a'] }, { required: ['b', 'a'] }] }),
    object({ a, b: a }, { required: ['a'] }),
  ],
  [
    'choices with properties of their own',
    {
      anyOf: [
        object({ kind: { const: 'x' }, a }, { required: ['kind', 'a'] }),
        object({ kind: { const: 'y' } }, { required: ['kind'] }),
      ],
    },
    object({ kind: { anyOf: [{ const: 'x' }, { const: 'y' }] }, a }, { required: ['kind'] }),
  ],
  [
    'allOf',
    { allOf: [object({ a }, { required: ['a'] }), { $ref: '#/$defs/B' }], $defs: { B: object({ b: a }) } },
    object({ a, b: a }, { required: ['a'] }),
  ],
  ['a reference at the root', { $ref: '#/definitions/In', definitions: { In: object({ a }) } }, object({ a })],
  [
    'references inside',
    object({ a: { $ref: '#/$defs/a~1b', description: 'An A.' } }, { $defs: { 'a/b': { $ref: '#/$defs/c' }, c: a } }),
    object({ a: { type: 'string', description: 'An A.' } }),
  ],
  [
    'one that leads away',
    object({ a: { $ref: 'https://example.com/a.json' }, b: { $ref: '#/$defs/none' } }),
    object({ a: {}, b: {} }),
  ],
  [
    'one that leads back to itself',
    { $defs: { Node: object({ next: { $ref: '#/$defs/Node' }, a }) }, $ref: '#/$defs/Node' },
    object({ next: object({ next: {}, a }), a }),
  ],
  [
    'schemas that are a boolean',
    object({ a: true, b: false, c: { type: 'array', items: true } }, { required: ['a', 'b'] }),
    object({ a: {}, c: { type: 'array', items: {} } }, { required: ['a'] }),
  ],
  [
    'a list without items, and one with a list of them',
    object({ a: { type: 'array' }, b: { type: ['array', 'null'], items: [a, a] } }),
    object({ a: { type: 'array', items: {} }, b: { type: ['array', 'null'], items: { anyOf: [a, a] } } }),
  ],
  [
    'what is needed and not there',
    object({ a: object({ b: a }, { required: ['b', 'c', 3] }) }, { required: ['x'] }),
    object({ a: object({ b: a }, { required: ['b'] }) }),
  ],
  [
    'types that are none',
    object({ a: { type: 'STRING' }, b: { type: 'any' }, c: { type: null } }),
    object({ a, b: {}, c: {} }),
  ],
  [
    'null where it means nothing',
    object({ a: { ...a, description: null, enum: null, default: null } }),
    object({ a: { ...a, default: null } }),
  ],
  [
    'limits of old drafts',
    object({ a: { type: 'number', minimum: 1, exclusiveMinimum: true } }),
    object({ a: { type: 'number', minimum: 1 } }),
  ],
  [
    'keywords that no model reads',
    object({ a }, { $schema: 'x', $id: 'y', not: { required: ['b'] }, if: {}, else: {} }),
    object({ a }),
  ],
  [
    'names that are keywords',
    object({ $ref: a, anyOf: a, required: a, $defs: a }),
    object({ $ref: a, anyOf: a, required: a, $defs: a }),
  ],
])('%s', (_, given, fit) => {
  expect(fitToolSchema(given)).toEqual(fit);
});

test.each<[string, unknown]>([
  ['a list', { type: 'array', items: a }],
  ['a text', { type: 'string' }],
  ['choices without an object', { anyOf: [{ type: 'string' }, { type: 'null' }] }],
  ['a reference to a text', { $ref: '#/$defs/A', $defs: { A: a } }],
])('%s is no schema of a tool', (_, given) => {
  expect(fitToolSchema(given)).toBeUndefined();
});

test('schemas that grow or go deep without end are cut, soon', () => {
  const doubling = Object.fromEntries(
    Array.from({ length: 60 }, (_, n) => [
      `d${n}`,
      object({ l: { $ref: `#/$defs/d${n + 1}` }, r: { $ref: `#/$defs/d${n + 1}` } }),
    ]),
  );
  const chain = Object.fromEntries(Array.from({ length: 50_000 }, (_, n) => [`c${n}`, { $ref: `#/$defs/c${n + 1}` }]));
  let deep: object = a;
  for (let depth = 0; depth < 2_000; depth += 1) deep = { anyOf: [object({ deep }), a] };
  const all = { allOf: Array(30).fill({ $ref: '#' }) };
  const since = performance.now();
  expect(JSON.stringify(fitToolSchema(object({ x: { $ref: '#/$defs/d0' } }, { $defs: doubling }))).length).toBeLessThan(
    1_000_000,
  );
  expect(fitToolSchema(object({ x: { $ref: '#/$defs/c0' } }, { $defs: chain }))).toEqual(object({ x: {} }));
  expect(JSON.stringify(fitToolSchema(object({ x: deep }))).length).toBeLessThan(1_000_000);
  fitToolSchema(deep);
  fitToolSchema(all);
  expect(performance.now() - since).toBeLessThan(2_000);
});

const find = { name: 'srv__find', description: 'Finds.', json_schema: object({ query: a }, { required: ['query'] }) };
const odd = { name: 'srv__odd', description: 'd'.repeat(3_000), json_schema: { anyOf: [object({ 'a b': a, a })] } };
const list = { name: 'srv__list', description: 'A list.', json_schema: { type: 'array' } };

test.each(VENDORS)('%s: each tool goes to the vendor as it takes it', async (vendor) => {
  fake.on(() => 'Done.');
  const answer = await ask(fake, vendor, { fetch, tools: [find, odd, list] });
  const [first, second, ...more] = fake.calls[0]!.tools;
  expect(first).toEqual(find);
  const names = Object.keys(second!.json_schema.properties);
  expect(names).toEqual(vendor === 'anthropic' ? ['a'] : ['a b', 'a']);
  expect(more).toEqual([]);
  expect(answer).toMatchObject({ text: 'Done.', left_out: [{ name: 'srv__list' }] });
});

test('a description goes to OpenAI itself as far as it takes one', async () => {
  const bodies: { tools: { function: { description: string } }[] }[] = [];
  const own: typeof fetch = (_, init) => {
    bodies.push(JSON.parse(init!.body as string));
    return Promise.resolve(Response.json({ choices: [{ message: { content: 'Done.' }, finish_reason: 'stop' }] }));
  };
  await ask(fake, 'openai', { fetch: own, base_url: '', tools: [odd] });
  expect(bodies[0]!.tools[0]!.function.description).toHaveLength(1_024);
});

test.each<[(typeof VENDORS)[number], string]>([
  ['openai', "Invalid schema for function 'srv__odd': In context=(), object schema missing properties."],
  ['openai', "Invalid 'tools[1].function.description': string too long."],
  ['anthropic', 'tools.1.custom.input_schema: JSON schema is invalid.'],
  [
    'gemini',
    '* GenerateContentRequest.tools[0].function_declarations[1].parameters.properties[a].items: missing field.',
  ],
  ['ollama', 'json: cannot unmarshal the tool srv__odd into Go struct'],
])('%s refuses one tool (%s): it is left out, and the others are offered', async (vendor, message) => {
  fake.on(({ tools }) => {
    if (!tools.some(({ name }) => name === 'srv__odd')) return 'Done.';
    return { status: 400, body: vendor === 'ollama' ? { error: message } : { error: { message } } };
  });
  const answer = await ask(fake, vendor, { fetch, tools: [find, odd] });
  expect(answer).toMatchObject({
    text: 'Done.',
    left_out: [{ name: 'srv__odd', reason: expect.stringContaining(message.slice(-20)) }],
  });
  expect(fake.calls.map(({ tools }) => tools.length)).toEqual([2, 1]);
});

test('a refusal that is about no tool, and one of the tool that must be called, are what they are', async () => {
  fake.on(() => ({ status: 400, body: { error: { message: 'tools are not supported' } } }));
  await expect(ask(fake, 'openai', { fetch, tools: [find] })).rejects.toMatchObject({ type: 'LlmBadRequest' });
  expect(fake.calls).toHaveLength(1);
  const forced = ask(fake, 'openai', { fetch, tools: [find, list], tool_choice: { name: 'srv__list' } });
  await expect(forced).rejects.toMatchObject({ type: 'LlmBadRequest', message: expect.stringContaining('srv__list') });
  expect(fake.calls).toHaveLength(1);
});
