import { describe, expect, test } from 'vitest';
import { chainsAreKept } from '../../chaos/invariants/chains.ts';
import { codeIsBegunOnce, deadlinesAreKept } from '../../chaos/invariants/code.ts';
import { requestIdOf, uuidOf } from '../../src/ids.ts';
import {
  answer,
  at,
  below,
  called,
  judge,
  lead,
  lead_id,
  org,
  reader_id,
  run,
  whole,
} from '../harness/judged-calls.ts';

/** What chaos judges of code and of deadlines: what is as promised violates nothing, and what is broken does. */

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
  const inTurn = [
    { kind: 'kill in code', began: 3_000, ended: 5_000 },
    { ...killed, began: 34_000, ended: 36_000 },
  ];
  const call = { run_id: lead_id, call_id: 'c', received_at: 30_000, prompt: '[late]' };

  const early = { ...ended, completed_at: at(3_000) };
  const far = { called: [called(lead_id, 'reader', { deadline_at: at(10_000) })], llm_calls: [] };

  test('as promised', () => {
    expect(judge(deadlinesAreKept, { ...due, runs: [ended] })).toEqual([]);
    expect(judge(deadlinesAreKept, { ...due, runs: [late], fallen: [killed] })).toEqual([]);
    const lateAgain = { ...late, agent_run: { code: {} }, completed_at: at(60_000) };
    expect(judge(deadlinesAreKept, { ...due, runs: [lateAgain], fallen: inTurn })).toEqual([]);
    // What was lost could not be begun again in time.
    expect(judge(deadlinesAreKept, { ...due, runs: [early], fallen: [{ ...killed, began: 2_000 }] })).toEqual([]);
  });
  test.for([
    ['that nobody keeps', { ...due, runs: [late] }, 'TIMEOUT at'],
    ['that nobody keeps after that', { ...due, runs: [{ ...late, completed_at: at(70_000) }], fallen: inTurn }, 'at'],
    ['that comes early', { ...due, runs: [early] }, 'early'],
    ['that comes earlier than another try could have', { ...far, runs: [early], fallen: [killed] }, 'early'],
    ['that comes early, of code', { ...due, runs: [{ ...early, agent_run: { code: {} } }], fallen: [killed] }, 'early'],
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
