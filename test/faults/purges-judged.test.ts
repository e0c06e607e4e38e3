import { describe, expect, test } from 'vitest';
import type { Evidence } from '../../chaos/evidence.ts';
import { purgedRunsAreGone } from '../../chaos/invariants/purges.ts';

/** What chaos judges of runs that are purged: what is as promised violates nothing, and what is broken does. */

const at = (ms: number) => new Date(ms).toISOString();
const run_id = 'run_a';

describe('a purged run is gone, and stays counted', () => {
  const ended = { id: 'msg_1', path: '/hook/a-events', body: '{"seq":3,"type":"run.completed"}', verified: true };
  const notice = '{"seq":2,"type":"gate.assigned"}';
  const purged = {
    run_id,
    account: 'a',
    asked: [
      { op: 'purge', run_id, outcome: 'ok', invoked: 1_000, ended: 1_100 },
      { op: 'gone', run_id, outcome: 'fail', status: 404, invoked: 1_200, ended: 1_300 },
    ],
    left: [] as string[],
    told: [] as string[],
    isThere: false,
    again: [] as string[],
    pending: 0,
    received: [ended],
    calls: [500],
    due_at: undefined as string | undefined,
  };
  const judge = (change: object, given: object = {}) =>
    purgedRunsAreGone({
      purged: new Map([[run_id, { ...purged, ...change }]]),
      purgedCounts: [{ runs: 1 }],
      lists: [],
      fallen: [],
      gathered_at: 100_000,
      ...given,
    } as unknown as Evidence);
  const frame = ['purged_runs', 'runs', 'webhook_deliveries'];

  test.for([
    ['nothing', {}],
    ['a webhook on its way', { left: frame, pending: 1, received: [], due_at: at(50_000) }],
    ['a notice to people', { received: [{ ...ended, id: 'msg_0', path: '/hook/a-people', body: notice }, ended] }],
    ['what is to be looked at yet', { left: ['runs', 'texts'], told: ['texts'], due_at: at(110_000) }],
  ] as [string, object][])('%s is as promised', ([, change]) => expect(judge(change)).toEqual([]));
  test.for([
    ['a row', { left: ['runs'] }, {}, 'is in runs'],
    ['texts that nobody looks for', { left: ['runs', 'texts'], due_at: at(50_000) }, {}, 'is in runs,texts'],
    ['its words', { told: ['texts'] }, {}, 'its words are in texts'],
    ['one that its account has', { isThere: true }, {}, 'its account has it'],
    ['one that is begun again', { again: ['run_b'] }, {}, 'begun again as run_b'],
    ['one in a list', {}, { lists: [[run_id]] }, 'is listed'],
    [
      'one that is found',
      { asked: [purged.asked[0], { ...purged.asked[1], status: 200, outcome: 'ok' }] },
      {},
      '"status":200',
    ],
    ['an end that is told to nobody', { received: [] }, {}, 'has not heard of its end'],
    ['one that is worked on', { calls: [500, 20_000] }, {}, 'a model asked for it at 20000'],
    [
      'its end, told to people',
      { received: [ended, { ...ended, path: '/hook/a-people' }] },
      {},
      'came to /hook/a-people',
    ],
    ['one that is told to another', { received: [ended, { ...ended, path: '/hook/b' }] }, {}, 'came to /hook/b'],
    [
      'one that counts no more',
      {},
      { purgedCounts: [], gathered_at: 10 * 86_400_000 },
      '1 runs were purged, and 0 counted',
    ],
  ] as [string, object, object, string][])('%s is told', ([, change, given, words]) =>
    expect(judge(change, given)).toContainEqual(expect.stringContaining(words)),
  );
});
