import { expect, test } from 'vitest';
import { wireName } from '../../src/tools/index.ts';
import { startRawMcp } from '../fakes/mcp.ts';
import type { Reply } from '../fakes/model.ts';
import { expectFault } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** Servers with a tool that cannot be offered: it never takes the others with it. */

const story = useStory();

const find = {
  name: 'find',
  description: 'Finds.',
  inputSchema: { type: 'object', properties: { q: { type: 'string' } } },
};

async function register(...pages: unknown[][]) {
  const mcp = await startRawMcp(pages);
  const answer = await story.user.post('/tools/mcp', { name: 'srv', url: mcp.url });
  return { mcp, answer };
}

test.each<[string, unknown]>([
  [
    'an output schema without a type',
    { name: 'odd', inputSchema: { type: 'object' }, outputSchema: { description: 'x' } },
  ],
  ['an output schema with a boolean in it', { ...find, name: 'odd', outputSchema: { properties: { result: true } } }],
  [
    'no description, and annotations that are none',
    { name: 'odd', description: null, annotations: 'x', icons: 3, inputSchema: { type: 'object' } },
  ],
  ['no input schema', { name: 'odd' }],
  ['an input schema that is null', { name: 'odd', inputSchema: null }],
  ['an input schema with a boolean in it', { name: 'odd', inputSchema: { type: 'object', properties: { raw: true } } }],
  ['an input schema without a type', { name: 'odd', inputSchema: { anyOf: [{ properties: { a: {} } }] } }],
  ['a slash in its name', { ...find, name: 'group/odd' }],
  ['properties as PHP has them', { name: 'odd', inputSchema: { type: 'object', properties: [] } }],
])('a tool with %s is there, and called', async (_, odd) => {
  const { mcp, answer } = await register([odd, find]);
  const own = `srv.${(odd as { name: string }).name}`;
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  expect(answer.body.tools.map(({ name }: { name: string }) => name)).toEqual([own, 'srv.find']);
  expect(answer.body.left_out).toBeUndefined();
  expect((await story.user.get('/tools')).status).toBe(200);
  const call: Reply = { call: [{ name: wireName(own), arguments: {} }] };
  const run = await story.start(
    {
      execute: ({ task_id, calls }) => (task_id === 'T1' ? (calls[0] ? `Heard: ${calls[0].result}` : call) : undefined),
    },
    { agents: [{ name: 'researcher', tools: [own, 'srv.find'] }] },
  );
  expect((await run.until('completed')).tasks[0]!.output).toBe(`Heard: This is ${own.slice(4)}.`);
  mcp.down();
});

test('tools that cannot be offered are named with the reason, over all pages, and the others are there', async () => {
  const odd = [
    { name: '', inputSchema: { type: 'object' } },
    { description: 'no name', inputSchema: { type: 'object' } },
    'a text',
    null,
    { name: 'list', inputSchema: { type: 'array' } },
    { name: 'list2', inputSchema: [] },
    { name: 'x'.repeat(161), inputSchema: { type: 'object' } },
    { name: 'nul\u0000', inputSchema: { type: 'object' } },
  ];
  const { mcp, answer } = await register(odd, [find], [find, { ...find, name: 'other' }]);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  expect(answer.body.tools.map(({ name }: { name: string }) => name)).toEqual(['srv.find', 'srv.other']);
  expect(answer.body.left_out).toHaveLength(9);
  expect(answer.body.left_out).toContainEqual({ name: 'find', reason: 'another tool has the same name' });
  expect(answer.body.left_out).toContainEqual({ name: 'list', reason: expect.stringContaining('object') });
  expect(answer.body.left_out).toContainEqual({ name: 'tool 3', reason: 'it has no name' });
  expect((await story.user.get('/tools/mcp')).body.servers[0].tools).toEqual(answer.body.tools);
  mcp.down();
});

test('a tool that the vendor refuses is left out with a warning, and the agent works with the others', async () => {
  const { mcp } = await register([find, { ...find, name: 'odd.one' }]);
  const refusal: Reply = {
    status: 400,
    body: {
      error: { message: "Invalid schema for function 'srv__odd_one_x': no.", param: 'tools[1].function.parameters' },
    },
  };
  const run = await story.start(
    {
      execute({ task_id, tools, calls }) {
        if (task_id !== 'T1') return undefined;
        const odd = tools.find(({ name }) => name.startsWith('srv__odd'));
        if (odd) {
          const message = `Invalid schema for function '${odd.name}': no.`;
          return { ...refusal, body: { error: { message } } };
        }
        return calls[0] ? `Heard: ${calls[0].result}` : { call: [{ name: 'srv__find', arguments: { q: 'x' } }] };
      },
    },
    { agents: [{ name: 'researcher', tools: ['srv.find', 'srv.odd.one'] }] },
  );
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ output: 'Heard: This is find.', attempts: 1 });
  expect(done.warnings).toEqual([
    expect.stringMatching(/^The tool srv\.odd\.one was left out, .*Invalid schema for function/),
  ]);
  mcp.down();
});

test('a server that lists no list of tools is refused, with the reason', async () => {
  const mcp = await startRawMcp([]);
  const answer = await story.user.post('/tools/mcp', { name: 'srv', url: mcp.url });
  expectFault(answer, '/url');
  mcp.down();
});

const described = (name: string, length: number) => ({
  name,
  inputSchema: { type: 'object', properties: { q: { type: 'string', description: 'x'.repeat(length) } } },
});

test('schemas have a bound, each and all together', async () => {
  const many = Array.from({ length: 9 }, (_, n) => described(`tool${n}`, 90_000));
  const { mcp, answer } = await register([described('huge', 100_001), ...many, find]);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  const names = answer.body.tools.map(({ name }: { name: string }) => name);
  expect(names).toEqual([...many.slice(0, 5).map(({ name }) => `srv.${name}`), 'srv.find']);
  expect(answer.body.left_out).toEqual([
    { name: 'huge', reason: 'its schema is longer than 100000 characters' },
    ...many.slice(5).map(({ name }) => ({
      name,
      reason: 'the schemas of the server are longer than 500000 characters together',
    })),
  ]);
  mcp.down();
});

test('a list that is too long to be read is refused, a page at a time, and in words', async () => {
  const page = Array.from({ length: 8 }, (_, n) => described(`tool${n}`, 100_001));
  const paged = await register(page, page, [find]);
  expect(paged.answer.status, JSON.stringify(paged.answer.body)).toBe(201);
  expect(paged.answer.body.tools).toHaveLength(1);
  const whole = await register([...page, ...page]);
  expectFault(whole.answer, '/url');
  expect(whole.answer.body.errors[0].detail).toContain('larger than 1048576 bytes');
  for (const { mcp } of [paged, whole]) mcp.down();
});

test('of an account one server is asked at a time, since a list may be long', async () => {
  const { mcp } = await register([find]);
  const alone = mcp.asked.splice(0);
  const names = Array.from({ length: 5 }, (_, n) => `srv${n}`);
  await Promise.all(names.map((name) => story.user.post('/tools/mcp', { name, url: mcp.url })));
  expect(mcp.asked).toEqual(names.flatMap(() => alone));
  await Promise.all(names.map((name) => story.user.delete(`/tools/mcp/${name}`)));
  mcp.down();
});

test('so have all servers of an account together; the list of tools has the schemas, that of servers has none', async () => {
  await story.user.delete('/tools/mcp/srv');
  const mcp = await startRawMcp([Array.from({ length: 5 }, (_, n) => described(`tool${n}`, 98_000))]);
  const register = (name: string) => story.user.post('/tools/mcp', { name, url: mcp.url });
  for (const name of ['b', 'a']) expect((await register(name)).status).toBe(201);
  const refused = await register('c');
  expect(refused.status).toBe(429);
  expect(refused.body.detail).toContain(
    'The tools of all MCP servers of an account have 1,000,000 characters at most.',
  );
  expect((await register('a')).status, 'in place of one that is there').toBe(201);

  const { tools } = (await story.user.get('/tools')).body;
  const ofServers = tools.filter(({ server }: { server: string | null }) => server);
  expect(ofServers.map(({ name }: { name: string }) => name)).toEqual(
    ['a', 'b'].flatMap((server) => Array.from({ length: 5 }, (_, n) => `${server}.tool${n}`)),
  );
  expect(ofServers[0]).toEqual({
    name: 'a.tool0',
    description: 'tool0',
    parameters: described('tool0', 98_000).inputSchema,
    server: 'a',
  });
  const { servers } = (await story.user.get('/tools/mcp')).body;
  expect(servers[1].tools[4]).toEqual({ name: 'b.tool4', description: 'tool4' });
  expect(JSON.stringify(servers).length).toBeLessThan(5_000);
  mcp.down();
});
