import { beforeEach, expect, test } from 'vitest';
import { createStack, type Stack } from '../harness/orchstack.ts';
import { expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** OrchStack's agents, runs and gates, as its page has them. */

const story = useStory();
let stack: Stack;

beforeEach(() => {
  stack = createStack(story.orchflow.url, story.user);
});

/** An agent that asks the story's model. */
const create = (agent: object = {}) => stack.createAgent({ provider_id: story.provider_id, ...agent });

const page = { input: 'Book a haircut for tomorrow at 3pm', channel: 'whatsapp', user_id: 'usr_xyz789' };
const booked = 'Booked! Haircut with Sarah at 3pm tomorrow.';

test("the page's example: an agent is run, and the answer is as printed", async () => {
  story.model.on(() => booked);
  const agent_id = await create();
  const { status, headers, body } = await stack.post(`/agents/${agent_id}/run`, page);
  expect(status, JSON.stringify(body)).toBe(200);
  expect(Object.keys(body)).toEqual(['run_id', 'status', 'output', 'tokens', 'duration_ms']);
  const { run_id } = body;
  const tokens = { input: expect.any(Number), output: expect.any(Number) };
  expect(body).toEqual({ run_id, status: 'completed', output: booked, tokens, duration_ms: expect.any(Number) });
  expect(body.tokens.input).toBeGreaterThan(0);
  expect(headers.get('location')).toBe(`/v1/runs/${run_id}`);
  const { body: run } = await stack.get(`/runs/${run_id}`);
  expect(run).toMatchObject({ ...page, ...body, origin: 'orchstack', kind: 'agent', agent_id, version: 'v1' });
  expect((await story.user.get(`/runs?origin=orchstack`)).body.runs).toMatchObject([{ run_id, origin: 'orchstack' }]);
});
