import { describe, expect, test } from 'vitest';
import type { Evidence } from '../../chaos/evidence.ts';
import { answersArePrompt } from '../../chaos/invariants/effects.ts';
import { runsGoOn } from '../../chaos/invariants/recovery.ts';
import type { Entry } from '../../chaos/journal.ts';
import type { Fallen } from '../../chaos/faults.ts';
import type { Starved } from '../../chaos/starved.ts';

/** What chaos judges of time: a busy machine violates none of it, and what is broken does. Moments are in milliseconds. */

const at = (ms: number) => new Date(ms).toISOString();

describe('every request is answered within 3 s', () => {
  const read: Entry = {
    op: 'get',
    run_id: 'run_1',
    api: 'api1',
    invoked: 100_000,
    ended: 100_005,
    outcome: 'ok',
    status: 200,
    app_ms: 4,
  };
  const fault = {
    began: 99_000,
    ended: 103_000,
    lasts: 4_000,
    open_calls: 0,
    open_below: 0,
    open_tools: 0,
    open_code: 0,
    open_embeddings: 0,
    open_deliveries: 0,
  };
  const frozen: Fallen = { ...fault, kind: 'freeze', target: 'api1' };
  const slow: Fallen = { ...fault, kind: 'slow', from: 'api1', to: 'postgres' };
  const hung = { status: undefined, app_ms: undefined, ended: 108_000, outcome: 'unknown' as const };
  const judge = (change: object, fallen: Fallen[] = [], starved: Starved[] = []) =>
    answersArePrompt({ asked: [{ ...read, ...change }], fallen, starved } as unknown as Evidence);

  test.for([
    ['an answer', {}],
    ['one that its client is late to see', { ended: 107_000 }],
    ['a 503 in time', { status: 503, app_ms: 2_950, ended: 103_500, outcome: 'unknown' }],
    ['a slow one of an API that was frozen', { app_ms: 3_900, ended: 104_000 }, [frozen]],
    ['none of an API that was frozen', hung, [frozen]],
    ['a search that waited for its embedder', { ...hung, op: 'search', wait: 15, ended: 110_000 }],
    ['a start that was asked to wait', { op: 'start', wait: 2, app_ms: 1_900, ended: 104_000 }],
    ['a connection that is refused', { status: undefined, app_ms: undefined, outcome: 'unknown' }],
  ] as [string, object, Fallen[]?][])('%s is as promised', ([, change, fallen]) => {
    expect(judge(change, fallen)).toEqual([]);
  });

  test.for([
    ['an answer that took longer', { app_ms: 3_001 }, 'after 3001 ms'],
    [
      'a 503 that took longer, while its line was slow',
      { status: 503, app_ms: 3_201 },
      'during slow api1 postgres',
      [slow],
    ],
    ['a slow one while another API was frozen', { api: 'api2', app_ms: 3_900 }, 'by api2', [frozen]],
    ['an answer that does not say how long it took', { app_ms: undefined }, 'does not say how long'],
    ['no answer', hung, 'no answer'],
    ['no answer to a start that was asked to wait', { ...hung, op: 'start', wait: 2 }, 'no answer'],
    ['a 500', { status: 500 }, '500'],
  ] as [string, object, string, Fallen[]?][])('%s is not', ([, change, told, fallen]) => {
    expect(judge(change, fallen)).toEqual([expect.stringContaining(told)]);
  });

  test('that its API had no CPU is no work of it, in so far as it was then', () => {
    const late = { app_ms: 3_900, ended: 104_000 };
    const starved = { api: 'api1', from: 101_000, to: 103_000, waited_ms: 1_000 };
    expect(judge(late, [], [starved])).toEqual([]);
    expect(judge({ ...late, app_ms: 4_001 }, [], [starved])).toHaveLength(1);
    expect(judge(late, [], [{ ...starved, api: 'api2' }])).toHaveLength(1);
    expect(judge(hung, [], [{ ...starved, to: 108_000, waited_ms: 6_000 }])).toHaveLength(1);
    // Of a stream, what came after its beginning is none of it.
    expect(judge({ app_ms: 3_900, ended: 130_000 }, [], [{ ...starved, to: 130_000, waited_ms: 3_000 }])).toHaveLength(
      1,
    );
    // Half of it was before.
    expect(judge(late, [], [{ ...starved, from: 99_000, to: 101_000 }])).toHaveLength(1);
  });
});

describe('no run stands still for a minute once all is there again', () => {
  const healed_at = 1_000_000;
  /** A run that was started before, with these signs of life, in seconds after the healing. */
  function judge(signs: number[], ended: number | null, gathered = 300, more: object = {}): string[] {
    const run = {
      run_id: 'run_1',
      account_id: 'acc_a',
      created_at: at(0),
      completed_at: ended && at(healed_at + ended * 1_000),
    };
    const calls = signs.map((seconds) => ({ run_id: 'run_1', received_at: healed_at + seconds * 1_000 }));
    const nothing = {
      begun: [],
      changes: [],
      orders: [],
      llm_calls: [],
      tool_calls: [],
      gates: [],
      called: [],
      code_runs: [],
    };
    const given = { ...nothing, healed_at, gathered_at: healed_at + gathered * 1_000, runs: [run], calls };
    return runsGoOn({ ...given, ...more } as unknown as Evidence);
  }

  test('a run that goes on, on a machine so slow that it takes minutes', () => {
    expect(judge([40, 90, 140, 190], 240)).toEqual([]);
  });
  test('one that waits for others of its account, and then begins', () => {
    const before = { run_id: 'run_2', account_id: 'acc_a', created_at: at(0), completed_at: at(healed_at + 50_000) };
    const after = { run_id: 'run_1', account_id: 'acc_a', created_at: at(0), completed_at: at(healed_at + 130_000) };
    const ended = { run_id: 'run_2', task_id: null, before: 'running', after: 'completed', at: at(healed_at + 50_000) };
    const begun = [{ run_id: 'run_1', noted_at: at(healed_at + 100_000) }];
    expect(judge([], null, 300, { runs: [before, after], changes: [ended], begun })).toEqual([]);
    expect(judge([], null, 300, { runs: [after], changes: [], begun })).toHaveLength(1);
  });
  test('one that waits for a person, of which its client never heard', () => {
    const waiting = {
      run_id: 'run_1',
      account_id: 'acc_a',
      created_at: at(0),
      completed_at: null,
      status: 'waiting_human',
    };
    const known = { op: 'get', run_id: 'run_1' };
    const started = { op: 'start', run: 'c1', body: { run_id: 'run_1' } };
    expect(judge([20], null, 300, { runs: [waiting], asked: [] })).toEqual([]);
    expect(judge([20], null, 300, { runs: [waiting], asked: [known] })).toHaveLength(1);
    expect(judge([20], null, 300, { runs: [waiting], asked: [started] })).toHaveLength(1);
  });
  test('one that had ended before', () => expect(judge([-100], -50)).toEqual([]));

  test.for([
    ['that goes on late', [70], 80, 'for 70.0 s'],
    ['that stops on its way', [10, 20], 90, 'for 70.0 s'],
    ['that never goes on', [-10], null, 'for 300.0 s'],
    ['that has nothing left to do, and does not end', [10, 20], null, 'for 280.0 s'],
  ] as const)('one %s is told', ([, signs, ended, told]) => {
    expect(judge([...signs], ended)).toEqual([expect.stringContaining(told)]);
  });
});
