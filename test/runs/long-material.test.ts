import { expect, test } from 'vitest';
import { useStory } from '../harness/story.ts';

/** What earlier outputs may fill of a prompt: by what a model makes of them, whatever the script. */

const story = useStory();

test.each([
  ['English', 'market ', 80_000],
  ['Russian', 'рынок ', 44_000],
  ['Chinese', '研究市场', 20_000],
])('a long output in %s is cut to what a prompt has room for', async (_, words, longest) => {
  const output = words.repeat(Math.ceil(120_000 / words.length));
  const run = await story.start({
    dependencies: { T2: ['T1'], T3: ['T2'] },
    execute: ({ task_id }) => (task_id === 'T1' ? output : undefined),
  });
  await run.until('completed');
  const [prompt] = story.prompts('T2');
  const kept = prompt!.split(words).length * words.length;
  expect(kept).toBeLessThanOrEqual(longest + 100);
  expect(kept).toBeGreaterThan(longest * 0.9);
  expect(prompt).toMatch(/\[… \d+ characters left out\]/);
});
