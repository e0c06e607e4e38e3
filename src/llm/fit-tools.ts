import { isObject } from './json.ts';
import { LlmError, type ModelAnswer, type ModelRequest, type ModelTarget, type ToolDefinition } from './model.ts';
import { fitToolSchema } from './tool-schema.ts';
import type { Wire } from './wire.ts';

/** What OpenAI takes; others take more. */
const maxDescription = 1_024;
/** What Anthropic takes for the name of an argument. */
const argumentName = /^[\w.-]{1,64}$/;

type LeftOut = NonNullable<ModelAnswer['left_out']>;

/**
 * Asks with those of the tools that this vendor takes, their schemas made fit for it. One that it cannot be told of is left
 * out, and so is one that it names when it refuses the request, which is free: a tool never takes the others with it.
 * The answer says which were.
 */
export async function withFitTools(
  target: ModelTarget,
  request: ModelRequest,
  wire: Wire,
  ask: (request: ModelRequest) => Promise<ModelAnswer>,
): Promise<ModelAnswer> {
  if (!request.tools?.length) return ask(request);
  const fitted = request.tools.map((tool) => fitTool(target, tool));
  const left_out: LeftOut = request.tools
    .filter((_, index) => !fitted[index])
    .map(({ name }) => ({ name, reason: 'its schema is too large, or not that of an object' }));
  const tools = fitted.filter((tool) => tool !== undefined);
  for (;;) {
    requireForced(request, left_out);
    try {
      const answer = await ask({ ...request, tools: [...tools] });
      return left_out.length ? { ...answer, left_out } : answer;
    } catch (error) {
      const failure = wire.failure ?? error;
      const at =
        failure instanceof LlmError && failure.type === 'LlmBadRequest' ? refusedTool(tools, failure.message) : -1;
      if (at < 0) throw error;
      const [refused] = tools.splice(at, 1);
      left_out.push({ name: refused!.name, reason: (failure as LlmError).message });
    }
  }
}

function fitTool({ vendor, base_url }: ModelTarget, tool: ToolDefinition): ToolDefinition | undefined {
  const json_schema = fitToolSchema(tool.json_schema);
  if (!json_schema) return undefined;
  if (vendor === 'openai' && !base_url)
    return { ...tool, json_schema, description: tool.description.slice(0, maxDescription) };
  if (vendor === 'gemini') return { ...tool, json_schema: knownSchema(json_schema) as Record<string, unknown> };
  return { ...tool, json_schema: vendor === 'anthropic' ? withKnownNames(json_schema) : json_schema };
}

/** Arguments of other names cannot be given there: a tool that needs one says so when it is called. */
function withKnownNames(schema: Record<string, unknown>): Record<string, unknown> {
  const properties = Object.entries(schema.properties as object).filter(([name]) => argumentName.test(name));
  const required = (schema.required as string[] | undefined)?.filter((name) => argumentName.test(name));
  return { ...schema, properties: Object.fromEntries(properties), ...(required && { required }) };
}

/** What Gemini knows of a schema. */
const KEYWORDS = new Set(
  (
    'type description title enum format items prefixItems minItems maxItems minimum maximum anyOf oneOf properties ' +
    'additionalProperties required $ref $defs'
  ).split(' '),
);

/** The schema, or what stands inside of one, without other keywords; whoever runs the tool checks its arguments. */
function knownSchema(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(knownSchema);
  if (!isObject(schema)) return schema;
  const known = Object.entries(schema).filter(([keyword]) => KEYWORDS.has(keyword));
  return Object.fromEntries(
    known.map(([keyword, value]) => {
      const isNamed = (keyword === 'properties' || keyword === '$defs') && isObject(value);
      if (!isNamed) return [keyword, keyword === 'enum' ? value : knownSchema(value)];
      return [keyword, Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, knownSchema(inner)]))];
    }),
  );
}

/** The place of the tool that a refusal is about: vendors say its name, or count from 0. */
function refusedTool(tools: ToolDefinition[], message: string): number {
  const [, digits] =
    /function_?declarations\[(\d{1,3})\]/i.exec(message) ?? /\btools(?:\[|\.|['"]?, ?)(\d{1,3})\b/.exec(message) ?? [];
  if (digits !== undefined && Number(digits) < tools.length) return Number(digits);
  const quoted = new Set(message.match(/[\w-]{1,64}/g));
  return tools.findIndex(({ name }) => quoted.has(name));
}

function requireForced({ tool_choice }: ModelRequest, left_out: LeftOut): void {
  const forced = left_out.find(({ name }) => typeof tool_choice === 'object' && name === tool_choice.name);
  if (forced)
    throw new LlmError('LlmBadRequest', `The tool ${forced.name} cannot be offered to this model: ${forced.reason}`);
}
