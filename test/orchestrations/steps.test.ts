import { expect, test } from 'vitest';
import { runSteps as start } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** What each type of step does, in runs of orchestrations. */

const story = useStory();

const llm = (id: string, more = {}) => ({ id, type: 'llm', prompt_template: `Do ${id}.`, output_key: id, ...more });
const transform = (id: string, transform_code: string, more = {}) => ({
  id,
  type: 'transform',
  transform_code,
  output_key: id,
  ...more,
});

function answerWithTask() {
  story.model.on(({ task_id, purpose }) => (purpose === 'execute' ? `Output of ${task_id}.` : undefined));
}

test('llm: one call, with the message, the inputs and the template filled in', async () => {
  answerWithTask();
  const state_schema = {
    topic: { type: 'string' },
    tone: { type: 'string', default: 'dry' },
    limits: { default: { words: 9 } },
  };
  const { body } = await start(
    story.user,
    [
      llm('draft', {
        prompt_template: 'About {state.topic}, {state.tone}, {state.limits.words} words, {state.unknown}.',
      }),
      llm('final', { input_keys: ['draft'] }),
    ],
    { state_schema },
    'Bees',
  );
  expect(body).toMatchObject({ status: 'completed', response: 'Output of final.' });
  expect(body.shared_state).toMatchObject({ topic: 'Bees', user_query: 'Bees', tone: 'dry', limits: { words: 9 } });
  const [draft, final] = story.model.calls;
  expect(draft!.prompt).toContain('About Bees, dry, 9 words, {state.unknown}.');
  expect(draft!.prompt).toContain('<goal>\nBees\n</goal>');
  expect(final!.prompt).toContain('<output from="draft" title="draft">\nOutput of draft.\n</output>');
});

test('agent: speaks with the prompt of its template or its own, and on its own model', async () => {
  answerWithTask();
  const agent = { name: 'poet', system_prompt: 'You write haiku only.', model: 'gpt-4o' };
  const { body } = await start(story.user, [
    { id: 'one', type: 'agent', agent_id: 'research', output_key: 'one' },
    { id: 'two', type: 'agent', agent, output_key: 'two' },
    { id: 'three', type: 'agent', agent, model: 'gpt-4.1', output_key: 'three' },
  ]);
  expect(body.status).toBe('completed');
  const [one, two, three] = story.model.calls;
  expect(one!.system).toContain('You are an expert research analyst.');
  expect(two!.system).toContain('You write haiku only.');
  expect([two!.model, three!.model]).toEqual(['gpt-4o', 'gpt-4.1']);
  const run = await story.user.openRun(body.run_id).get();
  expect(run.tasks.map((task) => task.agent)).toEqual(['research', 'poet', 'poet']);
  expect(body.step_history.every((step: any) => step.cost_usd > 0 && step.turns === 1)).toBe(true);
});

test('evaluator: the model picks the route; it may send the run back, with its reasons', async () => {
  const routes = ['again', 'good'];
  story.model.on(({ purpose, task_id }) =>
    purpose === 'route' ? { route: routes.shift()!, reasoning: 'Because of this.' } : `Output of ${task_id}.`,
  );
  const { body } = await start(story.user, [
    llm('draft'),
    {
      id: 'judge',
      type: 'evaluator',
      input_keys: ['draft'],
      evaluator_prompt: 'Is it good?',
      route_map: { again: 'draft', good: 'done' },
      route_descriptions: { again: 'It is bad.' },
      output_key: 'verdict',
    },
    { id: 'done', type: 'end' },
  ]);
  expect(body.status).toBe('completed');
  expect(body.step_history.map((step: any) => step.task_id)).toEqual(['draft', 'judge', 'draft.2', 'judge.2', 'done']);
  expect(body.shared_state).toMatchObject({
    verdict: 'good',
    _routing_decision_judge: 'good',
    _routing_reasoning_judge: 'Because of this.',
  });
  const [first] = story.model.callsFor('route');
  expect(first!.prompt).toContain('again: It is bad.\ngood');
  expect(first!.prompt).toContain('Output of draft.');
  const again = story.model.calls.find(({ task_id }) => task_id === 'draft.2')!;
  expect(again.prompt).toContain('<feedback>\nBecause of this.\n</feedback>');
  expect(again.prompt).toContain('<draft>\nOutput of draft.\n</draft>');
});

test('evaluator: an answer that names no route is asked again, and then the first is taken with a warning', async () => {
  story.model.on(() => ({ route: 'nowhere', reasoning: 'x' }));
  const { body } = await start(story.user, [
    { id: 'judge', type: 'evaluator', route_map: { stop: null, go: 'more' }, output_key: 'verdict' },
    transform('more', '1'),
  ]);
  expect(body).toMatchObject({ status: 'completed', response: 'stop' });
  expect(story.model.calls).toHaveLength(3);
  const run = (await story.user.get(`/orchestrations/runs/${body.run_id}`)).body;
  expect(run.warnings).toEqual(['judge: The model gave no usable choice, so the first route was taken.']);
});

test.each(['GO', 'go: on with it', '**go**'])('evaluator: the route %j is plain', async (route) => {
  story.model.on(() => `As in [1]: ${JSON.stringify({ route })}`);
  const { body } = await start(story.user, [
    { id: 'judge', type: 'evaluator', route_map: { stop: null, go: 'more' }, output_key: 'verdict' },
    transform('more', '1'),
  ]);
  expect(body.shared_state).toMatchObject({ verdict: 'go', _routing_reasoning_judge: 'It gave no reason.' });
  expect(story.model.calls).toHaveLength(1);
});

test('parallel: branches overlap, each sees the state from before; merge joins what they wrote, in their order', async () => {
  const { model } = story;
  const isOpen = (id: string) => model.calls.some((call) => call.task_id === id && call.answered_at === undefined);
  model.on(async ({ task_id }) => {
    // Neither is answered before both are asked.
    if (task_id === 'slow') await model.until(() => isOpen('quick2'));
    if (task_id === 'quick2') await model.until(() => isOpen('slow'));
    return `Output of ${task_id}.`;
  });
  const { body } = await start(story.user, [
    {
      id: 'fork',
      type: 'parallel',
      parallel_branches: [['slow'], ['quick', 'quick2'], ['route']],
      next_step_id: 'list',
    },
    llm('slow', { next_step_id: 'list' }),
    transform('quick', '({ n: 1 })', { next_step_id: null }),
    llm('quick2', { next_step_id: null }),
    {
      id: 'route',
      type: 'if_else',
      if_condition: 'state.slow === undefined',
      if_true_step_id: 'yes',
      if_false_step_id: 'no',
    },
    transform('yes', '"first"', { output_key: 'last', next_step_id: 'again' }),
    transform('no', '"wrong"', { output_key: 'last', next_step_id: 'list' }),
    transform('again', 'state.last + " then"', { output_key: 'last', next_step_id: 'list' }),
    { id: 'list', type: 'merge', input_keys: ['slow', 'quick', 'last'], output_key: 'list' },
    { id: 'dict', type: 'merge', merge_strategy: 'dict', input_keys: ['quick', 'quick2'], output_key: 'dict' },
    { id: 'concat', type: 'merge', merge_strategy: 'concat', input_keys: ['quick', 'slow'], output_key: 'concat' },
  ]);
  expect(body.status, body.response).toBe('completed');
  expect(body.shared_state).toMatchObject({
    list: [
      { source: 'slow (slow)', data: 'Output of slow.' },
      { source: 'quick (quick)', data: { n: 1 } },
      { source: 'yes (yes)', data: 'first then' },
    ],
    dict: { 'quick (quick)': { n: 1 }, 'quick2 (quick2)': 'Output of quick2.' },
    concat: '[quick (quick)]:\n{"n":1}\n\n[slow (slow)]:\nOutput of slow.',
  });
  expect(model.maxOpenCalls).toBe(2);
});

test('loop: the body runs as often as asked, sees what it wrote before, and leaves the list of its results', async () => {
  const { body } = await start(
    story.user,
    [
      {
        id: 'loop',
        type: 'loop',
        loop_count: 4,
        loop_step_ids: ['count', 'say'],
        output_key: 'all',
        next_step_id: 'last',
      },
      transform('count', 'state.count + 1', { name: 'Count', next_step_id: null }),
      { id: 'say', type: 'print', print_content: 'Now {state.count}', output_key: 'said', next_step_id: null },
      transform('last', 'state.all.Count.at(-1).result'),
    ],
    { state_schema: { text: {}, count: { default: 0 } } },
  );
  expect(body.status, body.response).toBe('completed');
  const results = [1, 2, 3, 4].map((n) => ({ iteration: n, agent: 'Count', result: n }));
  expect(body.shared_state).toMatchObject({ count: results, all: { Count: results }, last: 4 });
  expect(body.shared_state.said[3]).toEqual({ iteration: 4, agent: 'say', result: 'Now 4' });
  expect(body.step_history.map((step: any) => step.task_id).slice(0, 4)).toEqual(['loop', 'count', 'say', 'count.2']);
});

test('if_else and switch go where their expressions say, and a step may end the run', async () => {
  const steps = (n: number) => [
    transform('n', String(n)),
    {
      id: 'check',
      type: 'if_else',
      if_condition: 'state.n > 1',
      if_true_step_id: 'pick',
      if_false_step_id: 'small',
      output_key: 'big',
    },
    {
      id: 'pick',
      type: 'switch',
      switch_expression: 'state.n % 3',
      switch_cases: { '0': 'three', '1': null },
      switch_default_step_id: 'other',
      output_key: 'rest',
    },
    { id: 'small', type: 'print', print_content: 'small', output_key: 'out', next_step_id: null },
    { id: 'three', type: 'print', print_content: 'three', output_key: 'out', next_step_id: null },
    { id: 'other', type: 'print', print_content: 'other', output_key: 'out', next_step_id: null },
  ];
  const seen = await Promise.all([1, 2, 3, 4].map(async (n) => (await start(story.user, steps(n))).body));
  expect(seen.map((body) => [body.shared_state.out, body.shared_state.big, body.shared_state.rest])).toEqual([
    ['small', false, undefined],
    ['other', true, 2],
    ['three', true, 0],
    [undefined, true, 1],
  ]);
  expect(seen[1].shared_state).toMatchObject({ _if_decision_check: 'true', _switch_decision_pick: '2' });
});

test('transform, extract_json and print work on the values of the state', async () => {
  story.model.on(() => 'Here it is:\n```json\n{"a": [1, 2]}\n```\nand more.');
  const { body } = await start(story.user, [
    llm('text'),
    { id: 'json', type: 'extract_json', input_keys: ['text'], output_key: 'json' },
    transform('sum', 'const { a } = state.json;\nresult = { sum: a.reduce((x, y) => x + y) };'),
    { id: 'none', type: 'extract_json', input_keys: ['user_input'], output_key: 'none' },
    {
      id: 'out',
      type: 'print',
      print_content: 'Sum: {state.sum.sum}, all: {state.json}, {state.none}',
      output_key: 'out',
    },
  ]);
  expect(body).toMatchObject({ status: 'completed', response: 'Sum: 3, all: {"a":[1,2]}, {state.none}' });
  expect(body.shared_state).toMatchObject({ json: { a: [1, 2] }, sum: { sum: 3 } });
  expect(body.shared_state).not.toHaveProperty('none');
  const run = (await story.user.get(`/orchestrations/runs/${body.run_id}`)).body;
  expect(run.warnings).toEqual(['none: there is no JSON in what it reads.']);
});
