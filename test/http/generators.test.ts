import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startOrchflow, type Orchflow } from '../harness/orchflow.ts';
import { send } from '../harness/raw.ts';

/** What generators of clients need of /openapi.json; test/clients tries them. */

type Json = Record<string, any>;
type Place = { at: string; schema: Json };

let orchflow: Orchflow;
let document: Json;
let schemas: Place[];
let operations: Json[];

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
  document = (await send(orchflow.url, 'GET', '/openapi.json')).body;
  operations = Object.values<Json>(document.paths).flatMap((item) => Object.values<Json>(item));
  schemas = [
    ...Object.entries<Json>(document.components.schemas).flatMap(([name, schema]) => schemasIn(schema, name)),
    ...operations.flatMap(({ operationId, parameters = [], requestBody = {}, responses }) => [
      ...parameters.flatMap(({ name, schema }: Json) => schemasIn(schema, `${operationId} ${name}`)),
      ...contentIn(requestBody, `${operationId} body`),
      ...Object.entries<Json>(responses).flatMap(([status, answer]) => contentIn(answer, `${operationId} ${status}`)),
    ]),
  ];
});
afterAll(() => orchflow.stop());

function contentIn({ content = {} }: Json, at: string): Place[] {
  return Object.values<Json>(content).flatMap(({ schema }) => schemasIn(schema, at));
}

/** A schema and all within it. */
function schemasIn(schema: Json, at: string): Place[] {
  const { properties = {}, items, additionalProperties, oneOf = [], anyOf = [], allOf = [] } = schema;
  const within = {
    ...properties,
    ...(items && { items }),
    ...(typeof additionalProperties === 'object' && { additionalProperties }),
    ...Object.fromEntries([...oneOf, ...anyOf, ...allOf].entries()),
  };
  const inner = Object.entries<Json>(within).flatMap(([name, part]) => schemasIn(part, `${at}.${name}`));
  return [{ at, schema }, ...inner];
}

/** Where a schema is that should not be so. */
function placesOf(isWrong: (schema: Json) => boolean): string[] {
  return schemas.filter(({ schema }) => isWrong(schema)).map(({ at }) => at);
}

function resolve(schema: Json): Json {
  return schema.$ref ? document.components.schemas[schema.$ref.split('/').at(-1)] : schema;
}

test('the schemas are found: those of requests, of answers, and within them', () => {
  expect(schemas.map(({ at }) => at)).toEqual(
    expect.arrayContaining(['CreateRun.agents.items', 'HumanStep.human_fields', 'listRuns limit', 'getRun 200']),
  );
});

test('no default: it makes fields required, and stays in clients for ever', () => {
  expect(placesOf((schema) => 'default' in schema)).toEqual([]);
  expect(document.components.schemas.CreateRun.required).toEqual(['task']);
  expect(document.components.schemas.CreateRun.properties.on_budget.description).toMatch(/ Default: `gate`\.$/);
  const limit = operations.find(({ operationId }) => operationId === 'listRuns')!.parameters[0];
  expect(limit).toMatchObject({ name: 'limit', description: 'Default: `20`.' });
});

test('patterns mean the same in all dialects: whole, in ASCII, without what RE2 lacks', () => {
  const plain = /^\^(?:\[(?:[^\\\]]|\\x\d[\da-f])+\]|\((?!\?)|[^\\[(])*\$$/;
  expect(placesOf(({ pattern }) => pattern !== undefined && !plain.test(pattern))).toEqual([]);
  expect(placesOf(({ pattern, type }) => pattern !== undefined && type !== 'string')).toEqual([]);
  for (const [wrong, right] of [
    ['\\S', '^[a-z]+$'],
    ['^\\w+$', '^[A-Za-z0-9_.-]{1,64}$'],
    ['^(?!a)b$', '^[0-9]{1,9}(-done)?$'],
    ['^[\\w-]$', '^[\\x20-\\x7e]*$'],
  ]) {
    expect([plain.test(wrong!), plain.test(right!)], wrong).toEqual([false, true]);
  }
});

test('a value of several kinds says which it is: by its type, or by a field of its own', () => {
  expect(placesOf(({ anyOf, allOf }) => anyOf || allOf)).toEqual([]);
  for (const { at, schema } of schemas.filter(({ schema }) => schema.oneOf)) {
    const types = schema.oneOf.map((part: Json) => resolve(part).type);
    const objects = schema.oneOf.filter((part: Json) => resolve(part).type === 'object');
    if (objects.length < 2) {
      expect(new Set(types).size, at).toBe(types.length);
      // An object of any fields has no class: generators lose it.
      for (const object of objects) expect(resolve(object).properties, at).toBeDefined();
      continue;
    }
    const { propertyName, mapping } = schema.discriminator;
    const named = schema.oneOf.flatMap((part: Json) =>
      resolve(part).properties[propertyName].enum.map((value: string) => [value, part.$ref]),
    );
    expect(mapping, at).toEqual(Object.fromEntries(named));
  }
});

test('anything is `true` and not `{}`', () => {
  expect(placesOf(({ additionalProperties: more }) => more && Object.keys(more).length === 0 && more !== true)).toEqual(
    [],
  );
});

/** Answers in two media types: as JSON, and where that is asked for as events. */
const inTwoTypes = ['orchstackRunAgent', 'executeWorkflow', 'callAgent'];

/** What is always refused, and has no success. */
const refused = ['createWorkspace', 'checkAgentTransfer', 'transferAgent'];

test('an operation has one schema for all its successes, and streams are texts', () => {
  for (const { operationId, responses } of operations) {
    const contents = Object.entries<Json>(responses).filter(([status, { content }]) => Number(status) < 300 && content);
    expect(contents.length === 0, operationId).toBe(refused.includes(operationId));
    if (contents.length === 0) continue;
    const { 'text/event-stream': stream, ...others } = contents[0]![1].content;
    if (stream) expect(stream.schema, operationId).toEqual({ type: 'string' });
    const whole = inTwoTypes.includes(operationId)
      ? [others, ...contents.slice(1).map(([, answer]) => answer.content)]
      : contents.map(([, answer]) => answer.content);
    expect(new Set(whole.map((content) => JSON.stringify(content))).size, operationId).toBe(1);
  }
});

test('every example is one of its schema', () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const { components } = document;
  for (const { at, schema } of schemas.filter(({ schema }) => 'example' in schema)) {
    const validate = ajv.compile({ components, ...schema });
    validate(schema.example);
    expect(validate.errors ?? [], at).toEqual([]);
  }
});

test('the body of what is changed in part may be left out', () => {
  const bodyOf = (operationId: string) => operations.find((one) => one.operationId === operationId)!.requestBody;
  for (const operationId of ['changeRun', 'updateWebhookSubscription'])
    expect(bodyOf(operationId).required ?? false, operationId).toBe(false);
});
