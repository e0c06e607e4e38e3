import { describe, expect, test } from 'vitest';
import type { Evidence } from '../../chaos/evidence.ts';
import { callsAreAnsweredByTheirRuns, leftCallsAreTakenUp } from '../../chaos/invariants/agent-calls.ts';
import { toolsAreCalledOnce } from '../../chaos/invariants/calls.ts';
import { chainsAreKept, runOfToolCall } from '../../chaos/invariants/chains.ts';
import { codeIsBegunOnce, deadlinesAreKept } from '../../chaos/invariants/code.ts';
import type { Invariant } from '../../chaos/invariants/runs.ts';
import { useIsExact } from '../../chaos/invariants/use.ts';
import { requestIdOf, uuidOf } from '../../src/ids.ts';

/** What chaos judges of calls of agents: what is as promised violates nothing, and what is broken does. */

const at = (ms: number) => new Date(ms).toISOString();
const answer_id = 'run_00000000000000000001/T1/run_agent/1/1';
const tool_id = `${answer_id}/1`;
const [lead_id, reader_id] = ['run_00000000000000000001', runOfToolCall(tool_id)] as const;
const org = 'acme';

const run = (run_id: string, more: object = {}) => ({
  run_id,
  kind: 'agent',
  account_id: 'acc_a',
  status: 'completed',
  task: '{"text": "[run:a1] What is new?"}',
  final_output_id: `${run_id}/out`,
  error: null,
  error_code: null,
  agent_run: {},
  attempt: 1,
  max_cost_usd: null,
  created_at: at(1_000),
  completed_at: at(5_000),
  ...more,
});
const called = (run_id: string, name: string, more: object = {}) => ({
  run_id,
  agent: `${org}/${name}`,
  version: 'v1',
  account_id: 'acc_a',
  owner_id: 'acc_a',
  tenant: 'tenant-1',
  chain: [`${org}/${name}@v1`],
  root_run_id: run_id,
  parent_run_id: null,
  max_hops: 4,
  deadline_at: at(60_000),
  downstream: {},
  cost_usd: null,
  ...more,
});
const lead = called(lead_id, 'lead', { downstream: { per_call_cap: 20, spend_cap: 50 }, cost_usd: '0.01' });
const below = called(reader_id, 'reader', {
  chain: [...lead.chain, `${org}/reader@v1`],
  root_run_id: lead_id,
  parent_run_id: lead_id,
  max_hops: 3,
  downstream: { spend_cap: 20 },
});
const readerRun = run(reader_id, { max_cost_usd: 0.2 });
const answer = {
  call_id: answer_id,
  run_id: lead_id,
  task_id: 'T1',
  cost_usd: 0.01,
  input_tokens: 10,
  output_tokens: 5,
  created_at: at(2_000),
  tool_calls: [{ name: 'acme__reader', source: `${org}/reader@v1`, arguments: '{}' }],
};
const result = { call_id: tool_id, answer_id, run_id: lead_id, tool: `${org}/reader`, is_error: false, position: 1 };
const told = {
  org,
  all: sums({ calls: 2, succeeded: 2, llm_calls: 1, tokens: { input: 10, output: 5 }, cost_usd: 0.01 }),
  tenants: [
    {
      tenant: 'tenant-1',
      ...sums({ calls: 2, succeeded: 2, llm_calls: 1, tokens: { input: 10, output: 5 }, cost_usd: 0.01 }),
    },
  ],
  agents: [
    {
      agent: `${org}/lead`,
      ...sums({ calls: 1, succeeded: 1, llm_calls: 1, tokens: { input: 10, output: 5 }, cost_usd: 0.01 }),
    },
    { agent: `${org}/reader`, ...sums({ calls: 1, succeeded: 1 }) },
  ],
  byOthers: sums({}),
  compute: { runs: 0, wall_seconds: 0 },
};

function sums(more: object) {
  const none = { calls: 0, succeeded: 0, failed: 0, cancelled: 0, unfinished: 0 };
  return { ...none, llm_calls: 0, tokens: { input: 0, output: 0 }, cost_usd: 0, ...more };
}

const entry = {
  op: 'call',
  run: 'a1',
  kind: 'once',
  account: 'a',
  agent: `${org}/lead`,
  tenant: 'tenant-1',
  api: 'api1',
  invoked: 900,
  ended: 6_000,
  outcome: 'ok',
  status: 200,
  body: { run_id: lead_id, data: { result: 'News.' }, version: 'v1', isOfRun: true },
};
const whole = {
  journal: [entry],
  accounts: [{ name: 'a', org }],
  organisations: new Map([[org, 'acc_a']]),
  usage: [told],
  runs: [run(lead_id), readerRun],
  called: [lead, below],
  texts: new Map([
    [`${lead_id}/out`, 'News.'],
    [`${reader_id}/out`, '{"found": 1}'],
    [tool_id, '{"found":1}'],
  ]),
  llm_calls: [answer],
  tool_calls: [result],
  code_runs: [],
  begins: [],
  missed: [],
  fallen: [],
  begun: [],
  calls: [],
  orders: [],
  gates: [],
  events: [],
  tasks: [],
  gathered_at: 100_000,
};

const judge = (invariant: Invariant, given: object = {}) => invariant({ ...whole, ...given } as unknown as Evidence);

const all = { leftCallsAreTakenUp, callsAreAnsweredByTheirRuns, chainsAreKept, codeIsBegunOnce, deadlinesAreKept };
test.for(Object.entries({ ...all, toolsAreCalledOnce, useIsExact }))('%s: a chain as promised', ([, invariant]) =>
  expect(judge(invariant)).toEqual([]),
);

const missed = { run_id: lead_id, left_run_id: 'run_left', left_at: at(500), at: at(1_000) };
const freeze = { kind: 'freeze', target: 'api1', began: 0, ended: 800 };
test('a call whose client leaves while it is asked for again, or that is in a frozen API, may begin anew', () => {
  expect(judge(leftCallsAreTakenUp, { missed: [{ ...missed, left_at: at(950) }] })).toEqual([]);
  expect(judge(leftCallsAreTakenUp, { missed: [missed], fallen: [freeze] })).toEqual([]);
  expect(judge(leftCallsAreTakenUp, { missed: [{ ...missed, left_at: null }], fallen: [freeze] })).toEqual([]);
});

const child = (more: object) => ({ called: [lead, { ...below, ...more }] });
const ofEntry = (more: object) => ({ journal: [{ ...entry, ...more }] });
const failed = { code: 'LLM_ERROR', message: 'No.', is_retryable: true };
describe.for([
  [
    leftCallsAreTakenUp,
    [
      ['left, and begun anew', { missed: [missed] }, 'was left at'],
      ['of an API that is gone, and begun anew', { missed: [{ ...missed, left_at: null }] }, 'was left at null'],
      ['that nobody waits for any more', child({ is_waited: true }), 'is said to be waited for'],
      [
        'with a key, begun twice',
        { ...ofEntry({ key: 'k' }), runs: [run(lead_id), run('run_b')], called: [lead, called('run_b', 'lead')] },
        'has 2 runs',
      ],
    ],
  ],
  [
    callsAreAnsweredByTheirRuns,
    [
      ['answered otherwise', ofEntry({ body: { ...entry.body, data: { result: 'Lies.' } } }), 'News.'],
      ['answered before its end', { runs: [run(lead_id, { status: 'running' })] }, 'is running'],
      [
        'told to have failed',
        ofEntry({ outcome: 'fail', body: { run_id: lead_id, error: failed, isOfRun: true } }),
        'is completed',
      ],
      ['told of another call', ofEntry({ tenant: 'tenant-2' }), 'for tenant-2'],
      ['whose run is gone', { called: [] }, 'which is gone'],
      ['refused', ofEntry({ outcome: 'fail', status: 422, body: { error: failed, isOfRun: false } }), '422'],
    ],
  ],
  [
    chainsAreKept,
    [
      ['that nobody asked for', { llm_calls: [] }, 'no model asked for it'],
      ['that was lost', { called: [lead] }, 'was not called'],
      ['without a result', { tool_calls: [] }, 'has no result'],
      ['for another tenant', child({ tenant: 'tenant-2' }), 'for tenant-2'],
      ['out of its chain', child({ chain: [`${org}/reader@v1`] }), 'called by'],
      ['that may go deeper', child({ max_hops: 4 }), 'may go 4 deeper'],
      ['that may take longer', child({ deadline_at: at(70_000) }), 'has until'],
      ['without a cap', { runs: [run(lead_id), run(reader_id)] }, 'may cost null'],
      ['that spends more below', child({ downstream: { spend_cap: 30 } }), 'may spend'],
      ['that has cost something else', { called: [{ ...lead, cost_usd: '0.02' }, below] }, 'has cost 0.02'],
      [
        'that outlives its caller',
        { runs: [run(lead_id, { status: 'failed' }), run(reader_id, { max_cost_usd: 0.2, completed_at: at(60_000) })] },
        'its caller was failed',
      ],
    ],
  ],
  [
    toolsAreCalledOnce,
    [
      [
        'of which another result was told',
        { texts: new Map([...whole.texts, [tool_id, '{"found":2}']]) },
        'that nobody gave',
      ],
    ],
  ],
  [
    useIsExact,
    [
      ['that is counted twice', { usage: [{ ...told, all: { ...told.all, calls: 3 } }] }, 'the use of a'],
      ['whose tokens are not', { usage: [{ ...told, tenants: [] }] }, 'tenant-1 of a'],
      ['of another agent', { usage: [{ ...told, agents: told.agents.slice(0, 1) }] }, 'acme/reader of a'],
      [
        'of whom its author is not told',
        {
          called: [...whole.called, called('run_b', 'reader', { account_id: 'acc_b' })],
          runs: [...whole.runs, run('run_b')],
        },
        'calls by others of a',
      ],
      ['of code that is not counted', { code_runs: [{ run_id: lead_id, wall_ms: 10 }] }, 'the code of a'],
      ['of which nobody is told', { usage: [undefined] }, 'was not told'],
    ],
  ],
] as [Invariant, [string, object, string][]][])('%o', ([invariant, broken]) => {
  test.for(broken)('a call %s is told', ([, given, words]) =>
    expect(judge(invariant, given)).toContainEqual(expect.stringContaining(words)),
  );
});

describe('code', () => {
  const code = { code: { idempotent: false } };
  const teller = run(lead_id, { agent_run: code });
  const one = { run_id: lead_id, started_at: at(2_000), ended: 'exited', call_id: 'c', try: 1 };
  const again = { ...one, started_at: at(40_000), try: 2 };
  const begin = { request_id: requestIdOf(lead_id), at: 2_100, receipt: 'begin-1' };
  const texts = new Map([[`${lead_id}/out`, '{"begin": "begin-1"}']]);
  const killed = { kind: 'kill in code', began: 2_500, ended: 4_000 };
  const idempotent = run(lead_id, { agent_run: { code: { idempotent: true } } });
  const given = { runs: [teller], code_runs: [one], begins: [begin], texts };
  const twice = { ...given, runs: [idempotent], code_runs: [one, again], begins: [begin, { ...begin, at: 40_100 }] };

  test('as promised', () => {
    expect(judge(codeIsBegunOnce, given)).toEqual([]);
    expect(judge(codeIsBegunOnce, { ...twice, fallen: [killed] })).toEqual([]);
  });
  test.for([
    ['begun twice', { ...given, begins: [begin, begin] }, 'has begun 2 times'],
    ['tried twice that may not be', { ...twice, runs: [teller], fallen: [killed] }, '2 tries'],
    ['begun again for nothing', twice, 'with no fault since'],
    ['of no run', { ...given, runs: [] }, 'there is no such run'],
    ['with the output of nobody', { ...given, begins: [{ ...begin, receipt: 'begin-2' }] }, 'has come to'],
    ['whose end nobody knows', { ...given, code_runs: [{ ...one, ended: null }] }, 'is completed'],
    [
      'that was interrupted by nothing',
      { ...given, runs: [{ ...teller, status: 'failed', error_code: 'SANDBOX_ERROR' }] },
      'with no fault',
    ],
  ] as [string, object, string][])('%s is told', ([, broken, words]) =>
    expect(judge(codeIsBegunOnce, broken)).toContainEqual(expect.stringContaining(words)),
  );

  const say = (data: object) =>
    new Map([
      [`${lead_id}/out`, JSON.stringify({ run: uuidOf(reader_id), ...data })],
      [`${reader_id}/out`, '{"found": 1}'],
    ]);
  const courier = {
    ...whole,
    called: [
      { ...lead, downstream: {}, agent: `${org}/courier`, chain: [`${org}/courier@v1`], cost_usd: '0.01' },
      { ...below, chain: [`${org}/courier@v1`, `${org}/reader@v1`] },
    ],
    code_runs: [one],
    tool_calls: [],
    llm_calls: [{ ...answer, tool_calls: null }],
  };
  test('that calls an agent is told what that has come to', () => {
    expect(judge(chainsAreKept, { ...courier, texts: say({ data: { found: 1 } }) })).toEqual([]);
    expect(judge(chainsAreKept, { ...courier, texts: say({ data: { found: 2 } }) })).toHaveLength(1);
    const more = [...courier.called, { ...courier.called[1], run_id: reader_id, key_id: 'key_other' }];
    expect(judge(chainsAreKept, { ...courier, called: more, texts: say({ data: { found: 1 } }) })).toContainEqual(
      expect.stringContaining('with 2 keys'),
    );
  });
});

describe('a deadline', () => {
  const due = { called: [called(lead_id, 'reader', { deadline_at: at(4_000) })], llm_calls: [] };
  const ended = run(lead_id, { status: 'failed', error_code: 'TIMEOUT', completed_at: at(4_050) });
  const killed = { kind: 'kill', target: 'worker1', began: 3_000, ended: 20_000 };
  const late = run(lead_id, { status: 'failed', error_code: 'TIMEOUT', completed_at: at(25_000) });
  const call = { run_id: lead_id, call_id: 'c', received_at: 30_000, prompt: '[late]' };

  test('as promised', () => {
    expect(judge(deadlinesAreKept, { ...due, runs: [ended] })).toEqual([]);
    expect(judge(deadlinesAreKept, { ...due, runs: [late], fallen: [killed] })).toEqual([]);
  });
  test.for([
    ['that nobody keeps', { ...due, runs: [late] }, 'TIMEOUT at'],
    ['that comes early', { ...due, runs: [{ ...ended, completed_at: at(3_000) }] }, 'early'],
    ['after which a model is asked', { ...due, runs: [ended], calls: [call] }, 'was asked, or paid'],
    [
      'after which something is paid',
      { ...due, runs: [ended], llm_calls: [{ ...answer, created_at: at(30_000) }] },
      'paid',
    ],
    [
      'after which code is begun',
      { ...due, runs: [ended], code_runs: [{ run_id: lead_id, started_at: at(30_000) }] },
      'code was begun',
    ],
    [
      'of what nobody has answered',
      { ...due, runs: [run(lead_id)], calls: [{ ...call, received_at: 1_500 }] },
      'no model has answered',
    ],
  ] as [string, object, string][])('%s is told', ([, broken, words]) =>
    expect(judge(deadlinesAreKept, broken)).toContainEqual(expect.stringContaining(words)),
  );
});
