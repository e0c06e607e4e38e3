import { describe, expect, test } from 'vitest';
import type { Evidence } from '../../chaos/evidence.ts';
import { placesAreKept, runsBeginInTurn } from '../../chaos/invariants/queue.ts';
import { limits } from '../../chaos/limits.ts';

/** What chaos judges of runs that wait for their turn: what is as promised violates nothing, and what is broken does. */

const at = (ms: number) => new Date(ms).toISOString();
const began = (n: number, ms: number, more: object = {}) => ({
  begun_id: n,
  txid: String(n),
  run_id: `run_${n}`,
  account_id: 'acc_a',
  active: 1,
  queued_at: at(1_000 + n),
  start_at: null,
  at: at(ms),
  noted_at: at(ms + 1),
  ...more,
});

describe('no account has more active runs than places', () => {
  const all = Array.from({ length: limits.activeRuns }, (_, n) => began(n + 1, 5_000, { active: n + 1 }));
  const ended = { run_id: 'run_1', task_id: null, after: 'completed', at: at(8_000) };
  const judge = (begun: object[], changes: object[] = [ended]) =>
    placesAreKept({ begun, changes, gathered_at: 100_000 } as unknown as Evidence);
  const next = began(all.length + 1, 9_000, { active: limits.activeRuns });

  test('one that begins when another has ended', () => expect(judge([...all, next])).toEqual([]));
  test('as many as there may be of another account', () =>
    expect(judge([...all, { ...next, account_id: 'acc_b', active: 1 }], [])).toEqual([]));
  test.for([
    ['one too many, as it begins', [{ ...next, active: limits.activeRuns + 1 }], [ended], 'th of acc_a at once'],
    ['one too many, by the time of each', [next], [], 'active runs at once'],
    ['one before another has ended', [{ ...next, noted_at: at(7_000) }], [ended], 'active runs at once'],
  ] as [string, object[], object[], string][])('%s is told', ([, more, changes, words]) =>
    expect(judge([...all, ...more], changes)).toContainEqual(expect.stringContaining(words)),
  );
});

describe('runs begin in turn, and none before its time', () => {
  const start = (n: number, more: object = {}) => ({
    op: 'start',
    run: `c${n}`,
    outcome: 'ok',
    invoked: 900,
    ended: 1_100,
    body: { run_id: `run_${n}` },
    ...more,
  });
  const run = (n: number, more: object = {}) => ({ run_id: `run_${n}`, status: 'completed', attempt: 1, ...more });
  function judge(begun: object[], journal: object[] = [start(1), start(2)], more: object = {}): string[] {
    const nothing = { runs: [run(1), run(2)], calls: [], events: [] };
    return runsBeginInTurn({ begun, journal, ...nothing, ...more } as unknown as Evidence);
  }
  const inTurn = [began(1, 2_000), began(2, 3_000)];
  const turned = [
    began(1, 2_000, { run_id: 'run_2', queued_at: at(1_002) }),
    began(2, 3_000, { run_id: 'run_1', queued_at: at(1_001) }),
  ];
  const later = { start_at: at(4_000), queued_at: at(4_000) };
  const putOff = { op: 'put off', run_id: 'run_2', outcome: 'ok', invoked: 1_500, ended: 1_600, start_in_ms: 3_000 };

  test.for([
    ['in turn', inTurn],
    ['both at once', turned.map((one) => ({ ...one, txid: '7' }))],
    ['one that is not acknowledged when another begins', turned, [start(1, { ended: 2_500 }), start(2)]],
    ['one that was held', turned, undefined, { events: [{ run_id: 'run_1', type: 'run.held' }] }],
    ['one at its time', [inTurn[0], began(2, 4_000, later)], [start(1), start(2, { start_in_ms: 3_000 })]],
    ['one that was put off', [inTurn[0], began(2, 5_000)], [start(1), start(2), putOff]],
    [
      'one that was cancelled while it waited',
      [inTurn[0]],
      [start(1)],
      { runs: [run(1), run(2, { status: 'cancelled' })] },
    ],
  ] as [string, object[], object[]?, object?][])('%s is as promised', ([, ...given]) =>
    expect(judge(...given)).toEqual([]),
  );
  test.for([
    ['one that is passed by', turned, undefined, {}, 'and run_2 began before it'],
    ['one that never began', [inTurn[0]], undefined, {}, 'has begun 0 times'],
    ['one that began twice', [...inTurn, began(3, 4_000, { run_id: 'run_2' })], undefined, {}, 'has begun 2 times'],
    ['one that took no place', [began(1, 2_000, { is_called: true }), inTurn[1]!], undefined, { called: [] }, 'beside'],
    ['one before its time', [inTurn[0], began(2, 3_000, later)], undefined, {}, 'was due at'],
    ['one before the time of its client', inTurn, [start(1), start(2, { start_in_ms: 3_000 })], {}, 'asked for 3900'],
    ['one that was put off in vain', inTurn, [start(1), start(2), putOff], {}, 'asked for 4500'],
    [
      'one whose model is asked before',
      [inTurn[0], began(2, 4_000, later)],
      [start(1), start(2, { start_in_ms: 3_000 })],
      { calls: [{ run_id: 'run_2', received_at: 3_000 }] },
      'began at 3000',
    ],
  ] as [string, object[], object[] | undefined, object, string][])('%s is told', ([, begun, journal, more, words]) =>
    expect(judge(begun, journal, more)).toContainEqual(expect.stringContaining(words)),
  );
});
