import { beforeEach, describe, expect, test } from 'vitest';
import { registerAgent } from '../harness/agent.ts';
import { define } from '../harness/orchestration.ts';
import { createStack, type Stack } from '../harness/orchstack.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** Steps that name registered agents, at both surfaces. */

const story = useStory();
let v1: Stack;
beforeEach(() => {
  v1 = createStack(story.orchflow.url, story.user);
});

type Step = { id: string; type: string; [field: string]: unknown };

const chain = (steps: Step[]) =>
  steps.map((step, index) => ({ name: step.id, next_step_id: steps[index + 1]?.id ?? null, ...step }));
const workflowOf = (steps: Step[], more: object = {}) => ({
  name: 'Test',
  entry_step_id: steps[0]!.id,
  steps: chain(steps),
  ...more,
});

async function create(steps: Step[], more: object = {}) {
  const created = await v1.post('/workflows', workflowOf(steps, more));
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  return created;
}

async function execute(steps: Step[], request: object = {}) {
  const { workflow_id } = (await create(steps)).body;
  return v1.post(`/workflows/${workflow_id}/execute`, { input: 'Hello', ...request });
}

const register = (agent: object = {}) => registerAgent(story.user, { provider_id: story.provider_id, ...agent });
const print = (text = 'Hello') => ({ id: 'print', type: 'print', print_content: text, output_key: 'said' });
const ask = { id: 'ask', type: 'human', human_prompt: 'What?', output_key: 'asked' };

describe('a registered agent of a step', () => {
  const code = { name: 'run_javascript', arguments: { code: '6 * 7' } };

  test('brings prompt, model, tools and turns, by id and version or by name; what the step says goes before', async () => {
    const agent_id = await register({
      name: 'front desk',
      system_prompt: 'You book haircuts.',
      model: 'gpt-4o',
      tools: ['run_javascript'],
      max_turns: 2,
    });
    await story.user.patch(`/agents/${agent_id}`, { system_prompt: 'You book nothing.', tools: [] });
    story.model.on(({ tool_choice, tools }) => {
      if (tools.length === 0 || tool_choice === 'none') return 'Done.';
      return { call: [code] };
    });
    const steps = [
      { id: 'first', type: 'agent', agent: { agent_id, version: 'v1' }, output_key: 'a' },
      { id: 'named', type: 'agent', agent: { name: 'Front Desk' }, output_key: 'b' },
      { id: 'once', type: 'llm', agent: { agent_id, version: 'v1' }, output_key: 'c' },
      { id: 'other', type: 'agent', agent: { agent_id, system_prompt: 'You are kind.', model: 'gpt-4.1' } },
      { id: 'more', type: 'agent', agent: { agent_id }, allowed_tools: ['run_javascript'], max_turns: 3 },
      { id: 'own', type: 'agent', agent: { name: 'front desk', system_prompt: 'You are our own.' } },
      { id: 'nobody', type: 'agent', agent: { name: 'clerk' } },
    ];
    const { body } = await execute(steps);
    expect(body).toMatchObject({ status: 'completed' });
    const asked = (task_id: string) =>
      story.model.calls
        .filter((call) => call.task_id === task_id)
        .map(({ system, model }) => [system.split('\n')[0], model]);
    expect(asked('first')).toEqual([
      ['You book haircuts.', 'gpt-4o'],
      ['You book haircuts.', 'gpt-4o'],
    ]);
    expect(asked('named')).toEqual([['You book nothing.', 'gpt-4o']]);
    expect(asked('once')).toEqual([['You book haircuts.', 'gpt-4o']]);
    expect(asked('other')).toEqual([['You are kind.', 'gpt-4.1']]);
    expect(asked('more')).toHaveLength(3);
    expect(asked('own')[0]![0]).toBe('You are our own.');
    expect(asked('nobody')[0]![0]).toBe('You are an expert clerk.');

    const run = await story.user.openRun(body.run_id).get();
    expect(run.agents.map(({ name, version }) => [name, version])).toEqual([
      ['first', 'v1'],
      ['named', 'v2'],
      ['once', 'v1'],
      ['other', 'v2'],
      ['more', 'v2'],
      ['own', undefined],
      ['nobody', undefined],
    ]);
    expect(run.tasks.map(({ agent }) => agent)).toEqual([
      agent_id,
      'Front Desk',
      agent_id,
      agent_id,
      agent_id,
      'front desk',
      'clerk',
    ]);
  });

  test('is frozen when the run starts, at both surfaces, and stays when it is changed and deleted', async () => {
    story.model.on(() => 'Fine.');
    const agent_id = await register({ system_prompt: 'You were so.' });
    const steps = [ask, { id: 'work', type: 'agent', agent: { agent_id }, output_key: 'work' }];
    const waiting = [
      await execute(steps),
      await story.user.post(`/orchestrations/${await define(story.user, steps)}/run`, { message: 'x' }),
    ];
    await story.user.patch(`/agents/${agent_id}`, { system_prompt: 'You are so now.' });
    const later = await execute(steps);
    await story.user.delete(`/agents/${agent_id}`);
    const gone = (await create([print()])).body.workflow_id;
    for (const { body } of [...waiting, later]) {
      const answered = await story.user.post(`/orchestrations/runs/${body.run_id}/resume`, { response: 'Go on.' });
      expect(answered.body, JSON.stringify(answered.body)).toMatchObject({ status: 'completed', response: 'Fine.' });
    }
    expect(story.model.calls.map(({ system }) => system.split('\n')[0])).toEqual([
      'You were so.',
      'You were so.',
      'You are so now.',
    ]);
    // It is done again with what it has frozen.
    const again = await story.user.post(`/runs/${waiting[0]!.body.run_id}/rerun`, { from_task: 'work' });
    await story.user.openRun(again.body.run_id).until('completed');
    expect(story.model.calls.at(-1)!.system).toMatch(/^You were so\./);

    const faults = [{ pointer: '/steps/1/agent/agent_id', detail: 'is not an agent of this account' }];
    const unknown = { status: 404, code: 'NOT_FOUND', detail: 'Agent not found.', errors: faults };
    expectProblem(await v1.post('/workflows', workflowOf(steps)), unknown);
    expectProblem(await v1.patch(`/workflows/${gone}`, workflowOf(steps)), unknown);
    const { workflows } = (await v1.get('/workflows?limit=1&sort=created_at')).body;
    const started = await v1.post(`/workflows/${workflows[0].workflow_id}/execute`, { input: 'x' });
    expectProblem(started, unknown);
    const validated = await story.user.post('/orchestrations/validate', workflowOf(steps));
    expect(validated.body).toEqual({ valid: false, errors: faults });
  });

  test('is refused where it cannot be meant, with its place', async () => {
    const agent_id = await register({ require_approval: true });
    for (const [agent, pointer] of [
      [{}, '/steps/0/agent/name'],
      [{ version: 'v1' }, '/steps/0/agent/name'],
      [{ name: 'own', system_prompt: 'You are.', version: 'v1' }, '/steps/0/agent/version'],
      [{ agent_id, version: 'first' }, '/steps/0/agent/version'],
      [{ agent_id }, '/steps/0/agent'],
      [{ agent_id, tools: [] }, '/steps/0/agent/tools'],
    ] as const) {
      expectFault(await v1.post('/workflows', workflowOf([{ id: 'work', type: 'agent', agent }])), pointer);
    }
    expectProblem(
      await v1.post('/workflows', workflowOf([{ id: 'a', type: 'llm', agent: { name: 'x', version: 'v1' } }])),
      {
        status: 404,
        code: 'NOT_FOUND',
        detail: 'Agent not found.',
        errors: [{ pointer: '/steps/0/agent/version', detail: 'is not a version of an agent of this account' }],
      },
    );
    const other = createStack(story.orchflow.url, await story.orchflow.register());
    const theirs = await other.post('/workflows', workflowOf([{ id: 'work', type: 'agent', agent: { agent_id } }]));
    expectProblem(theirs, {
      status: 404,
      code: 'NOT_FOUND',
      detail: 'Agent not found.',
      errors: [{ pointer: '/steps/0/agent/agent_id', detail: 'is not an agent of this account' }],
    });
  });
});
