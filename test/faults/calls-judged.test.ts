import { describe, expect, test } from 'vitest';
import { callsAreAnsweredByTheirRuns, leftCallsAreTakenUp } from '../../chaos/invariants/agent-calls.ts';
import { toolsAreCalledOnce } from '../../chaos/invariants/calls.ts';
import { chainsAreKept } from '../../chaos/invariants/chains.ts';
import { codeIsBegunOnce, deadlinesAreKept } from '../../chaos/invariants/code.ts';
import type { Invariant } from '../../chaos/invariants/runs.ts';
import { useIsExact } from '../../chaos/invariants/use.ts';
import {
  at,
  below,
  called,
  entry,
  judge,
  lead,
  lead_id,
  org,
  reader_id,
  run,
  told,
  tool_id,
  whole,
} from '../harness/judged-calls.ts';

/** What chaos judges of calls of agents: what is as promised violates nothing, and what is broken does. */

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
