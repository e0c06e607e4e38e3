import { describe, expect, test } from 'vitest';
import type { Evidence } from '../../chaos/evidence.ts';
import {
  documentsAreFound,
  documentsAreIndexed,
  documentsAreToldOf,
  embeddingsArePaidOnce,
  tokensAreTheOutput,
} from '../../chaos/invariants/library.ts';

/** What chaos judges of documents and of streams: what is as promised violates nothing, and what is broken does. */

const document_id = 'doc_1';
const name = 's0d1.txt';
const word = 'zqs0d1txt';
const told = { outcome: 'ok', status: 200, invoked: 1_000, ended: 1_100 };
const added = {
  ...told,
  op: 'add documents',
  account: 'a',
  names: [name],
  key: 'k',
  body: { documents: [{ document_id, name }] },
};
const deletion = { ...told, op: 'delete document', document_id };
const row = { document_id, name, status: 'indexed', failure: null, attempt: 1, chunks: 2, written: 2, embedded: 2 };
const workflow = { workflow_id: `${document_id}/index/1`, status: 'COMPLETED', pending: '' };
const call = { texts: ['one', 'two'], at: 2_000, answered_at: 2_100 };
const delivery = {
  delivery_id: 'msg_1',
  status: 'delivered',
  event: 'knowledge.indexed',
  body: `{"document_id":"${document_id}"}`,
};
const heard = { id: 'msg_1', body: 'as it was', status: 204, verified: true };
const none = { documents: [], paid: [], asked: [], told: [], deliveries: [], workflows: [] };

type Judge = (evidence: Evidence) => string[];
const judge = (invariant: Judge, journal: object[], library: object = {}, more: object = {}) =>
  invariant({ journal, asked: journal, library: { ...none, ...library }, fallen: [], ...more } as unknown as Evidence);

describe('a document', () => {
  const there = { documents: [row], workflows: [workflow] };
  const fails = { status: 'failed', failure: 'Its key was refused.' };
  test.for([
    ['that is indexed', [added], there],
    ['that is deleted', [added, deletion], {}],
    [
      'that failed since its key was refused',
      [added],
      { ...there, documents: [{ ...row, ...fails }], asked: [{ ...call, fault: 'key refused' }] },
    ],
  ] as [string, object[], object][])('%s is as promised', ([, journal, library]) =>
    expect(judge(documentsAreIndexed, journal, library)).toEqual([]),
  );
  test.for([
    ['that is gone', [added], {}, 'is gone'],
    ['that is deleted and there', [added, deletion], there, 'was deleted'],
    ['that is there twice', [added], { ...there, documents: [row, row] }, 'is there 2 times'],
    ['that waits for ever', [added], { ...there, documents: [{ ...row, status: 'indexing' }] }, 'is indexing'],
    ['of which half is embedded', [added], { ...there, documents: [{ ...row, embedded: 1 }] }, '1 of 2'],
    ['that failed without a reason', [added], { ...there, documents: [{ ...row, ...fails }] }, 'for no good reason'],
    ['without a workflow', [added], { documents: [row] }, 'its workflows'],
    [
      'that was acknowledged as two',
      [added, { ...added, body: { documents: [{ document_id: 'doc_2', name }] } }],
      there,
      'and as',
    ],
  ] as [string, object[], object, string][])('%s is not', ([, journal, library, fault]) =>
    expect(judge(documentsAreIndexed, journal, library)).toContainEqual(expect.stringContaining(fault)),
  );
});

describe('an embedding', () => {
  const again = { ...call, at: 3_000, answered_at: 3_100 };
  const killed = { kind: 'kill', target: 'worker1', lasts: 500, began: 2_050, ended: 2_600 };
  test.for([
    ['that is paid once', [call], 1, []],
    ['that was asked for again after a fault', [{ ...call, fault: 'error 500' }, again], 1, []],
    ['that was asked for again since a worker was killed', [call, again], 1, [killed]],
  ] as [string, object[], number, object[]][])('%s is as promised', ([, asked, paid, fallen]) =>
    expect(judge(embeddingsArePaidOnce, [], { asked, paid: Array(paid).fill({}) }, { fallen })).toEqual([]),
  );
  test.for([
    ['that is asked for twice', [call, again], 1, 'and again at'],
    ['that is journalled twice', [call], 2, '2 calls were paid'],
  ] as [string, object[], number, string][])('%s is not', ([, asked, paid, fault]) =>
    expect(judge(embeddingsArePaidOnce, [], { asked, paid: Array(paid).fill({}) })).toContainEqual(
      expect.stringContaining(fault),
    ),
  );
});

describe('what became of a document', () => {
  const as = (library: object) =>
    judge(documentsAreToldOf, [], { documents: [row], deliveries: [delivery], told: [heard], ...library });
  test('is told once, and may come twice', () => expect(as({ told: [heard, heard] })).toEqual([]));
  test.for([
    ['is told to nobody', { deliveries: [], told: [] }, 'of 1 tries'],
    ['is told twice', { deliveries: [delivery, { ...delivery, delivery_id: 'msg_2' }] }, 'of 1 tries'],
    ['is told in other words', { told: [heard, { ...heard, body: 'another' }] }, 'different bodies'],
    ['is told otherwise than it is', { deliveries: [{ ...delivery, event: 'knowledge.failed' }] }, 'and was told'],
    ['says that it was heard', { told: [] }, 'was not delivered'],
  ] as [string, object, string][])('%s: it is not as promised', ([, library, fault]) =>
    expect(as(library)).toContainEqual(expect.stringContaining(fault)),
  );
});

describe('a search', () => {
  const found = { document_id, document: name, text: `${word} Item 1` };
  const search = { ...told, op: 'search', account: 'a', word, document_id, due: 'found', body: { results: [found] } };
  const as = (change: object) => judge(documentsAreFound, [added, { ...search, ...change }]);
  test('finds what is indexed, and not what is deleted', () => {
    expect([...as({}), ...as({ due: 'gone', body: { results: [] } })]).toEqual([]);
  });
  test.for([
    ['finds nothing', { body: { results: [] } }, 'was not found'],
    ['finds what is deleted', { due: 'gone' }, 'was deleted'],
    ["finds another's", { account: 'b' }, 'b has found'],
  ] as [string, object, string][])('%s: it is not as promised', ([, change, fault]) =>
    expect(as(change)).toContainEqual(expect.stringContaining(fault)),
  );
});

describe('a stream', () => {
  const result = { status: 'completed', output: 'The text.' };
  const stream = {
    ...told,
    op: 'start',
    run: 'r0',
    isStream: true,
    body: { run_id: 'run_1', text: 'The text.', gaps: 0, result },
  };
  const known = { runs: [{ run_id: 'run_1', final_output_id: 't' }], texts: new Map([['t', 'The text.']]) };
  const as = (body: object) => judge(tokensAreTheOutput, [{ ...stream, body: { ...stream.body, ...body } }], {}, known);
  test('has the output in its tokens, and may break off', () => {
    expect([...as({}), ...as({ text: 'The', result: undefined, broke: 'cut' })]).toEqual([]);
  });
  test.for([
    ['lacks some', { gaps: 1 }, 'gaps'],
    ['has other tokens', { text: 'The te' }, 'was read as'],
    ['ends in another output', { text: 'x', result: { ...result, output: 'x' } }, 'stands'],
  ] as [string, object, string][])('%s: it is not as promised', ([, body, fault]) =>
    expect(as(body)).toContainEqual(expect.stringContaining(fault)),
  );
});
