import { expect, test } from 'vitest';
import { registerAgent, runAgent } from '../harness/agent.ts';
import { inTurn } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Runs of agents whose output must fit a schema. */

const story = useStory();

/** An agent that asks the story's model. */
const register = (agent: object = {}) => registerAgent(story.user, { provider_id: story.provider_id, ...agent });
const start = (agent_id: string) => runAgent(story.user, agent_id);

const verdict = {
  type: 'object',
  properties: { why: { type: 'string', maxLength: 100 }, verdict: { enum: ['yes', 'no'] } },
  required: ['why', 'verdict'],
};
const good = { why: 'It is fair.', verdict: 'yes' };

test('the output is JSON that fits, and what does not is asked for again with the fault', async () => {
  const replies = inTurn(
    'It is fair.',
    { why: 'x'.repeat(101), verdict: 'yes' },
    `Here:\n\`\`\`json\n${JSON.stringify(good)}\n\`\`\``,
  );
  story.model.on(replies);
  const run = await start(await register({ output_schema: verdict }));
  const done = await run.until('completed');
  expect(JSON.parse(done.final_output!)).toEqual(good);
  expect(Object.keys(JSON.parse(done.final_output!))).toEqual(['why', 'verdict']);
  const [first, second, third] = story.model.calls;
  expect(first!.prompt).toContain(JSON.stringify(verdict));
  expect(second!.prompt).toContain('not valid JSON');
  expect(third!.prompt).toContain('must be at most 100 characters');
  expect(done.usage.llm_calls).toBe(3);
});

test('three answers that do not fit fail the run in words, and a retry asks anew', async () => {
  const fails = { on: true };
  story.model.on(() => (fails.on ? { verdict: 'perhaps' } : good));
  const run = await start(await register({ output_schema: verdict }));
  const failed = await run.until('failed');
  const error =
    'The agent "legal" failed: three times its model gave no output that fits the output schema: why is required; verdict must be one of yes, no';
  expect(failed).toMatchObject({ error, final_output: null, usage: { llm_calls: 3 } });
  expect(failed.tasks[0]).toMatchObject({ status: 'failed', error, evaluation: { passed: false, score: null } });

  fails.on = false;
  expect((await story.user.post(`/runs/${run.run_id}/retry`, {})).status).toBe(200);
  const done = await run.until((view) => view.status === 'completed');
  expect(JSON.parse(done.final_output!)).toEqual(good);
  expect(done).toMatchObject({ attempt: 2, error: null, tasks: [{ attempts: 2, evaluation: null }] });
  expect(story.model.calls).toHaveLength(4);
});

test('an agent with tools answers in words, which are put into JSON', async () => {
  story.model.on(inTurn({ call: [{ name: 'run_javascript', arguments: { code: '1 + 1' } }] }, 'It is fair.', good));
  const run = await start(await register({ output_schema: verdict, tools: ['run_javascript'] }));
  const done = await run.until('completed');
  expect(JSON.parse(done.final_output!)).toEqual(good);
  expect(story.model.calls.at(-1)!.prompt).toContain('It is fair.');
  expect(done.usage.llm_calls).toBe(3);
});

test("a person's edit must fit it too", async () => {
  story.model.on(() => good);
  const run = await start(await register({ output_schema: verdict, require_approval: true }));
  await run.untilWaiting('T1');
  for (const [output, detail] of [
    ['No.', 'must be JSON that fits the output schema of the agent'],
    ['{"why": "x"}', 'does not fit the output schema of the agent: verdict is required'],
  ]) {
    const refused = await run.complete('T1', { decision: 'edit', output });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: '/output', detail }] } });
  }
  const edited = JSON.stringify({ ...good, verdict: 'no' });
  expect((await run.complete('T1', { decision: 'edit', output: edited })).status).toBe(200);
  expect((await run.until('completed')).final_output).toBe(edited);
});

test('an answer of many values is looked through in a bounded number of steps', async () => {
  const choices = (one: object, last = one) => ({ anyOf: [...Array.from({ length: 19 }, () => one), last] });
  const list = { type: 'array', items: choices(choices({ const: 0 }), { const: 1 }) };
  story.model.on(() => ({ list: Array.from({ length: 2_000 }, () => 1) }));
  const output_schema = { type: 'object', properties: { list }, required: ['list'] };
  const failed = await (await start(await register({ output_schema }))).until('failed');
  expect(failed.error).toMatch(/fits the output schema: it takes more than 100000 steps to check/);
});

test('what a server refuses of one schema, it is still asked for with another', async () => {
  const { model } = story;
  const refused = { type: 'object', properties: { odd: { type: 'string' } }, required: ['odd'] };
  const error = { message: "Invalid schema for response_format 'run_agent'", type: 'invalid_request_error' };
  model.on(({ json_schema, prompt }) => {
    if (json_schema && 'odd' in (json_schema as typeof refused).properties) return { status: 400, body: { error } };
    return prompt.includes('"odd"') ? { odd: 'x' } : good;
  });
  const [odd, plain] = [{ name: 'odd', output_schema: refused }, { output_schema: verdict }];
  for (const agent of [odd, plain]) await (await start(await register(agent))).until('completed');
  expect(model.calls.map(({ json_schema }) => json_schema !== undefined)).toEqual([true, false, true]);
});

test('what need not be given may be null on the wire, and is left out of the output', async () => {
  const { model } = story;
  const inner = { type: 'object', properties: { page: { type: 'integer' }, line: { type: ['integer', 'null'] } } };
  const properties = { why: { type: 'string' }, note: { type: 'string' }, places: { type: 'array', items: inner } };
  model.on(() => ({ why: 'Fair.', note: null, places: [{ page: null, line: null }] }));
  const output_schema = { type: 'object', properties, required: ['why'] };
  const done = await (await start(await register({ output_schema }))).until('completed');
  expect(JSON.parse(done.final_output!)).toEqual({ why: 'Fair.', places: [{ line: null }] });
  expect(model.calls).toHaveLength(1);
  expect(model.calls[0]!.json_schema).toMatchObject({
    required: ['why', 'note', 'places'],
    properties: { why: { type: 'string' }, note: { anyOf: [{ type: 'string' }, { type: 'null' }] } },
  });
});

test('where an object is open, the vendor is given no schema that would close it', async () => {
  const { model } = story;
  const facts = { facts: { more: [1] } };
  model.on(() => facts);
  const open = { facts: { type: 'object' } };
  const choice = { type: 'object', properties: { a: { type: 'string' } } };
  for (const properties of [open, { facts: {} }, { facts: { anyOf: [choice, { type: 'null' }] } }]) {
    const output_schema = { type: 'object', properties, required: ['facts'] };
    const name = `legal ${model.calls.length}`;
    const done = await (await start(await register({ name, output_schema }))).until('completed');
    expect(JSON.parse(done.final_output!)).toEqual(facts);
    expect(model.calls.at(-1)!.json_schema).toBeUndefined();
  }
});

test('an output by a schema comes with the warnings of all that it took', async () => {
  story.model.on(() => good);
  const warning = 'The price of house-model-7b is not known; its cost is not in cost_usd.';
  const model = 'house-model-7b';
  const plain = await start(await register({ output_schema: verdict, model }));
  expect((await plain.until('completed')).warnings).toEqual([warning]);

  const withTool = { name: 'other', tools: ['run_javascript'], output_schema: verdict, model };
  const replies = inTurn({ finish: 'length', text: 'It is' }, good);
  story.model.on(replies);
  const shaped = await (await start(await register(withTool))).until('completed');
  expect(shaped.warnings).toEqual([expect.stringContaining("was cut at the model's length limit"), warning]);
});

test('the demo model answers with JSON too', async () => {
  const run = await start(await registerAgent(story.user, { output_schema: verdict }));
  const done = await run.until('completed');
  expect(JSON.parse(done.final_output!)).toEqual({ why: 'Read this.', verdict: 'yes' });
});
