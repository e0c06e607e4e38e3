import { expect, test } from 'vitest';
import { runSteps } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** What the steps of an orchestration make has bounds, and no text is read in more than one pass. */

const story = useStory({ MAX_STATE_VALUE_CHARACTERS: '1000000' });
const message = 'x'.repeat(20_000);
const print = (times: number) => ({ id: 'print', type: 'print', print_content: '{state.user_input}'.repeat(times) });
const make = (code: string, output_key: string) => ({
  id: output_key,
  type: 'transform',
  transform_code: code,
  output_key,
});
const parts = [make("'a'.repeat(600000)", 'a'), make("'b'.repeat(600000)", 'b')];
const merge = (merge_strategy: string) => ({ id: 'merge', type: 'merge', input_keys: ['a', 'b'], merge_strategy });
const loop = [
  { id: 'loop', type: 'loop', loop_count: 3, loop_step_ids: ['a'], output_key: 'all', next_step_id: null },
  { ...parts[0]!, next_step_id: null },
];
const prompt_template = '{state.user_input}'.repeat(51);

test.each([
  ['print', [print(51)]],
  ['transform', [make("'x'.repeat(1000001)", 'transform')]],
  ['merge', [...parts, merge('list')]],
  ['merge', [...parts, merge('concat')]],
  ['extract_json', [...parts, { id: 'extract_json', type: 'extract_json', input_keys: ['a', 'b'] }]],
  ['loop', loop],
  ['llm', [{ id: 'llm', type: 'llm', prompt_template }]],
  ['human', [{ id: 'human', type: 'human', human_prompt: prompt_template }]],
])('a step of type %s that makes a longer value fails, and says so', async (id, steps) => {
  const { status, body } = await runSteps(story.user, steps, {}, message);
  const detail = `Step '${id}' failed: it makes a value of more than 1,000,000 characters.`;
  expect([status, body.status, body.response]).toEqual([200, 'failed', expect.stringContaining(detail)]);
});

test('a value of just so many characters is kept', async () => {
  const { body } = await runSteps(story.user, [{ ...print(50), output_key: 'printed' }], {}, message);
  expect(body.status).toBe('completed');
  expect(body.shared_state.printed).toHaveLength(1_000_000);
});

// Looked at again and again, each of them takes minutes, in which its worker answers nobody.
test.each([
  ['a fence that is never closed, and empty lines', "'[1] [2] ```json' + '\\n'.repeat(450000)", [[1], [2]]],
  ['many fences', "'[1] [2] ' + '```\\n'.repeat(200000)", [[1], [2]]],
  ['brackets that are never closed', "'{}' + '['.repeat(900000)", {}],
  ['a quote after each bracket', "'{}' + '{\"'.repeat(300000)", {}],
])('extract_json reads %s', async (_name, code, found) => {
  const steps = [
    make(code, 'text'),
    { id: 'extract', type: 'extract_json', input_keys: ['text'], output_key: 'found' },
  ];
  const { body } = await runSteps(story.user, steps);
  expect([body.status, body.shared_state?.found]).toEqual(['completed', found]);
});
