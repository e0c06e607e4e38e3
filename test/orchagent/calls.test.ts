import { expect, test } from 'vitest';
import { uuidOf } from '../../src/ids.ts';
import { createCaller, publish } from '../harness/orchagent.ts';
import { useStory } from '../harness/story.ts';

/** Agents are called by version, and answer. */

const story = useStory();

test('an agent is called with JSON and answers in the envelope', async () => {
  story.model.on(() => '{"total": 12}');
  await publish(story.orchflow, story.user, 'acme-one', { name: 'scanner', system_prompt: 'You scan.' });
  const caller = createCaller(story.orchflow.url, story.user);
  const { status, body, headers } = await caller.post('/acme-one/scanner/v1/run', { invoice: 'Twelve euros.' });
  expect(status, JSON.stringify(body)).toBe(200);
  const uuid = headers.get('x-run-id')!;
  expect(body).toEqual({
    data: { total: 12 },
    warnings: [],
    metadata: {
      request_id: `req_${uuid.replaceAll('-', '').slice(0, 12)}`,
      run_id: uuid,
      processing_time_ms: expect.any(Number),
      execution_time_ms: expect.any(Number),
      version: 'v1',
      usage: { input_tokens: expect.any(Number), output_tokens: expect.any(Number), llm_calls: 1, cost_usd: expect.any(Number) },
    },
  });
  const { body: runs } = await story.user.get('/runs');
  expect(runs.runs.map((run: any) => [uuidOf(run.run_id), run.origin])).toEqual([[uuid, 'orchagent']]);
  expect(story.model.calls[0]!.prompt).toContain('Twelve euros.');
});
