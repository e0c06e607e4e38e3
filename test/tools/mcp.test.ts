import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { VENDORS } from '../fakes/ask.ts';
import { mcpKey, startFakeMcp, type FakeMcp } from '../fakes/mcp.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { countRows } from '../harness/rows.ts';
import { serverTiming } from '../harness/server-timing.ts';
import type { Script } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Tools of MCP servers. */

let mcp: FakeMcp;
const story = useStory({ MCP_STDIO_ENABLED: 'true' });
beforeAll(async () => {
  mcp = await startFakeMcp((city) => `Rain in ${city}.`);
});
beforeEach(() => void mcp.calls.splice(0));
afterAll(() => mcp.down());

const server = () => ({ name: 'weather', url: mcp.url, headers: { Authorization: mcpKey } });

/** A run whose first agent calls its one tool, and says what it heard. */
function startCalling(tool: string, given: unknown, script: Script = {}) {
  return story.start(
    {
      ...script,
      execute({ task_id, tools: [offered], calls: [made] }) {
        if (task_id !== 'T1') return undefined;
        if (made) return `${made.is_error ? 'Failed' : 'Heard'}: ${made.result}`;
        return offered ? { call: [{ name: offered.name, arguments: given }] } : 'I have no tools.';
      },
    },
    { agents: [{ name: 'researcher', tools: [tool] }], provider_id: story.provider_id },
  );
}

test.each([
  ['is not there', 'http://127.0.0.1:2/mcp', /it gave no answer: the connection was refused \(ECONNREFUSED\)/],
  [
    'has no such name',
    'http://no-such-host.invalid/mcp',
    /it gave no answer: (there is no such host|the name of the host)/,
  ],
  ['is spoken to with TLS', () => mcp.url.replace('http:', 'https:'), /it gave no answer: it does not speak TLS there/],
  ['may not be called', 'http://10.0.0.1/mcp', /^10\.0\.0\.1 is not a public address/],
  ['has a port that nobody asks', 'http://127.0.0.1:1/mcp', /failed: fetch failed \(bad port\)/],
])('one that %s is refused with the reason, said once', async (_, url, words) => {
  const answer = await story.user.post('/tools/mcp', { name: 'away', url: typeof url === 'string' ? url : url() });
  expectFault(answer, '/url');
  const { detail } = answer.body.errors[0];
  expect(detail).toMatch(words);
  expect(detail).not.toMatch(/Version negotiation|(fetch failed|public address).*\1/);
});

test('a registered server is listed with its tools, never with its secrets, and is removed', async () => {
  const { status, body } = await story.user.post('/tools/mcp', server());
  expect(status).toBe(201);
  expect(body).toMatchObject({
    name: 'weather',
    url: mcp.url,
    command: null,
    tools: [{ name: 'weather.forecast', description: 'The weather of tomorrow.' }, { name: 'weather.broken.tool' }],
  });
  expect((await story.user.get('/tools/mcp')).body.servers).toEqual([body]);
  const tools = (await story.user.get('/tools')).body.tools as { name: string }[];
  const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
  expect(tools.find(({ name }) => name === 'weather.forecast')).toMatchObject({
    server: 'weather',
    parameters: schema,
  });

  const stranger = await story.orchflow.register();
  expect((await stranger.get('/tools/mcp')).body.servers).toEqual([]);
  expect((await stranger.delete('/tools/mcp/weather')).status).toBe(404);
  expect((await story.user.post('/tools/mcp', server())).status).toBe(201);
  expect((await story.user.delete('/tools/mcp/weather')).body).toMatchObject({ name: 'weather', status: 'deleted' });
  expectProblem(await story.user.delete('/tools/mcp/weather'), {
    status: 404,
    code: 'NOT_FOUND',
    detail: 'MCP server not found.',
  });
});

test.each(VENDORS)('%s: an agent calls a tool of an MCP server', async (vendor) => {
  await story.user.post('/tools/mcp', server());
  story.provider_id = await story.user.addProvider(story.model, vendor);
  const run = await startCalling('weather.forecast', { city: 'Rome' });
  const done = await run.until('completed');
  expect(done.tasks[0]!.output).toBe('Heard: Rain in Rome.');
  expect(mcp.calls).toEqual([{ city: 'Rome', key: `${run.run_id}/T1/execute_task/1/1/1` }]);
});

test('what goes wrong with an MCP tool is told to the model: it fails, refuses its arguments, or is not there any more', async () => {
  const stories = [
    ['weather.broken.tool', {}, 'Failed: The satellite is gone.'],
    ['weather.forecast', { city: 1 }, /^Failed: .*city/s],
  ] as const;
  await story.user.post('/tools/mcp', server());
  for (const [tool, given, heard] of stories) {
    const done = await (await startCalling(tool, given)).until('completed');
    expect(done.tasks[0]!.output).toMatch(heard);
  }

  const inferred = Promise.withResolvers<undefined>();
  const run = await startCalling('weather.forecast', { city: 'Rome' }, { infer: () => inferred.promise });
  await story.user.delete('/tools/mcp/weather');
  inferred.resolve(undefined);
  const done = await run.until('completed');
  expect(done.tasks[0]!.output).toBe('I have no tools.');
  expect(done.warnings).toEqual(['The tool weather.forecast is not there any more; the agent goes on without it.']);
});

test('a server that is removed in the middle of a conversation: the model goes on knowing what it has called', async () => {
  await story.user.post('/tools/mcp', server());
  const call = { name: 'weather__forecast', arguments: { city: 'Oslo' } };
  const run = await story.start(
    {
      async execute({ task_id, calls }) {
        if (task_id !== 'T1') return undefined;
        if (calls.length === 1) await story.user.delete('/tools/mcp/weather');
        return calls.length < 2 ? { call: [call] } : calls.map(({ result }) => result).join(' ');
      },
    },
    { agents: [{ name: 'researcher', tools: ['weather.forecast'] }] },
  );
  const done = await run.until('completed');
  expect(done.tasks[0]!.output).toBe('Rain in Oslo. There is no tool "weather.forecast".');
  const turns = story.model.callsFor('execute').filter(({ task_id }) => task_id === 'T1');
  expect(turns.map(({ tools }) => tools.map(({ name }) => name))).toEqual(Array(3).fill([call.name]));
});

test('a program is an MCP server where the operator allows it, and has no other environment than is given', async () => {
  const script = path.join(import.meta.dirname, '../fakes/mcp-stdio.ts');
  const own = { name: 'own', command: process.execPath, args: [script, 'Ada'], env: { TOKEN: 'tok-SECRET' } };
  const { status, body } = await story.user.post('/tools/mcp', own);
  expect(status, JSON.stringify(body)).toBe(201);
  expect(JSON.stringify(body)).not.toContain('SECRET');
  const done = await (await startCalling('own.whoami', {})).until('completed');
  expect(done.tasks[0]!.output).toBe('Heard: Ada with tok-SECRET');
});

test('a program that is slow to start has its own time to list its tools', async () => {
  const script = path.join(import.meta.dirname, '../fakes/mcp-stdio.ts');
  const args = ['-c', 'sleep 3; exec "$0" "$1" Ada', process.execPath, script];
  const { status, body, headers } = await story.user.post('/tools/mcp', { name: 'slow', command: '/bin/sh', args });
  expect(status, JSON.stringify(body)).toBe(201);
  expect(serverTiming(headers).wait).toBeGreaterThan(3_000);
});

test('a server that never answers keeps others of its account waiting only as long as whoever registers it waits', async () => {
  const asked = Promise.withResolvers<void>();
  const silent = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    asked.resolve();
  });
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  const register = (given: object, signal: AbortSignal) =>
    fetch(`${story.orchflow.url}/api/v1/tools/mcp`, {
      method: 'POST',
      headers: { 'x-api-key': story.user.api_key, 'content-type': 'application/json' },
      body: JSON.stringify(given),
      signal,
    });
  const leaving = new AbortController();
  const registering = register({ name: 'silent', url: `http://127.0.0.1:${port}` }, leaving.signal);
  await asked.promise;
  // The silent one would have 20 seconds.
  const next = register(server(), AbortSignal.timeout(15_000));
  leaving.abort();
  await expect(registering).rejects.toThrow();
  expect((await next).status).toBe(201);
  silent.closeAllConnections();
  silent.close();
});

test.for([
  ['a server that is not there', '/url', { url: 'http://127.0.0.1:1/mcp' }],
  ['an address that may not be called', '/url', { url: 'http://169.254.169.254/mcp' }],
  ['a wrong key, which is not told again', '/url', { headers: { Authorization: 'Bearer sk-canary-wrong' } }],
  ['a program that is not there', '/command', { url: undefined, headers: undefined, command: '/no/such/program' }],
  ['a URL and a program', '/url', { command: 'node' }],
  ['neither', '/url', { url: undefined }],
  ['a name with a dot', '/name', { name: 'a.b' }],
  ['a header with a line break', '/headers/X', { headers: { X: 'a\nb' } }],
] as const)('%s is refused', async ([, pointer, change]) => {
  const before = await countRows(story.orchflow.db);
  const answer = await story.user.post('/tools/mcp', { ...server(), ...change });
  expectFault(answer, pointer);
  expect(await countRows(story.orchflow.db)).toEqual(before);
});
