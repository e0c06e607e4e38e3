import { describe, expect, test } from 'vitest';
import type { Evidence } from '../../chaos/evidence.ts';
import { fileMark } from '../../chaos/files.ts';
import { filesAreKept, modelsAreGivenFiles } from '../../chaos/invariants/files.ts';

/** What chaos judges of files: what is as promised violates nothing, and what is broken does. */

const file_id = 'file_1';
const name = 'a-1.txt';
const is = { size: 3, sha256: 'abc' };
const told = { outcome: 'ok', invoked: 1_000, ended: 1_100 };
const upload = { ...told, op: 'upload', account: 'a', name, key: 'k', ...is, body: { file_id } };
const read = { ...told, op: 'read file', file_id, invoked: 2_000, ended: 2_100, body: is };
const deletion = { ...told, op: 'delete file', file_id, invoked: 3_000, ended: 3_100 };
const missed = { ...read, outcome: 'fail', status: 404, body: {} };
const start = { ...told, op: 'start', run: 'c1', attachments: [file_id], body: { run_id: 'run_a' } };
const purge = { ...told, op: 'purge', run_id: 'run_a', invoked: 1_500, ended: 1_600 };

describe('a kept file is there byte for byte until it is deleted, and then gone', () => {
  const row = { file_id, name, status: 'stored', ...is };
  const lies = { file_id, ...is };
  function judge(journal: object[], { files = [row], stored = [lies], incoming = [] as string[], ...given } = {}) {
    const more = { bundles: [], purged: new Map(), run_files: [], asked: journal, ...given };
    return filesAreKept({ journal, files, store: { stored, incoming }, ...more } as unknown as Evidence);
  }
  const none = { files: [], stored: [] };
  const isPurged = { purged: new Map([['run_a', {}]]) };

  test.for([
    ['a file that is read', [upload, read]],
    ['one that is kept at the second try', [{ ...upload, outcome: 'unknown', body: undefined }, upload, read]],
    ['one that was refused', [{ ...upload, outcome: 'fail', status: 429, body: {} }], none],
    ['one of which nobody has heard', [{ ...upload, outcome: 'unknown', body: undefined }]],
    ['one that is deleted', [upload, read, deletion, { ...missed, invoked: 4_000, ended: 4_100 }], none],
    [
      'one whose deletion was not heard of',
      [upload, { ...deletion, outcome: 'unknown' }, { ...deletion, outcome: 'fail', status: 404 }],
      none,
    ],
    ['one that went with its run', [upload, start, purge, missed], { ...none, ...isPurged }],
    [
      'one that another run has too',
      [upload, start, purge],
      { ...isPurged, run_files: [{ file_id, run_id: 'run_b' }] },
    ],
  ] as [string, object[], object?][])('%s is as promised', ([, journal, given]) =>
    expect(judge(journal, given)).toEqual([]),
  );

  test.for([
    ['one that is gone', [upload], none, 'is gone'],
    ['one that is read as another', [upload, { ...read, body: { ...is, sha256: 'xyz' } }], {}, 'was read as'],
    ['one that is not found', [upload, missed], {}, 'was to be read'],
    ['one that is another in the store', [upload], { stored: [{ ...lies, sha256: 'xyz' }] }, 'is another in the store'],
    [
      'one of which half is kept',
      [upload],
      { files: [{ ...row, size: 1 }], stored: [{ ...lies, size: 1 }] },
      'not what',
    ],
    ['one that is not in the store', [upload], { stored: [] }, 'is not in the store'],
    ['what nobody knows of', [], { files: [] }, 'nobody knows of it'],
    ['what is left of an upload', [upload], { incoming: ['file_9'] }, 'is left of what came in'],
    ['one that nothing is done for', [], { files: [{ ...row, status: 'deleted' }] }, 'is deleted after housekeeping'],
    ['one that is deleted and there', [upload, deletion], {}, 'was to go'],
    ['one that is deleted and read', [upload, deletion, { ...read, invoked: 4_000 }], none, 'was deleted, and read'],
    ['one that stays when its run is purged', [upload, start, purge], isPurged, 'was to go'],
    ['one that was kept twice', [upload], { files: [row, { ...row, file_id: 'file_2' }] }, 'and is 2'],
    ['one that was refused for nothing', [{ ...upload, outcome: 'fail', status: 422 }], none, 'was refused'],
  ] as [string, object[], object, string][])('%s is told', ([, journal, given, words]) =>
    expect(judge(journal, given)).toContainEqual(expect.stringContaining(words)),
  );
});

describe('what a run was given its models are given', () => {
  const run_id = 'run_a';
  const gate_id = 'run_a/T1/1';
  const ofGoal = { run_id, file_id, gate_id: '', task_id: null, name };
  const ofAnswer = { ...ofGoal, gate_id, task_id: 'T1' };
  const answer = { ...told, op: 'complete', run_id, gate_id, attachments: [file_id] };
  const call = {
    call_id: 'run_a/T2',
    run_id,
    purpose: 'execute',
    task_id: 'T2',
    prompt: fileMark(name),
    received_at: 5_000,
  };
  const without = { ...call, prompt: 'Nothing.' };
  const tasks = [
    { run_id, id: 'T1', depends_on: [] },
    { run_id, id: 'T2', depends_on: ['T1'] },
    { run_id, id: 'T3', depends_on: [] },
  ];
  function judge(journal: object[], run_files: object[], calls: object[]): string[] {
    return modelsAreGivenFiles({
      journal,
      run_files,
      calls,
      tasks,
      events: [],
      texts: new Map(),
    } as unknown as Evidence);
  }

  test.for([
    ['with the goal', [start], [ofGoal], [call, { ...call, purpose: 'split' }]],
    ['with an answer', [answer], [ofAnswer], [call, { ...without, task_id: 'T3' }]],
    ['nothing, when the answer was refused', [{ ...answer, outcome: 'fail' }], [], [without]],
  ] as [string, object[], object[], object[]][])('%s', ([, ...given]) => expect(judge(...given)).toEqual([]));
  test.for([
    ['a planner that was not given the goal', [start], [ofGoal], [{ ...without, purpose: 'split' }], 'of the goal'],
    ['who works after an answer, without its file', [answer], [ofAnswer], [without], `of ${gate_id}`],
    ['who concludes without it', [answer], [ofAnswer], [{ ...without, purpose: 'finalize' }], `of ${gate_id}`],
    ['a run that has not what was acknowledged', [start], [], [], 'has it not'],
    ['a file of another run', [], [], [call], 'of another'],
  ] as [string, object[], object[], object[], string][])('%s is told', ([, journal, files, calls, words]) =>
    expect(judge(journal, files, calls)).toContainEqual(expect.stringContaining(words)),
  );
});
