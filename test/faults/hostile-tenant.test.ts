import { describe, expect, test } from 'vitest';
import type { Evidence } from '../../chaos/evidence.ts';
import type { Exchange } from '../../chaos/hostile/door.ts';
import { toolsAreCalledAsOffered } from '../../chaos/invariants/approvals.ts';
import { limitsHold, nothingIsTaken, refusalsAreInWords } from '../../chaos/invariants/hostile.ts';
import { limits, placesOfOne } from '../../chaos/limits.ts';

/** What chaos judges of its hostile tenant: what is as promised violates none of it, and what is broken does. */

const at = (ms: number) => new Date(ms).toISOString();
const hostile = 'acc_hostile';
const honest = 'acc_a';
const nothing = {
  runs: [],
  tasks: [],
  gates: [],
  llm_calls: [],
  tool_calls: [],
  events: [],
  deliveries: [],
  outbox: [],
  changes: [],
  calls: [],
  orders: [],
  received: [],
  workflows: [],
  journal: [],
  fallen: [],
  starved: [],
  begun: [],
  accepted: [],
  filed: [],
  run_files: [],
  called: [],
  code_runs: [],
  missed: [],
  files: [],
  texts: new Map(),
  holdings: { before: [], after: [] },
  honest: new Set([honest]),
  limits: { unfinishedRuns: 5, files: 3, fileBytes: 100 },
  gathered_at: 99_000,
};
const deeds = { account: { account_id: hostile }, exchanges: [], held: [], calls: [], toolCalls: [] };

function evidence(given: object, done: object = {}): Evidence {
  return { ...nothing, ...given, hostile: { ...deeds, ...done } } as unknown as Evidence;
}

describe('a tool is called as it was offered, with a gate of its own', () => {
  const answer_id = 'run_x/T1/execute_task/1/1';
  const call_id = `${answer_id}/1`;
  const run = { run_id: 'run_x', account_id: hostile, human_gates: [] };
  const gate = {
    gate_id: 'run_x/T1/1',
    run_id: 'run_x',
    task_id: 'T1',
    kind: 'tool_approval',
    status: 'answered',
    decision: 'approve',
    answered_at: at(1_000),
  };
  const answer = { call_id: answer_id, tool_calls: [{ name: 'bank__pay' }] };
  const kept = { call_id, run_id: 'run_x', gate_id: gate.gate_id };
  const turn = { call_id: answer_id, offered: [{ name: 'bank__pay', description: 'Of server 3.' }] };
  const made = { call_id, server: 3, tool: 'pay', at: 2_000 };
  const judge = (given: object = {}, done: object = {}) =>
    toolsAreCalledAsOffered(
      evidence(
        { runs: [run], gates: [gate], llm_calls: [answer], tool_calls: [kept], ...given },
        { calls: [turn], toolCalls: [made], ...done },
      ),
    );

  test('so', () => expect(judge()).toEqual([]));
  test.for([
    ['without a gate', { gates: [] }, {}, 'with 0 approvals'],
    ['before its gate was answered', {}, { toolCalls: [{ ...made, at: 500 }] }, 'with 0 approvals'],
    ['that people have refused', { gates: [{ ...gate, decision: 'reject' }] }, {}, 'with 0 approvals'],
    ['at the gate of another call', { tool_calls: [{ ...kept, gate_id: 'run_x/T1/9' }] }, {}, 'approved at run_x/T1/9'],
    ['of a server that came later', {}, { toolCalls: [{ ...made, server: 4 }] }, 'of server 4'],
    ['that was not offered', {}, { calls: [{ ...turn, offered: [] }] }, 'of []'],
    ['that no model asked for', { llm_calls: [] }, {}, 'no model asked'],
    [
      'at a gate that has let one through',
      { tool_calls: [kept, { ...kept, call_id: `${answer_id}/2` }] },
      {},
      'the gate of several',
    ],
  ] as [string, object, object, string][])('a call %s is told', ([, given, done, told]) => {
    expect(judge(given, done)).toContainEqual(expect.stringContaining(told));
  });
});

const asked: Exchange = {
  op: 'othersThings',
  method: 'GET',
  path: '/runs/run_a',
  due: [404],
  api: 'api1',
  invoked: 10_000,
  ended: 10_005,
  app_ms: 4,
  status: 404,
  body: { code: 'NOT_FOUND', detail: 'Run not found.' },
  seen: [],
};

describe('the hostile tenant takes nothing of another', () => {
  const provider = { kind: 'provider', account_id: honest, id: 'prv_a', name: null, state: 'active' };
  const both = { before: [provider], after: [provider] };
  const cancelled = { run_id: 'run_a', account_id: honest, status: 'cancelled', human_gates: [] };
  const own = { run_id: 'run_x', account_id: hostile, status: 'completed', provider_id: null };

  test('so', () => expect(nothingIsTaken(evidence({ holdings: both }, { exchanges: [asked] }))).toEqual([]));
  test.for([
    ['what an answer shows', {}, { exchanges: [{ ...asked, seen: ['made-by-run_'] }] }, 'shows made-by-run_'],
    ['what is gone', { holdings: { before: [provider], after: [] } }, {}, 'has it no more'],
    [
      'what is another by now',
      { holdings: { before: [provider], after: [{ ...provider, state: 'inactive' }] } },
      {},
      'has it no more',
    ],
    ['what has come', { holdings: { before: [], after: [provider] } }, {}, 'had it not'],
    ['a run that nobody of its own has cancelled', { runs: [cancelled] }, {}, 'was cancelled'],
    ["a run with another's provider", { runs: [{ ...own, provider_id: 'prv_a' }], holdings: both }, {}, 'of another'],
    [
      "a call of another's model",
      { runs: [own], calls: [{ run_id: 'run_x', call_id: 'run_x/1' }] },
      {},
      'was asked of',
    ],
    ['an answer at a gate', { texts: new Map([['run_a/T1/1', 'xstolen']]) }, {}, 'says xstolen'],
  ] as [string, object, object, string][])('%s is told', ([, given, done, told]) => {
    expect(nothingIsTaken(evidence(given, done))).toContainEqual(expect.stringContaining(told));
  });
});

describe('what it is refused is refused in words, and not half-done', () => {
  const unavailable = { status: 503, body: { code: 'UNAVAILABLE', detail: 'Busy.' } };
  const slow = { kind: 'slow', from: 'api1', to: 'postgres', began: 9_000, ended: 11_000, lasts: 2_000 };
  const frozen = { kind: 'freeze', target: 'api1', began: 9_000, ended: 11_000, lasts: 2_000 };
  const start = { ...asked, method: 'POST', path: '/runs', due: [201, 429], makes: 'xplain-1' };
  const run = {
    run_id: 'run_x',
    account_id: hostile,
    status: 'completed',
    task: '[run:xplain-1] Take.',
    forked_from: null,
  };
  const workflow = { workflow_id: 'run_x', status: 'COMPLETED' };
  const judge = (change: object, given: object = {}) =>
    refusalsAreInWords(evidence(given, { exchanges: [{ ...asked, ...change }] }));
  const taken = { ...start, status: 201, body: undefined };
  const refused = { ...start, status: 429, body: { code: 'LIMIT_REACHED', detail: 'Too many.' } };

  test.for([
    ['what is due', {}],
    ['one too many in a minute', { status: 429, body: { code: 'RATE_LIMITED', detail: 'Too many.' } }],
    ['a 503 during a fault', unavailable, { fallen: [slow] }],
    ['a 503 after all its time', { ...unavailable, app_ms: 2_001 }],
    ['nothing of an API that was frozen', { status: undefined, app_ms: undefined }, { fallen: [frozen] }],
    ['nothing, when it has left', { status: undefined, app_ms: undefined, left: true }],
    ['a start that is there', taken, { runs: [run], workflows: [workflow] }],
    ['a start that is refused', refused],
  ] as [string, object, object?][])('%s is as promised', ([, change, given]) => {
    expect(judge(change, given)).toEqual([]);
  });

  test.for([
    ['another status', { status: 200, body: undefined }, {}, 'due was 404'],
    ['a limit where none was due', { status: 429, body: { code: 'LIMIT_REACHED', detail: 'x' } }, {}, 'due was 404'],
    ['a 503 without a fault', unavailable, {}, 'due was 404'],
    [
      'a 500, whatever falls',
      { status: 500, body: { code: 'INTERNAL_ERROR', detail: 'x' } },
      { fallen: [slow] },
      '500',
    ],
    ['a refusal without a word', { body: {} }, {}, 'without a word'],
    ['no answer', { status: undefined, app_ms: undefined }, { fallen: [slow] }, 'nothing had happened'],
    ['an answer that took longer', { app_ms: 3_001 }, {}, 'after 3001 ms'],
    ['what is there and was refused', refused, { runs: [run], workflows: [workflow] }, 'was refused and is there'],
    ['what was taken and is not there', taken, {}, 'is 0 runs'],
    ['what was taken and is there twice', taken, { runs: [run, { ...run, run_id: 'run_y' }] }, 'is 2 runs'],
    [
      'a run that goes on without its workflow',
      {},
      { runs: [{ ...run, status: 'running' }], workflows: [workflow] },
      'is running',
    ],
    [
      'a run that fails without a word',
      {},
      { runs: [{ ...run, status: 'failed', error: null }], workflows: [{ ...workflow, status: 'FAILED' }] },
      'without a word',
    ],
  ] as [string, object, object, string][])('%s is told', ([, change, given, told]) => {
    expect(judge(change, given)).toContainEqual(expect.stringContaining(told));
  });
});

describe('no account has more than its limits', () => {
  const stream = { api: 'api1', from: 1_000, to: 2_000 };
  const call = { received_at: 1_000, closed_at: 9_000 };
  const server = { kind: 'MCP server', account_id: honest, id: 'x', name: 'x', state: 'http://x' };
  const many = <T>(times: number, one: T) => Array.from({ length: times }, () => one);

  test('so', () => {
    const held = [
      ...many(limits.openAnswers, stream),
      ...many(limits.openAnswers, { ...stream, from: 2_000, to: 3_000 }),
    ];
    const calls = many(2 * placesOfOne, call);
    const accepted = [{ run_id: 'run_x', account_id: hostile, unfinished: 5 }];
    const filed = [{ file_id: 'file_x', account_id: hostile, files: 3, bytes: 100 }];
    const after = many(limits.mcpServers, server);
    expect(limitsHold(evidence({ accepted, filed, holdings: { before: [], after } }, { held, calls }))).toEqual([]);
  });
  test.for([
    ['runs', { accepted: [{ run_id: 'run_x', account_id: honest, unfinished: 6 }] }, {}, 'as the 6th'],
    ['files', { filed: [{ file_id: 'file_x', account_id: hostile, files: 4, bytes: 1 }] }, {}, 'had 4 files'],
    ['bytes', { filed: [{ file_id: 'file_x', account_id: hostile, files: 1, bytes: 101 }] }, {}, 'of 101 bytes'],
    ['answers', {}, { held: many(limits.openAnswers + 1, stream) }, 'answers were open'],
    ['calls', {}, { calls: many(2 * placesOfOne + 1, call) }, 'calls were open'],
    ['servers', { holdings: { before: [], after: many(limits.mcpServers + 1, server) } }, {}, 'of MCP server'],
  ] as [string, object, object, string][])('too many %s are told', ([, given, done, told]) => {
    expect(limitsHold(evidence(given, done))).toContainEqual(expect.stringContaining(told));
  });
});
