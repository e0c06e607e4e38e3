import type { Evidence } from '../../chaos/evidence.ts';
import { runOfToolCall } from '../../chaos/invariants/chains.ts';
import type { Invariant } from '../../chaos/invariants/runs.ts';

/** A chain of two calls as chaos has it in the end, with nothing broken: for tests of what it judges. */

export const at = (ms: number) => new Date(ms).toISOString();
const answer_id = 'run_00000000000000000001/T1/run_agent/1/1';
export const tool_id = `${answer_id}/1`;
export const [lead_id, reader_id] = ['run_00000000000000000001', runOfToolCall(tool_id)] as const;
export const org = 'acme';

export const run = (run_id: string, more: object = {}) => ({
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
export const called = (run_id: string, name: string, more: object = {}) => ({
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
export const lead = called(lead_id, 'lead', { downstream: { per_call_cap: 20, spend_cap: 50 }, cost_usd: '0.01' });
export const below = called(reader_id, 'reader', {
  chain: [...lead.chain, `${org}/reader@v1`],
  root_run_id: lead_id,
  parent_run_id: lead_id,
  max_hops: 3,
  downstream: { spend_cap: 20 },
});
const readerRun = run(reader_id, { max_cost_usd: 0.2 });
export const answer = {
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
export const told = {
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

export const entry = {
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
export const whole = {
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

export const judge = (invariant: Invariant, given: object = {}) =>
  invariant({ ...whole, ...given } as unknown as Evidence);
