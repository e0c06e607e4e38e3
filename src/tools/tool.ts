import { z } from 'zod';

/** What a tool is told of its call. */
export type ToolContext = {
  /** Whose run calls it, and for which task. */
  account_id: string;
  run_id: string;
  task_id: string | null;
  /** Cancellation, or the deadline of the call. */
  signal: AbortSignal;
  /** The same whenever this call is made again after a crash: what it did may have been done. */
  idempotency_key: string;
};

/** Something that a model may call. It answers with text, for the model. */
export type Tool = {
  name: string;
  description: string;
  /** Of its arguments: a JSON schema of an object. */
  json_schema: Record<string, unknown>;
  /** @throws ToolError, which the model is told; whatever else goes wrong too. */
  run: (given: Record<string, unknown>, context: ToolContext) => Promise<string>;
};

/** Why a call has no result. The model reads it, and may call again in another way. */
export class ToolError extends Error {
  override readonly name = 'ToolError';
}

/** The longest result, in characters; what is beyond it is cut. */
export const maxResultLength = 64 * 1024;

/** A tool of ours: its arguments are checked before it runs. */
export function defineTool<S extends z.ZodObject>(tool: {
  name: string;
  description: string;
  parameters: S;
  run: (given: z.infer<S>, context: ToolContext) => Promise<string>;
}): Tool {
  const { name, description, parameters, run } = tool;
  const { $schema: _, ...json_schema } = z.toJSONSchema(parameters, { io: 'input' });
  return {
    name,
    description,
    json_schema,
    run: (given, context) => {
      const { success, data, error } = parameters.safeParse(given);
      if (!success) throw new ToolError(`The arguments are wrong. ${z.prettifyError(error).slice(0, 1_000)}`);
      return run(data, context);
    },
  };
}

/** The text of a body, up to the longest result; what is beyond it is not read. */
export async function readText(response: Response, limit = maxResultLength): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > limit) return `${text.slice(0, limit)}\n[… cut]`;
  }
  return text;
}
