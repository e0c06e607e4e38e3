import { z } from 'zod';
import { JavaScriptError, runJavaScript } from '../javascript/index.ts';
import { defineTool, ToolError } from './tool.ts';

const timeout_ms = 10_000;

export const runJavascript = defineTool({
  name: 'run_javascript',
  description:
    'Runs JavaScript and returns its value as JSON: an expression, or statements that end with `return`. For exact ' +
    'calculations and for work on data. There is no network, no files, no timers, no modules and no promises; ' +
    '`console.log` is returned too. At most 10 seconds.',
  parameters: z.object({
    code: z.string().max(100_000),
    input: z.unknown().optional().describe('A JSON value, the variable `input` of the code.'),
  }),
  async run({ code, input = null }, { account_id: owner, signal }) {
    try {
      const { value, logs } = await runJavaScript(code, { input }, { owner, timeout_ms, signal });
      return [...logs, JSON.stringify(value, null, 1)].join('\n');
    } catch (error) {
      if (error instanceof JavaScriptError) throw new ToolError(error.message);
      throw error;
    }
  },
});
