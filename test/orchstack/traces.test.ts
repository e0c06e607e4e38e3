import { beforeEach, expect, test } from 'vitest';
import { define } from '../harness/orchestration.ts';
import { createStack, type Stack } from '../harness/orchstack.ts';
import { expectFault } from '../harness/problem.ts';
import { inTurn } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Runs of all kinds, as OrchStack lists and shows them. */

const story = useStory();
let stack: Stack;

beforeEach(() => {
  stack = createStack(story.orchflow.url, story.user);
});

const form = { id: 'ask', type: 'human', human_fields: [{ name: 'answer', type: 'textarea' }], output_key: 'said' };

test('runs of all kinds are listed in the same words, and found by what they are of', async () => {
  const { user, model, provider_id } = story;
  model.on(() => 'Fine.');
  const agent_id = await stack.createAgent({ provider_id });
  const labels = { metadata: { customer: 'c_17' }, tags: ['hair'] };
  const started = await stack.post(`/agents/${agent_id}/run`, {
    input: { book: 'a haircut' },
    channel: 'whatsapp',
    user_id: 'usr_1',
    ...labels,
  });
  const agent = started.body.run_id;
  const other = (await stack.post(`/agents/${agent_id}/run`, { input: 'Go.', channel: 'web' })).body.run_id;
  const workflow_id = await define(user, [form]);
  const workflow = (await user.post(`/orchestrations/${workflow_id}/run`, { message: 'Go.', provider_id })).body.run_id;
  const goal = (await user.startRun({ task: 'Launch.', start_in: '1d' })).run_id;

  const { runs } = (await stack.get('/runs')).body;
  expect(runs.map((run: any) => [run.run_id, run.kind, run.origin, run.status])).toEqual([
    [goal, 'goal', 'orchflow', 'pending'],
    [workflow, 'workflow', 'orchestrations', 'waiting_human'],
    [other, 'agent', 'orchstack', 'completed'],
    [agent, 'agent', 'orchstack', 'completed'],
  ]);
  expect(runs[3]).toMatchObject({
    agent_id,
    workflow_id: null,
    channel: 'whatsapp',
    user_id: 'usr_1',
    input: JSON.stringify({ book: 'a haircut' }, null, 2),
    tokens: started.body.tokens,
    duration_ms: started.body.duration_ms,
    error: null,
    ...labels,
  });
  expect(runs[0]).toMatchObject({ pending_for: 'start_at', duration_ms: 0, channel: null });
  const ids = async (query: string) => (await stack.get(`/runs?${query}`)).body.runs.map((run: any) => run.run_id);
  const { created_at } = runs[2];
  for (const [query, found] of [
    ['channel=whatsapp', [agent]],
    ['user_id=usr_1&channel=web', []],
    ['user_id=usr_1', [agent]],
    ['status=waiting_human', [workflow]],
    ['kind=workflow', [workflow]],
    [`workflow_id=${workflow_id}`, [workflow]],
    [`agent_id=${agent_id}&tag=hair`, [agent]],
    ['metadata=customer:c_17', [agent]],
    ['q=haircut', [agent]],
    [`created_after=${created_at}`, [goal, workflow]],
    [`created_before=${created_at}`, [agent]],
    ['sort=created_at', [agent, other, workflow, goal]],
  ] as const)
    expect(await ids(query), query).toEqual(found);

  for (const sort of ['-created_at', 'created_at', '-cost_usd', 'cost_usd']) {
    const whole = await ids(`sort=${sort}`);
    const paged: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body } = await stack.get(`/runs?limit=1&fields=status&sort=${sort}${cursor && `&cursor=${cursor}`}`);
      expect(Object.keys(body.runs[0])).toEqual(['run_id', 'status']);
      paged.push(body.runs[0].run_id);
      cursor = body.next_cursor;
    }
    expect(paged, sort).toEqual(whole);
  }
  const refused = await stack.get('/runs?fields=output');
  expectFault(refused, '/fields');
  expect(refused.body.detail).toContain(
    'must be names of fields with commas between them: run_id, kind, origin, status',
  );
  for (const query of ['sort=status', 'status=done', 'kind=orchestration', 'channel=', 'created_after=today'])
    expectFault(await stack.get(`/runs?${query}`), `/${query.split('=')[0]}`);

  const changed = await stack.patch(`/runs/${agent}`, { metadata: { customer: 'c_18' }, note: 'Moved.' });
  expect(changed.body).toMatchObject({
    run_id: agent,
    metadata: { customer: 'c_18' },
    tags: ['hair'],
    status: 'completed',
  });
  expectFault(await stack.patch(`/runs/${agent}`, { status: 'failed' }), '/status');
  // A rerun is for the same user.
  const { body: rerun } = await user.post(`/runs/${agent}/rerun`, { from_task: 'T1' });
  expect((await stack.get(`/runs/${rerun.run_id}`)).body).toMatchObject({ channel: 'whatsapp', user_id: 'usr_1' });
  await user.openRun(rerun.run_id).until('completed');
  expect((await stack.delete(`/runs/${agent}?purge=true`)).status).toBe(200);
  const left = story.orchflow.db.selectFrom('runs').select(['channel', 'user_id', 'task']).where('run_id', '=', agent);
  expect((await left.executeTakeFirst()) ?? null).toEqual({ channel: null, user_id: null, task: '' });

  const [gate] = (await stack.get(`/runs/${workflow}`)).body.gates;
  expect(gate).toMatchObject({
    kind: 'human_step',
    decisions: ['approve'],
    fields: [{ name: 'answer', type: 'textarea' }],
  });
  const path = gate.answer_url.replace('/v1', '');
  expectFault(await stack.post(path, { output: { nosuch: 1 } }), '/output/nosuch');
  expect((await stack.post(path, { output: { answer: 'Yes.' } })).body).toMatchObject({ decision: 'approve' });
  await user.openRun(workflow).until('completed');
});

test('the trace of a goal tells what was tried again, on whose behalf, and what it cost', async () => {
  const { user } = story;
  const busy = { status: 503, headers: { 'retry-after': '0' } };
  const attempts = inTurn(busy, 'Too long.', 'Short.');
  const verdicts = inTurn({ passed: false, score: 0.1, feedback: 'Shorter.' });
  const run = await story.start(
    {
      plan: ['Write'],
      execute: () => attempts(),
      evaluate: () => verdicts(),
      finalize: () => 'The end.',
    },
    { agents: [{ name: 'writer', model: 'gpt-4o' }], require_approval: true },
  );
  await run.untilWaiting('T1');
  const [gate] = (await stack.get(`/runs/${run.run_id}`)).body.gates;
  expect(gate).toMatchObject({ kind: 'approval', draft: 'Short.' });
  const answer = { decision: 'approve', note: 'Fine.', on_behalf_of: 'anna@acme.example' };
  await stack.post(gate.answer_url.replace('/v1', ''), answer);
  await run.until('completed');
  const { body } = await stack.get(`/runs/${run.run_id}`);
  expect(body).toMatchObject({ kind: 'goal', version: null, output: 'The end.' });
  const told = body.trace.map(({ type, purpose, of, kind, attempt }: any) =>
    [type, purpose ?? of ?? kind, attempt].filter((part) => part !== undefined && part !== null).join(' '),
  );
  expect(told).toEqual([
    'model_call split_tasks 1',
    // A plan of one task is asked for again.
    'model_call split_tasks 1',
    'model_call infer_deps 1',
    'retry call',
    'model_call execute_task 1',
    'model_call evaluate_task 1',
    'retry task 1',
    'model_call execute_task 2',
    'model_call evaluate_task 2',
    'gate approval',
    'model_call finalize_run 1',
  ]);
  const [plan, , , failed, written] = body.trace;
  expect(failed).toMatchObject({ task_id: 'T1', tries: 1, reason: expect.stringContaining('503') });
  expect(plan).toMatchObject({ task_id: null, agent: null });
  expect(written).toMatchObject({ task_id: 'T1', agent: 'writer', model: 'gpt-4o', output: 'Too long.' });
  expect(body.trace.find(({ of }: any) => of === 'task')).toMatchObject({
    task_id: 'T1',
    reason: expect.stringContaining('Shorter.'),
  });
  const by = { kind: 'key', on_behalf_of: 'anna@acme.example' };
  expect(body.trace.find(({ type }: any) => type === 'gate')).toMatchObject({ decision: 'approve', note: 'Fine.', by });
  const costs = body.trace.flatMap(({ cost_usd }: any) => cost_usd ?? []);
  expect(costs.reduce((sum: number, cost: number) => sum + cost, 0)).toBeCloseTo(body.cost_usd, 9);
  expect((await user.get(`/runs/${run.run_id}`)).body.usage.cost_usd).toBe(body.cost_usd);
});

test("a person's own key answers the gates that are theirs, and finds no others", async () => {
  const { user, model, orchflow } = story;
  model.on(() => 'Fine.');
  const { person_id } = (await user.post('/people', { name: 'Anna', skills: ['law'] })).body;
  const { api_key } = (await user.post(`/people/${person_id}/key`, {})).body;
  const anna = createStack(orchflow.url, { api_key });
  const ask = (skills: string[]) =>
    user.startRun({ task: 'Compare.', ask_me_about: [{ about: 'the budget', skills }] });
  const [hers, others] = [await ask(['law']), await user.startRun({ task: 'Compare.', ask_me_about: ['the budget'] })];
  const gateOf = async ({ run_id }: typeof hers) => {
    await user.openRun(run_id).untilWaiting('T1');
    return (await stack.get(`/runs/${run_id}`)).body.gates[0];
  };
  const [own, foreign] = [await gateOf(hers), await gateOf(others)];
  expect(own).toMatchObject({
    kind: 'context',
    question: expect.stringContaining('the budget'),
    person: { name: 'Anna' },
  });
  const answer = (gate: any) => anna.post(gate.answer_url.replace('/v1', ''), { output: 'Ten euros.' });
  expect(await answer(foreign)).toMatchObject({ status: 404, body: { detail: 'Gate not found.' } });
  expect(await answer(own)).toMatchObject({ status: 200, body: { gate_id: own.gate_id } });
  for (const path of ['/runs', `/runs/${hers.run_id}`, '/agents'])
    expect(await anna.get(path)).toMatchObject({ status: 404, body: { detail: 'Page not found.' } });
  for (const { run_id } of [hers, others]) await stack.delete(`/runs/${run_id}?purge=false`);
});
