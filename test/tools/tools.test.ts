import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { textsOf } from '../harness/canaries.ts';
import { VENDORS } from '../fakes/ask.ts';
import type { ModelCall, Reply } from '../fakes/model.ts';
import { startFakeWeb, type FakeWeb, type WebAnswer, type WebRequest } from '../fakes/web.ts';
import { until } from '../harness/orchflow.ts';
import { expectFault } from '../harness/problem.ts';
import { countRows } from '../harness/rows.ts';
import { useStory } from '../harness/story.ts';

/** Agents that call tools. */

let web: FakeWeb;
const found = { title: 'Otters', url: 'https://example.com/otters', content: 'They hold hands.' };
const story = useStory(async () => {
  web = await startFakeWeb(page);
  return {
    HTTP_REQUEST_ALLOWED_PRIVATE_CIDRS: '127.0.0.0/8',
    SEARXNG_URL: `${web.url}/searx`,
    WEB_SEARCH_LIMIT_PER_DAY: '2',
  };
});
beforeEach(() => void web.requests.splice(0));
afterAll(() => web.down());

function page({ path, body }: WebRequest): WebAnswer | Promise<WebAnswer> {
  if (path.startsWith('/searx/search?')) return { body: JSON.stringify({ results: [found] }) };
  if (path === '/moved') return { status: 301, headers: { location: '/prices' } };
  if (path === '/long') return { body: 'x'.repeat(1_000_000) };
  if (path === '/slow') return new Promise(() => {});
  if (path === '/gone') return { status: 404, body: 'Not here.' };
  return { headers: { 'content-type': 'text/plain', 'set-cookie': 'no' }, body: `Nine dollars. ${body}`.trim() };
}

type Call = { name: string; arguments: unknown };
type Run = { [field: string]: unknown };

/** Starts a run whose first task's agent calls these tools, one list a turn, and then answers with the last results. */
function startCalling(turns: Call[][], tools: unknown[], more: Run = {}, agent: Run = {}) {
  const execute = ({ task_id, calls }: ModelCall): Reply | undefined => {
    if (task_id !== 'T1') return undefined;
    let made = calls.length;
    const next = turns.find((turn) => (made -= turn.length) < 0);
    return next ? { call: next } : `Found: ${calls.map(({ result }) => result).join('; ')}`;
  };
  const agents = [{ name: 'researcher', tools, ...agent }];
  return story.start({ execute }, { agents, ...more });
}

const callsOf = (task_id: string) => story.model.callsFor('execute').filter((call) => call.task_id === task_id);
const lastCalls = () => callsOf('T1').at(-1)!.calls;
const get = (path: string) => ({ name: 'http_request', arguments: { url: `${web.url}${path}` } });

/** What was told of the tools of task T1. */
async function events(run_id: string) {
  const { db } = story.orchflow;
  const rows = await db.selectFrom('run_events').selectAll().where('run_id', '=', run_id).orderBy('seq').execute();
  return rows
    .filter(({ type, data }) => /^(agent|tool)\./.test(type) && data.task_id === 'T1')
    .map(({ type, data }) => ({ type, ...data }));
}

test.each(VENDORS)('%s: an agent looks things up with tools, and its answer is the output', async (vendor) => {
  const provider_id = await story.user.addProvider(story.model, vendor);
  const code = { name: 'run_javascript', arguments: { code: 'input.price * 12', input: { price: 9 } } };
  const run = await startCalling([[get('/prices'), code], [get('/gone')]], ['http_request', 'run_javascript'], {
    provider_id,
  });
  const { tasks, usage } = await run.until('completed');
  expect(tasks[0]!.output).toMatch(
    /^Found: HTTP 200 OK\ncontent-type: text\/plain[^;]*\n\nNine dollars\.; 108; HTTP 404/,
  );
  expect(tasks[0]).toMatchObject({ attempts: 1, usage: { llm_calls: 4 } });
  expect(usage.llm_calls).toBe(3 + 2 + 2 + 4);
  expect(web.requests.map(({ path }) => path)).toEqual(['/prices', '/gone']);
  expect(callsOf('T1')[0]!.tools.map(({ name }) => name)).toEqual(['http_request', 'run_javascript']);
  expect(tasks[0]!.output).not.toContain('set-cookie');
});

test('readers see each turn, call and result as an event', async () => {
  const run = await startCalling([[get('/prices')]], ['http_request']);
  await run.until('completed');
  const told = await events(run.run_id);
  const call = { task_id: 'T1', call_id: `${run.run_id}/T1/execute_task/1/1/1`, tool_name: 'http_request' };
  const answer = (turn: number) => ({ turn, attempt: 1, output_id: `${run.run_id}/T1/execute_task/1/${turn}` });
  expect(told).toEqual([
    { type: 'agent.turn', task_id: 'T1', ...answer(1), preview: '' },
    { type: 'tool.called', ...call, args: JSON.stringify(get('/prices').arguments) },
    { type: 'tool.result', ...call, is_error: false, preview: expect.stringContaining('Nine dollars.') },
    { type: 'agent.turn', task_id: 'T1', ...answer(2), preview: expect.stringContaining('Found: HTTP 200') },
  ]);
});

test('whatever goes wrong with a tool is told to the model, which goes on', async () => {
  const bad: [Call, string][] = [
    [{ name: 'no_such_tool', arguments: {} }, 'There is no tool "no_such_tool"'],
    [{ name: 'http_request', arguments: '{"url": "http' }, 'no valid JSON'],
    [{ name: 'http_request', arguments: { url: 'ftp://example.com' } }, 'The arguments are wrong'],
    [{ name: 'http_request', arguments: { url: 'http://127.0.0.1:1/' } }, 'could not be reached'],
    [{ name: 'run_javascript', arguments: { code: 'nothing.at.all' } }, "ReferenceError: 'nothing' is not defined"],
  ];
  const run = await startCalling([bad.map(([call]) => call)], ['http_request', 'run_javascript']);
  await run.until('completed');
  expect(lastCalls().map(({ is_error }) => is_error)).toEqual(bad.map(() => true));
  for (const [index, [, reason]] of bad.entries()) expect(lastCalls()[index]!.result).toContain(reason);
});

test('http_request goes to public addresses only, and never where a redirect points', async () => {
  const inside = [
    'http://169.254.169.254/latest/meta-data',
    'http://10.0.0.1/',
    'http://[::1]/',
    'http://[::ffff:192.168.0.1]/',
  ];
  const asked = inside.map((url) => ({ name: 'http_request', arguments: { url } }));
  const run = await startCalling([[...asked, get('/moved'), get('/long')]], ['http_request']);
  await run.until('completed');
  const results = lastCalls();
  for (const { result, is_error } of results.slice(0, inside.length)) {
    expect(result).toContain('is not a public address');
    expect(is_error).toBe(true);
  }
  expect(results.at(-2)!.result).toContain(`HTTP 301\nlocation: ${web.url}/prices`);
  expect(results.at(-1)!.result!.length).toBeLessThan(66_000);
  expect(web.requests.map(({ path }) => path).toSorted()).toEqual(['/long', '/moved']);
});

test('a request that changes something carries a key, the same if it is made again, and nothing of ours', async () => {
  const post = { url: `${web.url}/orders`, method: 'POST', headers: { 'X-Own': 'a', Host: 'evil' }, body: 'one' };
  const run = await startCalling([[{ name: 'http_request', arguments: post }]], ['http_request']);
  await run.until('completed');
  const [{ headers, ...request }] = web.requests as [WebRequest];
  expect(request).toEqual({ method: 'POST', path: '/orders', body: 'one' });
  expect(headers).toMatchObject({
    'idempotency-key': `${run.run_id}/T1/execute_task/1/1/1`,
    'x-own': 'a',
    host: new URL(web.url).host,
  });
  expect(JSON.stringify(headers)).not.toMatch(/sk-|authorization|api-key/i);
});

test('web_search asks the engine of the operator', async () => {
  const run = await startCalling(
    [[{ name: 'web_search', arguments: { query: 'do otters hold hands?' } }]],
    ['web_search'],
  );
  await run.until('completed');
  expect(lastCalls()).toMatchObject([{ result: 'Otters\nhttps://example.com/otters\nThey hold hands.' }]);
  expect(web.requests[0]!.path).toBe('/searx/search?q=do+otters+hold+hands%3F&format=json');
});

test('an account searches so often in a day; a call beyond that is not made, and its agent is told', async () => {
  const search = { name: 'web_search', arguments: { query: 'otters' } };
  await (await startCalling([[search, search, search]], ['web_search'])).until('completed');
  const refused = 'The agents of this account may search the web 2 times in a day, and have.';
  const results = lastCalls().map(({ result = '' }) => result);
  expect(results.filter((result) => result.startsWith('Otters'))).toHaveLength(2);
  expect(results.filter((result) => result.includes(refused))).toHaveLength(1);
  expect(web.requests).toHaveLength(2);
});

test('a run that is cancelled hangs up on the calls of its tools', async () => {
  const run = await startCalling([[get('/slow')]], ['http_request']);
  await until(() => web.requests.some(({ path }) => path === '/slow'), 'the call');
  expect((await run.cancel()).status).toBe(200);
  await until(() => web.abandoned.includes('/slow'), 'the end of the call');
});

test('an agent that goes on calling is told in its last turn to answer', async () => {
  const run = await startCalling(Array(9).fill([get('/prices')]), ['http_request'], {}, { max_turns: 3 });
  const waiting = await run.untilWaiting('T1');
  expect(waiting.tasks[0]).toMatchObject({
    gate: { kind: 'escalation', reason: expect.stringContaining('in 3 turns') },
  });
  expect(callsOf('T1').map(({ tool_choice }) => tool_choice)).toEqual([undefined, undefined, 'none']);
  expect(callsOf('T1')[2]!.system).toContain('Answer now');
  expect(web.requests).toHaveLength(2);
  await run.complete('T1', { decision: 'edit', output: 'Nine.' });
  await run.until('completed');
});

describe('a call that must be approved', () => {
  const gated = [{ name: 'http_request', require_approval: true }];
  const order = { url: '', method: 'POST', body: 'ten' };

  async function startOrder() {
    const given = { ...order, url: `${web.url}/orders` };
    const run = await startCalling([[{ name: 'http_request', arguments: given }]], gated);
    const { tasks } = await run.untilWaiting('T1');
    return { run, given, task: tasks[0]! };
  }

  test('waits with its tool and arguments, and is made as it is when it is approved', async () => {
    const { run, given, task } = await startOrder();
    expect(task.gate).toMatchObject({ kind: 'tool_approval', decisions: ['approve', 'edit', 'reject'] });
    expect(task.gate!.reason).toContain('http_request');
    expect(JSON.parse(task.output!)).toEqual(given);
    expect(web.requests).toEqual([]);
    expect((await run.complete('T1', { decision: 'approve' })).status).toBe(200);
    const done = await run.until('completed');
    expect(web.requests.map(({ body }) => body)).toEqual(['ten']);
    expect(done.tasks[0]!.output).toContain('Nine dollars. ten');
  });

  test('is made with the arguments of the person who edits them, and the model is told', async () => {
    const { run, given } = await startOrder();
    for (const output of ['Two, please.', '[]', '{"url":']) {
      expectFault(await run.complete('T1', { decision: 'edit', output }), '/output');
    }
    const edited = JSON.stringify({ ...given, body: 'two' });
    await run.complete('T1', { decision: 'edit', output: edited });
    await run.until('completed');
    const called = (await events(run.run_id)).filter(({ type }) => type === 'tool.called');
    expect(called).toMatchObject([{ args: edited }]);
    expect(called[0]).not.toHaveProperty('args_id');
    expect(web.requests.map(({ body }) => body)).toEqual(['two']);
    expect(lastCalls()[0]!.result).toMatch(/A person changed the arguments to:\n[^]*"two"[^]*Nine dollars\. two/);
  });

  test('is not made when it is rejected, and the model reads why', async () => {
    const { run } = await startOrder();
    await run.complete('T1', { decision: 'reject', output: 'We have enough.' });
    const done = await run.until('completed');
    expect(web.requests).toEqual([]);
    expect(lastCalls()).toMatchObject([{ is_error: true, result: expect.stringContaining('We have enough.') }]);
    expect(done.tasks[0]).toMatchObject({ attempts: 1, output: expect.stringContaining('A person refused this call') });
    expect((await events(run.run_id)).map(({ type }) => type)).toEqual(['agent.turn', 'tool.result', 'agent.turn']);
  });
});

describe('tools of an agent', () => {
  test('are those that GET /tools lists', async () => {
    const { status, body } = await story.user.get('/tools');
    expect(status).toBe(200);
    expect(body.tools.map(({ name }: { name: string }) => name)).toEqual([
      'http_request',
      'run_javascript',
      'web_search',
      'run_code',
    ]);
    expect(body.tools[0]).toMatchObject({ server: null, parameters: { type: 'object', required: ['url'] } });
  });

  test.for([
    ['an unknown one', '/agents/0/tools/1', ['http_request', 'shell']],
    ['one twice', '/agents/0/tools/1', ['http_request', { name: 'http_request', require_approval: true }]],
    ['one that is no name', '/agents/0/tools/0', [42]],
    ['an unknown field', '/agents/0/tools/0/approval', [{ name: 'http_request', approval: true }]],
    ['of an unknown server', '/agents/0/tools/0', ['weather.forecast']],
  ] as const)('%s is refused', async ([, pointer, tools]) => {
    const before = await countRows(story.orchflow.db);
    const run = { task: 'x', provider_id: story.provider_id, agents: [{ name: 'a', tools }] };
    expectFault(await story.user.post('/runs', run), pointer);
    expect(await countRows(story.orchflow.db)).toEqual(before);
  });
});

test('what tools were told and said is not in the history of the run', async () => {
  const long = 'w'.repeat(5_000);
  const post = { url: `${web.url}/x`, method: 'POST', body: `${long} END-OF-ARGUMENTS` };
  const run = await startCalling([[{ name: 'http_request', arguments: post }]], ['http_request']);
  await run.until('completed');
  expect(lastCalls()[0]!.result).toContain('END-OF-ARGUMENTS');
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  await handle.result();
  const { events: steps } = await handle.fetchHistory();
  const history = textsOf(steps).join('\n');
  expect(history).toContain('tool.called');
  expect(history).not.toContain('END-OF-ARGUMENTS');
});
