import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { expect } from 'vitest';
import type { Answer } from '../harness/client.ts';

type Json = Record<string, any>;

/** Asks for a path of the document, and holds the answer against what that says. */
export type Call = (
  method: string,
  template: string,
  ids?: Record<string, string>,
  body?: object | string,
  key?: string,
  headers?: Record<string, string>,
) => Promise<Answer>;

/** Holds answers of the API against what its `/openapi.json` says of them. */
export function createContract(document: Json) {
  const ajv = new Ajv2020({
    strict: true,
    allErrors: true,
    validateFormats: false,
    keywords: ['example', 'components', 'discriminator'],
  });
  const { schemas } = withoutExtras(document.components) as { schemas: Json };
  // Known by a name, they are gone through once, and not for each answer.
  ajv.addSchema({ components: { schemas } }, components);
  const compiled = new Map<string, ValidateFunction>();
  const followed = new Set<string>();

  function validatorOf(name: string, schema: Json): ValidateFunction {
    const known = compiled.get(name);
    if (known) return known;
    const validate = ajv.compile(withoutExtras(schema) as Json);
    compiled.set(name, validate);
    return validate;
  }

  return {
    /** Compiles every schema of the document: throws for one that is no JSON Schema, or that refers to nothing. */
    compileAll() {
      for (const name of Object.keys(schemas)) validatorOf(name, { $ref: `#/components/schemas/${name}` });
      return Object.keys(schemas);
    },

    /** Expects that this operation documents this answer: its status, its media type and every member of its body. */
    expectDocumented(method: string, path: string, { status, headers, body }: Answer) {
      const name = `${method} ${path} ${status}`;
      const documented: Json | undefined = document.paths[path]?.[method.toLowerCase()]?.responses[status];
      expect(documented, `${name} is documented`).toBeDefined();
      if (!documented!.content) return expect([body, headers.get('content-type')], name).toEqual(['', null]);
      for (const [link, { parameters }] of Object.entries<Json>(documented!.links ?? {})) {
        if (Object.values<string>(parameters).every((value) => findIn(body, value))) followed.add(`${name} ${link}`);
      }
      const type = headers.get('content-type')!.split(';')[0]!;
      expect(Object.keys(documented!.content), name).toContain(type);
      const validate = validatorOf(`${name} ${type}`, documented!.content[type].schema);
      validate(body);
      expect(validate.errors ?? [], `${name}: ${JSON.stringify(body)}`).toEqual([]);
    },

    /** The links that no answer so far had the values for. */
    listUnfollowed() {
      const links = Object.entries<Json>(document.paths).flatMap(([path, item]) =>
        Object.entries<Json>(item).flatMap(([method, { responses }]) =>
          Object.entries<Json>(responses).flatMap(([status, { links = {} }]) =>
            Object.keys(links).map((link) => `${method.toUpperCase()} ${path} ${status} ${link}`),
          ),
        ),
      );
      return links.filter((link) => !followed.has(link));
    },
  };
}

/** What a runtime expression of a link, such as `$response.body#/runs/0/run_id`, finds in an answer. */
function findIn(body: Json, expression: string): unknown {
  const [, ...members] = expression.replace('$response.body#', '').split('/');
  return members.reduce<Json | undefined>((value, member) => value?.[member], body);
}

/** The name under which the schemas of the document are known. */
const components = 'document';

/** The schema with every object closed, so that a member that is not documented is an error, and its references to the document. */
function withoutExtras(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutExtras);
  if (typeof schema !== 'object' || schema === null) return schema;
  const closed: Json = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, withoutExtras(value)]));
  if (closed.type === 'object' && closed.properties) closed.additionalProperties ??= false;
  if (typeof closed.$ref === 'string') closed.$ref = closed.$ref.replace(/^#/, `${components}#`);
  return closed;
}
