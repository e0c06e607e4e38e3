import { expect, test } from 'vitest';
import { expectFault } from '../harness/problem.ts';
import { define, readStream, resume, runSteps } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** Tools in orchestrations: agents that may call some, and steps that are one call. */

const story = useStory();

const code = (text: string) => ({ name: 'run_javascript', arguments: { code: text } });
/** The model calls these tools, one a turn, in whatever step it is asked; then it says what it heard. */
function callInTurn(...calls: ReturnType<typeof code>[]) {
  story.model.on(({ calls: made }) => {
    const next = calls[made.length];
    return next ? { call: [next], text: 'Let me compute.' } : `Heard: ${made.map(({ result }) => result).join(', ')}.`;
  });
}

const agent = (more = {}) => ({
  id: 'work',
  type: 'agent',
  allowed_tools: ['run_javascript'],
  output_key: 'work',
  ...more,
});
const tool = (more = {}) => ({ id: 'sum', type: 'tool', forced_tool: 'run_javascript', output_key: 'sum', ...more });

test('an agent works in turns with the tools that it is allowed, and readers see each', async () => {
  callInTurn(code('6 * 7'), code('nope()'));
  const id = await define(story.user, [
    agent(),
    { id: 'say', type: 'print', print_content: '<{state.work}>', output_key: 'said' },
  ]);
  const events = await readStream(story.orchflow.url, story.user, `/orchestrations/${id}/run/stream`, {
    message: 'Hi',
  });
  const told = events.filter(({ type }) => /^(agent_turn|llm_thought|tool_execution|tool_result|final)$/.test(type));
  const at = { step_id: 'work', orch_step_id: 'work', step_name: 'work' };
  expect(told.slice(0, 4)).toMatchObject([
    { type: 'llm_thought', ...at, turn: 1, thought: 'Let me compute.' },
    { type: 'agent_turn', ...at, turn: 1 },
    { type: 'tool_execution', ...at, tool_name: 'run_javascript', args: JSON.stringify(code('6 * 7').arguments) },
    { type: 'tool_result', ...at, tool_name: 'run_javascript', preview: '42' },
  ]);
  expect(told.find(({ type, turn }) => type === 'agent_turn' && turn === 3)).toMatchObject({
    thought: "Heard: 42, ReferenceError: 'nope' is not defined.",
  });
  expect(told.at(-1)).toMatchObject({ response: "<Heard: 42, ReferenceError: 'nope' is not defined.>" });
  expect(story.model.calls).toHaveLength(3);
});

test('an agent that must not go on for ever answers in its last turn, or its step fails', async () => {
  story.model.on(({ tool_choice }) => (tool_choice === 'none' ? 'Enough.' : { call: [code('1')] }));
  const { body } = await runSteps(story.user, [agent({ max_turns: 3 })]);
  expect(body).toMatchObject({ status: 'completed', response: 'Enough.' });
  expect(story.model.calls).toHaveLength(3);

  story.model.reset();
  story.model.on(() => ({ call: [code('1')] }));
  const failed = (await runSteps(story.user, [agent({ max_turns: 2 })])).body;
  expect(failed.status).toBe('failed');
  expect(failed.response).toContain(
    "Step 'work' failed: The agent went on calling tools and gave no answer in 2 turns.",
  );
});

test('tool: the model writes the arguments of a call, whose result is the output; one that fails is written anew, so often', async () => {
  story.model.on(({ prompt }) => ({ call: [code(prompt.includes('Add up') ? '[1, 2].length' : 'nope()')] }));
  const { body } = await runSteps(story.user, [tool({ prompt_template: 'Add up.' })]);
  expect(body).toMatchObject({ status: 'completed', response: '2', shared_state: { sum: '2' } });
  expect(story.model.calls).toMatchObject([{ tool_choice: 'run_javascript' }]);

  const failed = (await runSteps(story.user, [tool({ prompt_template: 'Divide.', max_turns: 2 })])).body;
  expect(failed.status).toBe('failed');
  expect(failed.response).toContain("Tool step 'sum' failed after 2 attempt(s): ReferenceError");

  callInTurn(code('nope()'), code('1 + 2'));
  const mended = (await runSteps(story.user, [tool()])).body;
  expect(mended).toMatchObject({ status: 'completed', response: '3' });

  story.model.on(() => 'I would rather not.');
  const refused = (await runSteps(story.user, [tool({ max_turns: 1 })])).body;
  expect(refused.response).toContain('the model did not call the tool');
});

test('a call that must be approved pauses the run, and shows its arguments', async () => {
  callInTurn(code('1 + 1'));
  const steps = [agent({ allowed_tools: [{ name: 'run_javascript', require_approval: true }] })];
  const paused = await runSteps(story.user, steps);
  expect(paused.body).toMatchObject({ status: 'paused', human_input_required: { step_id: 'work' } });
  const { agent_context } = paused.body.human_input_required;
  expect(agent_context).toContain('run_javascript');
  expect(agent_context).toContain('"1 + 1"');
  expectFault(await resume(story.user, paused, 'Hm, what is that?'), '/response/decision');
  expectFault(await resume(story.user, paused, { decision: 'edit', output: 'no JSON' }), '/response/output');
  const edited = { decision: 'edit', output: JSON.stringify({ code: '20 + 3' }) };
  expect((await resume(story.user, paused, edited)).body).toMatchObject({
    status: 'completed',
    response: expect.stringContaining('23'),
  });
});

test('a tool step whose call a person rejects fails with the reason, and one that is approved goes on', async () => {
  story.model.on(() => ({ call: [code('2')] }));
  const first = await runSteps(story.user, [tool({ require_approval: true })]);
  const rejected = (await resume(story.user, first, { decision: 'reject', output: 'Not today.' })).body;
  expect(rejected).toMatchObject({ status: 'failed', response: expect.stringContaining('Not today.') });
  const second = await runSteps(story.user, [tool({ require_approval: true })]);
  expect((await resume(story.user, second, 'approve')).body).toMatchObject({ status: 'completed', response: '2' });
});

test('tools that are not there are refused when the orchestration is saved', async () => {
  const save = (step: object) => {
    const steps = [{ id: 'work', name: 'Work', next_step_id: null, ...step }];
    return story.user.post('/orchestrations', { name: 'Test', entry_step_id: 'work', steps });
  };
  const unknown = agent({ id: 'work', allowed_tools: ['run_javascript', 'shell'] });
  expectFault(await save(unknown), '/steps/0/allowed_tools/1');
  expectFault(await save(tool({ id: 'work', forced_tool: 'weather.forecast' })), '/steps/0/forced_tool');
});
