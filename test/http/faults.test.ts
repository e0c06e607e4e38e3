import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startOrchflow, type Orchflow, type TestRun, type User } from '../harness/orchflow.ts';
import { runSteps } from '../harness/orchestration.ts';

/** In which words a 422 says what is wrong, and where in what has several forms. */

let orchflow: Orchflow;
let user: User;
let waiting: TestRun;
/** Of an orchestration, which waits at a form. */
let paused: string;

const task = 'Compare three note apps.';

beforeAll(async () => {
  orchflow = await startOrchflow();
  user = await orchflow.register();
  waiting = await user.startRun({ task, ask_me_about: ['the budget'] });
  await waiting.untilWaiting('T1');
  const ask = { id: 'ask', type: 'human', human_fields: [{ name: 'answer', type: 'textarea' }] };
  paused = (await runSteps(user, [ask])).body.run_id;
});
afterAll(() => orchflow.stop());

describe('the fault of a field says in plain words what it must be', () => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => `item ${index}`);
  const step = (more: object) => ({ name: 'A', entry_step_id: 'a', steps: [{ id: 'a', name: 'A', ...more }] });
  const human = (field: object) => step({ type: 'human', human_fields: [{ name: 'x', ...field }] });
  const tools = (tool: unknown) => step({ type: 'agent', allowed_tools: [tool] });
  const gate = (human_gate: unknown) => ({ task, human_gates: [human_gate] });
  const agent = (more: object) => ({ task, agents: [{ name: 'a', ...more }] });
  const actions = 'must be one of wait, escalate, reject, approve, cancel';
  const [runs, orchestrations, run] = ['/runs', '/orchestrations', '/orchestrations/orch-research-report/run'];
  const complete = () => `/runs/${waiting.run_id}/tasks/T1/complete`;
  const resumed = () => `/orchestrations/runs/${paused}/resume`;

  test.for<[path: string | (() => string), body: object, errors: [pointer: string, detail: string][]]>([
    // A text or an object.
    [
      runs,
      gate({ nam: 'legal' }),
      [
        ['/human_gates/0/name', 'is required'],
        ['/human_gates/0/nam', 'is not a field of this request'],
      ],
    ],
    [runs, gate({ name: 'legal', on_timeout: 'escalated' }), [['/human_gates/0/on_timeout', actions]]],
    [runs, gate(7), [['/human_gates/0', 'must be a text or an object']]],
    [runs, gate(['legal']), [['/human_gates/0', 'must be a text or an object']]],
    [runs, gate(''), [['/human_gates/0', 'must not be empty']]],
    [
      runs,
      agent({ tools: [{ name: 'http_request', require_approval: 'true' }] }),
      [['/agents/0/tools/0/require_approval', 'must be true or false']],
    ],
    [runs, agent({ tools: [{ require_approval: true }] }), [['/agents/0/tools/0/name', 'is required']]],
    [runs, agent({ tools: [7] }), [['/agents/0/tools/0', 'must be a text or an object']]],
    [
      orchestrations,
      tools({ name: 'x', approve: true }),
      [['/steps/0/allowed_tools/0/approve', 'is not a field of this request']],
    ],
    [resumed, { response: ['yes'] }, [['/response', 'must be a text or an object']]],
    [resumed, { response: true }, [['/response', 'must be a text or an object']]],
    // A text or a list.
    [
      orchestrations,
      human({ type: 'select', options: [] }),
      [['/steps/0/human_fields/0/options', 'must be at least 1 item']],
    ],
    [
      orchestrations,
      human({ type: 'select', options: ['a', 7] }),
      [['/steps/0/human_fields/0/options/1', 'must be a text']],
    ],
    [
      orchestrations,
      human({ type: 'select', options: { a: 1 } }),
      [['/steps/0/human_fields/0/options', 'must be a text or a list']],
    ],
    // One of several kinds of objects.
    [
      orchestrations,
      step({ type: 'agnet' }),
      [['/steps/0/type', expect.stringMatching(/^must be one of agent, llm, /)]],
    ],
    [orchestrations, step({}), [['/steps/0/type', 'is required']]],
    [orchestrations, { ...step({}), steps: ['a'] }, [['/steps/0', 'must be an object']]],
    // Of a wrong type, only the type is told.
    [runs, { task, ask_me_about: 'brand voice, target audience' }, [['/ask_me_about', 'must be a list']]],
    [
      runs,
      { task, human_gates: 'legal', agents: {} },
      [
        ['/agents', 'must be a list'],
        ['/human_gates', 'must be a list'],
      ],
    ],
    [runs, { task: ['x'] }, [['/task', 'must be a text']]],
    [
      runs,
      { task, max_tokens: 0.5, max_cost_usd: '1' },
      [
        ['/max_cost_usd', 'must be a number'],
        ['/max_tokens', 'must be a whole number'],
      ],
    ],
    // And otherwise the limit.
    [
      runs,
      { task: 'x'.repeat(20_001), ask_me_about: many(21) },
      [
        ['/task', 'must be at most 20000 characters'],
        ['/ask_me_about', 'must be at most 20 items'],
      ],
    ],
    [
      runs,
      { task, max_cost_usd: 0, max_tokens: 0 },
      [
        ['/max_cost_usd', 'must be more than 0'],
        ['/max_tokens', 'must be at least 1'],
      ],
    ],
    [
      runs,
      { task, on_budget: 'stop', on_timeout: 7 },
      [
        ['/on_timeout', actions],
        ['/on_budget', 'must be one of gate, fail'],
      ],
    ],
    [
      runs,
      { task, webhook_url: 'x', gate_due_in: 5 },
      [
        ['/webhook_url', 'must be an http(s) URL'],
        ['/gate_due_in', 'must be a text'],
      ],
    ],
    [runs, { task, require_approval: 'no' }, [['/require_approval', 'must be true or false']]],
    [run, { message: 'Go', webhook_url: 7 }, [['/webhook_url', 'must be an http(s) URL']]],
    [complete, { output: 'x', decision: 'maybe' }, [['/decision', 'must be one of approve, edit, reject, retry']]],
    ['/auth/register', { name: 'Ada', email: 'ada' }, [['/email', 'must be an e-mail address']]],
    [
      '/tools/mcp',
      { name: 'a', url: 'https://mcp.example.com/mcp', headers: { 'a b': 'x' } },
      [['/headers/a b', 'is not a name that can be here']],
    ],
    [runs, 'null' as never, [['', 'must be an object']]],
  ])('%s %j', async ([path, given, errors]) => {
    const { status, body } = await user.post(typeof path === 'string' ? path : path(), given);
    expect([status, body.errors]).toEqual([422, errors.map(([pointer, detail]) => ({ pointer, detail }))]);
  });

  test('and a hundred of them are enough', async () => {
    const unknown = Object.fromEntries(many(5_000).map((name) => [name, 1]));
    const { status, body } = await user.post('/runs', { task, ...unknown });
    expect([status, body.errors.length]).toEqual([422, 100]);
  });
});
