import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startFakeModel, type ModelCall, type Reply } from '../../test/fakes/model.ts';
import { entryOf } from '../outside.ts';
import { scriptRun } from '../../test/harness/script.ts';

/** What the hostile tenant has outside: a model and MCP servers that do as it likes, and a server that never answers. */

/** A call of a tool as it reached one of the tenant's MCP servers. */
export type HostileToolCall = {
  /** The call in Orchflow's journal, by the key that went along. */
  call_id: string;
  server: number;
  tool: string;
  at: number;
};

type McpRequest = { id?: number; method: string; params?: any };

export type HostileOutside = Awaited<ReturnType<typeof startHostileOutside>>;

/** How long a text is that was once slow to read, in characters. */
const longText = 200_000;

/**
 * What the model does with the calls of a run, by the word in its marker: `[run:xhang-7]` hangs. Of the first ones all calls
 * are answered so, of the others only those for the work itself.
 */
const habits = {
  always: {
    hang: { hang: 'before_headers' },
    stall: { hang: 'after_headers' },
    // Each of the two was once read in a time that grows with the square of its length.
    fence: `\`\`\`json\n{"a":1\n${'\n'.repeat(longText)}`,
    brackets: '{"['.repeat(longText / 3),
    flood: 'x'.repeat(5 * 1024 * 1024),
  } as Record<string, Reply>,
  atWork: {
    /** Tools of which it was not told. */
    guess: ({ calls }) => callOf(['bank__pay', 'http_request', 'nothing'][calls.length]),
    /** To where nothing answers. */
    wander: ({ calls }, never) => callOf(calls.length < 1 && 'http_request', { url: never }),
    linger: ({ calls }) => callOf(calls.length < 1 && 'shop__slow'),
    pay: ({ calls, run_marker }) => callOf(calls.length < 2 && 'bank__pay', { to: run_marker }),
  } as Record<string, (call: ModelCall, never: string) => Reply>,
};

/** What a run can be told to do by its marker. */
export type Habit = 'hang' | 'stall' | 'fence' | 'brackets' | 'flood' | 'guess' | 'wander' | 'linger' | 'pay' | 'plain';

function callOf(name: string | undefined | false, given: object = {}): Reply {
  return name ? { text: 'I call.', call: [{ name, arguments: given }] } : 'Done.';
}

function habitOf({ run_marker = '' }: ModelCall): string {
  return /^x([a-z]+)/.exec(run_marker)?.[1] ?? 'plain';
}

export async function startHostileOutside() {
  const model = await startFakeModel();
  const toolCalls: HostileToolCall[] = [];
  /** What is done between a turn's question and its answer, by the run's marker. */
  const meanwhile = new Map<string, () => Promise<void>>();

  const server = createServer((request, response) => {
    const number = /^\/mcp\/(\d+)/.exec(request.url!)?.[1];
    if (number) void answerMcp(Number(number), request, response);
    // Everything else hangs, for as long as the other side likes.
    else request.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const never = `${url}/never`;

  scriptRun(model, {
    execute: async (call) => {
      await meanwhile.get(call.run_marker ?? '')?.();
      return call.tool_choice === 'none' ? 'Done.' : habits.atWork[habitOf(call)]?.(call, never);
    },
  });
  model.on((call) => {
    // They are many, and nobody looks at them.
    call.body = {};
    return habits.always[habitOf(call)];
  });

  /** Its tools say which server they are of; `slow` never returns. */
  async function answerMcp(number: number, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString()) as McpRequest;
    if (id === undefined) return void response.writeHead(202).end();
    if (method === 'tools/call') {
      const call_id = String(params._meta?.['orchflow/idempotency_key']);
      toolCalls.push({ call_id, server: number, tool: params.name, at: Date.now() });
      if (params.name === 'slow') return;
    }
    const result = resultOf(method, params, number);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
  }

  return {
    model,
    meanwhile,
    /** Takes every request and answers none. */
    never,
    mcpServer: (number: number) => `${url}/mcp/${number}`,
    toolCalls,
    /** Without their prompts, which may be long. */
    calls: () => model.calls.map((call) => entryOf({ ...call, prompt: '' })),
    async close() {
      server.closeAllConnections();
      server.close();
      await model.close();
    },
  };
}

function resultOf(method: string, params: any, number: number): object {
  const tool = (name: string) => ({ name, description: `Of server ${number}.`, inputSchema: { type: 'object' } });
  if (method === 'initialize') {
    const { protocolVersion } = params;
    return { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'hostile', version: '1' } };
  }
  if (method === 'tools/list') return { tools: ['pay', 'look', 'slow'].map(tool) };
  return { content: [{ type: 'text', text: `Paid by server ${number}.` }] };
}
