import { describe, expect, test } from 'vitest';
import type { User } from '../harness/orchflow.ts';
import { resume, runSteps } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** What people send to forms, over every way that it comes, and what the steps after it then see. */

const story = useStory();

type Field = { name: string; type: string; required?: boolean; options?: unknown; [bound: string]: unknown };
const field = (type: string, more = {}): Field => ({ name: 'it', type, ...more });
const [number, boolean, text, textarea] = ['number', 'boolean', 'text', 'textarea'].map((type) => field(type));
const [date, datetime] = ['date', 'datetime'].map((type) => field(type));
const grade = field('integer', { min: 1, max: 5 });
const share = field('number', { min: -0.5, max: 0.5 });
const short = field('textarea', { min_length: 3, max_length: 5 });
const some = field('multi_select', { options: ['Yes, please', 'no', '5', 'A', 'a'], max_items: 3 });
const two = { ...some, min_items: 2 };
const select = field('select', { options: ['Yes, please', 'no', '5', 'A', 'a'], required: false });
const needed = field('text', { required: true });
const several = [field('number'), { ...text!, name: 'note' }, { ...boolean!, name: 'sure' }];

const blank = [
  '',
  ' \n',
  '\u200b',
  '\u3164',
  '\u00a0\u2060\ufeff',
  '\u2800',
  '\u115f\u1160\uffa0',
  '\u034f\ufe0f\u00ad',
];

/** The fields, what is sent, and what it says: a value, or why not and at which field. */
const taken: [string, Field[], unknown, unknown][] = [
  ['a number', [number!], { it: 3 }, { it: 3 }],
  ['a number as a text', [number!], { it: '3' }, { it: 3 }],
  ['a number between spaces', [number!], { it: ' -3.50\n' }, { it: -3.5 }],
  ['a number with an exponent', [number!], { it: '1e3' }, { it: 1000 }],
  ['a bare number', [number!], '12.5', { it: 12.5 }],
  ['no', [boolean!], { it: false }, { it: false }],
  ['no as a text', [boolean!], { it: 'false' }, { it: false }],
  ['no as a bare text', [boolean!], 'false', { it: false }],
  ['no in capitals', [boolean!], ' FALSE ', { it: false }],
  ['yes as a text', [boolean!], { it: 'True' }, { it: true }],
  ['a form as a text', [boolean!], '{"it": "false"}', { it: false }],
  ['an option', [select], { it: 'no' }, { it: 'no' }],
  ['an option in other letters', [select], ' yes, PLEASE', { it: 'Yes, please' }],
  ['an option that is a number', [select], { it: 5 }, { it: '5' }],
  ['an option that differs by its case', [select], 'a', { it: 'a' }],
  ['a number for a text', [text!], { it: 3.5 }, { it: '3.5' }],
  ['a text that is a number', [text!], '007', { it: '007' }],
  ['a text that is a list', [textarea!], '["a", "b"]', { it: '["a", "b"]' }],
  ['a text that is an object', [textarea!], '{"a": 1}', { it: '{"a": 1}' }],
  ['a text that is an empty object', [text!], '{}', { it: '{}' }],
  ['a text that is a form', [text!], '{"it": " words "}', { it: ' words ' }],
  ['a text with an emoji of several parts', [needed], '❤️', { it: '❤️' }],
  ['a whole number', [grade], { it: '5.0' }, { it: 5 }],
  ['the least', [share], '-0.5', { it: -0.5 }],
  ['a short text', [short], '12345', { it: '12345' }],
  ['a day', [date!], ' 2028-02-29\n', { it: '2028-02-29' }],
  ['a moment', [datetime!], { it: '2026-01-31T10:30+01:00' }, { it: '2026-01-31T09:30:00.000Z' }],
  ['a moment to the nanosecond', [datetime!], '2026-01-31 09:30:59.123456789z', { it: '2026-01-31T09:30:59.123Z' }],
  ['options', [some], { it: ['A', 'NO'] }, { it: ['no', 'A'] }],
  ['options twice', [some], { it: ['no', 'No', 5] }, { it: ['no', '5'] }],
  ['one option', [some], 'yes, please', { it: ['Yes, please'] }],
  ['options with commas', [some], ' a ,5,', { it: ['5', 'a'] }],
  ['options as JSON', [some], '["Yes, please", "a"]', { it: ['Yes, please', 'a'] }],
  ['options in a form as a text', [two], '{"it": ["no", 5]}', { it: ['no', '5'] }],
  ['no options', [two], { it: [] }, {}],
  ['words', [], 'Go on.', { response: 'Go on.' }],
  ['words that are a list', [], '["a", "b"]', { response: '["a", "b"]' }],
  ['words that are an object', [], '{"a": 1}', { response: '{"a": 1}' }],
  ['any object', [], { any: ['thing', 1, null] }, { any: ['thing', 1, null] }],
  ['several fields', several, { it: '1', note: 2, sure: 'TRUE' }, { it: 1, note: '2', sure: true }],
  ['several fields as a text', several, '{"it": "1", "sure": false}', { it: 1, sure: false }],
  ['null', several, { it: null, note: null, sure: null }, {}],
  ...blank.map((nothing, index): (typeof taken)[number] => [
    `blank ${index}`,
    several,
    { it: nothing, note: nothing, sure: nothing },
    {},
  ]),
];

const refused: [string, Field[], unknown, string | null, RegExp][] = [
  ...['', ' ', '0x10', '1e999', '3,5', '1 000', 'NaN', 'Infinity', '--1', '12abc'].map(
    (word, index): (typeof refused)[number] => [
      `no number ${index}`,
      [{ ...number!, required: true }],
      { it: word },
      'it',
      word.trim() ? /must be a number$/ : /is required/,
    ],
  ),
  ['a number that would be rounded', [number!], { it: '12345678901234567890' }, 'it', /not rounded/],
  ...['yes', 'on', 1, 0, '1', 'falsch', []].map((word, index): (typeof refused)[number] => [
    `neither yes nor no ${index}`,
    [boolean!],
    { it: word },
    'it',
    /must be true or false/,
  ]),
  ['no whole number', [grade], { it: 2.5 }, 'it', /must be a whole number/],
  ['too little', [grade], { it: '0' }, 'it', /must be at least 1/],
  ['too much', [share], { it: 0.51 }, 'it', /must be at most 0\.5/],
  ['too short', [short], { it: 'ab' }, 'it', /must be at least 3 characters/],
  ['too long', [short], { it: 123456 }, 'it', /must be at most 5 characters/],
  ...['2026-02-30', '31.1.2026', '2026-01-31T00:00:00Z'].map((given, index): (typeof refused)[number] => [
    `no day ${index}`,
    [date!],
    { it: given },
    'it',
    /must be a date, as/,
  ]),
  ...['2026-01-31T09:30', '2026-02-30T09:30Z', '9999-12-31T23:59-05:00'].map(
    (given, index): (typeof refused)[number] => [
      `no moment ${index}`,
      [datetime!],
      { it: given },
      'it',
      /must be a date with time and offset/,
    ],
  ),
  ['an option and no option', [some], { it: 'no,maybe' }, 'it', /must be a list of some of Yes, please, no/],
  ['a list within a list', [some], { it: [['no']] }, 'it', /must be a list of some of/],
  ['an object for options', [some], { it: { no: true } }, 'it', /must be a list$/],
  ['too few options', [two], { it: ['no'] }, 'it', /must be at least 2 options/],
  ['too many options', [some], { it: 'no,5,a,A' }, 'it', /must be at most 3 options/],
  ['needed options', [{ ...some, required: true }], { it: [] }, 'it', /is required/],
  ['no option', [select], { it: 'maybe' }, 'it', /must be one of Yes, please/],
  ['a list for a text', [text!], { it: ['a'] }, 'it', /must be a text/],
  ['an unknown field', [text!], { it: 'a', that: 'b' }, 'that', /is not a field of this step: "it"/],
  ['an unknown field in a text', several, '{"that": "b"}', 'that', /is not a field of this step/],
  ['words for several fields', several, 'words', null, /must be an object with "it", "note", "sure"/],
  ['words that cannot be kept', [], 'a\u0000b', null, /without NUL/],
  ['an invisible answer', [], '\u200b\u3164', null, /must not be empty/],
  ...blank.map((nothing, index): (typeof refused)[number] => [
    `a needed field left blank ${index}`,
    [needed],
    { it: nothing },
    'it',
    /is required/,
  ]),
];

/** One run that asks all of these at once; each row is a step of its own. */
async function askAll(rows: [string, Field[], ...unknown[]][]) {
  const { user, orchflow } = story;
  const steps = rows.map(([, human_fields], index) => ({
    id: `row-${index}`,
    type: 'human',
    human_fields,
    next_step_id: null,
  }));
  const all = { id: 'all', type: 'parallel', parallel_branches: steps.map(({ id }) => [id]), next_step_id: null };
  const paused = await runSteps(user, [all, ...steps]);
  const run = user.openRun(paused.body.run_id);
  await run.until(({ waiting_tasks }) => waiting_tasks.length === rows.length);
  const handle = orchflow.client.workflow.getHandle(run.run_id);
  const fieldsOf = (body: any): [string | null, string][] =>
    body.errors.map(({ pointer, detail }: any) => [pointer.split('/')[2] ?? null, detail]);
  return {
    run,
    /** Sends an answer one way; returns why it was refused, when it was told. */
    byResume: async (step_id: string, response: unknown) => {
      const { status, body } = await user.post(`/orchestrations/runs/${run.run_id}/resume?wait=0`, {
        response,
        step_id,
      });
      return status === 422 ? fieldsOf(body) : [];
    },
    byComplete: async (step_id: string, answer: unknown) => {
      const output = typeof answer === 'string' ? answer : JSON.stringify(answer);
      const { status, body } = await run.complete(step_id, { output });
      if (status !== 422) return [];
      return fieldsOf(body).map(([, detail]): [string | null, string] => {
        const [, member = null, words] = /^(?:"(\w+)" )?(.*)$/s.exec(detail)!;
        return [member, words!];
      });
    },
    bySignal: (task_id: string, output: unknown) => handle.signal('completeTask', { task_id, output }),
  };
}

describe('an answer has the types of its fields', () => {
  test.each(['byResume', 'byComplete', 'bySignal'] as const)('%s', async (way) => {
    // A text that is sent as the whole answer of a form without fields is that text, and so is its JSON.
    const rows = taken.filter(
      ([, fields, given]) => way !== 'byComplete' || typeof given === 'string' || fields.length > 0,
    );
    const asked = await askAll(rows);
    for (const [index, [, , given]] of rows.entries()) await asked[way](`row-${index}`, given);
    const done = await asked.run.until(({ tasks }) => tasks.every(({ id, output }) => id === 'all' || output !== null));
    const said = done.tasks.filter(({ id }) => id !== 'all').map(({ output }) => JSON.parse(output!) as unknown);
    expect(said.map((value, index) => [rows[index]![0], value])).toEqual(
      rows.map(([name, , , value]) => [name, value]),
    );
    expect(done.warnings).toEqual([]);
  });
});

describe('an answer that does not fit is refused, and the form stays open', () => {
  test.each(['byResume', 'byComplete'] as const)('%s', async (way) => {
    // An object that is no form is words where words are asked for.
    const rows = refused.filter(([name]) => way !== 'byComplete' || name !== 'an unknown field');
    const { run, ...ways } = await askAll(rows);
    for (const [index, [name, , given, member, detail]] of rows.entries()) {
      const faults = await ways[way](`row-${index}`, given);
      expect(faults, name).toEqual([[member, expect.stringMatching(detail)]]);
    }
    expect((await run.get()).waiting_tasks).toHaveLength(rows.length);
    await run.cancel();
  });

  test('bySignal', async () => {
    const { run, bySignal } = await askAll(refused);
    for (const [index, [, , given]] of refused.entries()) await bySignal(`row-${index}`, given);
    const { warnings, waiting_tasks } = await run.until((view) => view.warnings.length === refused.length);
    for (const [index, [name, , , , detail]] of refused.entries()) {
      expect(warnings[index], name).toMatch(new RegExp(`^A signal for row-${index} was not taken: .*${detail.source}`));
    }
    expect(waiting_tasks).toHaveLength(refused.length);
    await run.cancel();
  });
});

test.each<[string, (user: User, run_id: string) => Promise<unknown>]>([
  ['resume', (user, run_id) => user.post(`/orchestrations/runs/${run_id}/resume`, { response: { ok: 'false' } })],
  ['resume with a text', (user, run_id) => user.post(`/orchestrations/runs/${run_id}/resume`, { response: 'False' })],
  ['complete', (user, run_id) => user.post(`/runs/${run_id}/tasks/ask/complete`, { output: '{"ok": "false"}' })],
  [
    'signal',
    (_, run_id) =>
      story.orchflow.client.workflow.getHandle(run_id).signal('completeTask', { task_id: 'ask', output: 'false' }),
  ],
])('a person who says no goes the way of no: %s', async (_, answer) => {
  const { user } = story;
  const paused = await runSteps(user, [
    { id: 'ask', type: 'human', human_fields: [{ name: 'ok', type: 'boolean', required: true }], output_key: 'ask' },
    { id: 'if', type: 'if_else', if_condition: 'state.ask.ok', if_true_step_id: 'yes', if_false_step_id: 'no' },
    { id: 'yes', type: 'print', print_content: 'YES', output_key: 'said', next_step_id: null },
    { id: 'no', type: 'print', print_content: 'NO', output_key: 'said', next_step_id: null },
  ]);
  await answer(user, paused.body.run_id);
  await user.openRun(paused.body.run_id).until('completed');
  const { body } = await user.get(`/orchestrations/runs/${paused.body.run_id}`);
  expect(body.shared_state).toMatchObject({ ask: { ok: false }, said: 'NO' });
});

test('of three answers without a step at once one is taken; the others hear what the run still waits for', async () => {
  const { user } = story;
  const ids = ['left', 'middle', 'right'];
  const paused = await runSteps(user, [
    { id: 'all', type: 'parallel', parallel_branches: ids.map((id) => [id]), next_step_id: null },
    ...ids.map((id) => ({ id, type: 'human', next_step_id: null })),
  ]);
  const run = user.openRun(paused.body.run_id);
  const waiting = await run.until(({ waiting_tasks }) => waiting_tasks.length === ids.length);
  const gates = waiting.tasks.flatMap(({ id, gate }) => (gate ? [`${id} (${gate.gate_id})`] : []));
  const answers = await Promise.all(ids.map((id) => resume(user, paused, `From ${id}.`)));
  const late = answers.filter(({ status }) => status === 409);
  const answered_at: unknown = expect.any(String);
  for (const { body } of late) {
    expect(body).toMatchObject({
      code: 'RUN_NOT_PAUSED',
      answer: { gate_id: body.gate_id, decision: 'approve', output: expect.stringContaining('From '), answered_at },
    });
    expect(body.detail).toContain(body.gate_id);
    const [, first] =
      /^Another answer to (\S+) came first\. The run still waits for .*: name one by its `gate_id`\.$/.exec(
        body.detail,
      )!;
    const others = gates.filter((gate) => !gate.includes(first!));
    expect(others).toHaveLength(ids.length - 1);
    // Another may have been answered since.
    expect(others.some((gate) => body.detail.includes(gate))).toBe(true);
  }
  // Who comes later than the first has taken effect answers the next; nobody's answer is lost.
  expect((await run.get()).waiting_tasks).toHaveLength(late.length);
  await run.cancel();
});
