import { expect, test } from 'vitest';
import { runAgent } from '../harness/agent.ts';
import { registerCode } from '../harness/code.ts';
import { useStory } from '../harness/story.ts';

/** Runs of agents whose output code makes. */

const story = useStory({ SANDBOX_DRIVER: 'bubblewrap' });

test('code gets its input on stdin, and its JSON is the output', async () => {
  const agent_id = await registerCode(story.orchflow, story.user, {
    'main.py': 'import json, sys\ngiven = json.load(sys.stdin)\nprint(json.dumps({"sum": sum(given["numbers"])}))',
  });
  const run = await runAgent(story.user, agent_id, { input: { numbers: [1, 2, 3] } });
  const done = await run.until('completed');
  expect(JSON.parse(done.final_output!)).toEqual({ sum: 6 });
  expect(done.usage.llm_calls).toBe(0);
});
