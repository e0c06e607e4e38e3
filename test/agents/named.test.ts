import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { startFakeModel } from '../fakes/model.ts';
import { untilBlocked } from '../harness/rows.ts';
import { scriptRun } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Registered agents in runs of goals: which is meant, and that a run keeps what it froze. */

const story = useStory();

async function register(agent: { name: string; [field: string]: unknown }): Promise<string> {
  const { status, body } = await story.user.post('/agents', agent);
  expect(status, JSON.stringify(body)).toBe(201);
  return body.agent_id;
}

/** The agent that each execution was asked of: how its prompt begins. */
const asked = () => new Set(story.model.callsFor('execute').map(({ system }) => system.split('\n', 1)[0]));

test('a registered agent goes before the template of its name, and what a run gives before what is registered', async () => {
  const agent_id = await register({
    name: 'Research',
    system_prompt: 'You dig deep.',
    model: 'gpt-deep',
    tools: ['run_javascript'],
    max_turns: 4,
  });
  await story.user.patch(`/agents/${agent_id}`, { system_prompt: 'You dig deeper.' });
  const run = await story.start({}, { agents: [{ name: 'research' }] });
  const { agents, tasks } = await run.until('completed');
  const frozen = { name: 'research', model: 'gpt-deep', agent_id, max_turns: 4, provider_id: null };
  expect(agents).toEqual([
    {
      ...frozen,
      version: 'v2',
      system_prompt: 'You dig deeper.',
      tools: [{ name: 'run_javascript', require_approval: false }],
    },
  ]);
  expect(tasks[0]).toMatchObject({ agent: 'research', model: 'gpt-deep' });
  expect(asked()).toEqual(new Set(['You dig deeper.']));
  expect(story.model.callsFor('execute')[0]!.model).toBe('gpt-deep');

  for (const [agent, expected] of [
    [{ agent_id }, { name: 'Research', version: 'v2' }],
    [
      { agent_id, version: 'v1', name: 'digger' },
      { name: 'digger', version: 'v1', system_prompt: 'You dig deep.' },
    ],
    [
      { name: 'research', version: 'v1' },
      { version: 'v1', model: 'gpt-deep' },
    ],
    [
      { name: 'research', version: 'latest', model: 'gpt-flat', tools: [], system_prompt: 'You skim.' },
      { version: 'v2', model: 'gpt-flat', system_prompt: 'You skim.' },
    ],
  ] as const) {
    const other = await story.start({}, { agents: [agent], start_in: '1d' });
    expect((await other.get()).agents[0]).toMatchObject({ agent_id, ...expected });
  }
  // Without agents there are the built-in ones, as ever.
  const plain = await story.start({}, { start_in: '1d' });
  expect((await plain.get()).agents[0]).not.toHaveProperty('agent_id');
});

test('edits and the deletion of an agent change nothing in a run that waits, nor in its retry and its rerun', async () => {
  const { user } = story;
  const agent_id = await register({ name: 'legal', system_prompt: 'You are v1.' });
  const fails = { on: true };
  const run = await story.start(
    { finalize: () => (fails.on ? { status: 401 } : undefined) },
    { agents: [{ name: 'legal' }], ask_me_about: ['the law'], gate_due_in: '1h', on_timeout: 'reject' },
  );
  await run.untilWaiting('T1');
  await user.patch(`/agents/${agent_id}`, { system_prompt: 'You are v2.', name: 'lawyer' });
  await user.delete(`/agents/${agent_id}`);
  await run.complete('T1', { output: 'German law.' });
  const waiting = await run.until((view) => view.waiting_tasks.length === 1 && view.phase === 'finalize');
  expect(asked()).toEqual(new Set(['You are v1.']));

  fails.on = false;
  await run.complete(waiting.waiting_tasks[0]!, { decision: 'retry' });
  await run.until('completed');
  const { status, body } = await user.post(`/runs/${run.run_id}/rerun`, { from_task: 'T2' });
  expect(status, JSON.stringify(body)).toBe(201);
  const again = await user.openRun(body.run_id).until('completed');
  expect(again.agents).toEqual([
    {
      name: 'legal',
      system_prompt: 'You are v1.',
      model: null,
      provider_id: null,
      max_turns: 15,
      agent_id,
      version: 'v1',
    },
  ]);
  expect(asked()).toEqual(new Set(['You are v1.']));
});

test('a blank prompt is none, where it is registered and beside a name', async () => {
  const { user } = story;
  const agent_id = await register({ name: 'plain', system_prompt: ' ' });
  expect((await user.get(`/agents/${agent_id}`)).body).toMatchObject({ version: 'v1', system_prompt: null });
  await user.patch(`/agents/${agent_id}`, { system_prompt: 'You are plain.' });
  const run = await story.start({}, { agents: [{ agent_id, system_prompt: '' }], start_in: '1d' });
  expect((await run.get()).agents).toMatchObject([{ system_prompt: 'You are plain.' }]);
  await user.patch(`/agents/${agent_id}`, { system_prompt: '' });
  expect((await user.get(`/agents/${agent_id}`)).body).toMatchObject({ version: 'v3', system_prompt: null });
});

test('the outputs of an agent that is registered so wait for approval, those of the others do not', async () => {
  await register({ name: 'research', require_approval: true });
  const run = await story.start(
    {
      plan: [
        { title: 'Dig', agent: 'research' },
        { title: 'Write', agent: 'writer' },
        { title: 'Edit', agent: 'writer' },
      ],
    },
    { agents: [{ name: 'research' }, { name: 'writer' }] },
  );
  const waiting = await run.until((view) => view.tasks.filter((task) => task.status === 'completed').length === 2);
  await run.untilWaiting('T1');
  expect(waiting.tasks.map((task) => task.agent)).toEqual(['research', 'writer', 'writer']);
  expect((await run.get()).tasks[0]!.gate).toMatchObject({ kind: 'approval', status: 'open' });
  await run.complete('T1', { decision: 'approve' });
  await run.until('completed');
});

test('a registered agent is asked of its own provider, also when that is replaced', async () => {
  const { user, provider_id } = story;
  const own = scriptRun(await startFakeModel());
  const first = await user.addProvider(own, 'anthropic', { model: 'claude-own' });
  await register({ name: 'legal', provider_id: first });
  const run = await story.start({}, { agents: [{ name: 'legal' }] });
  const done = await run.until('completed');
  expect(done.agents[0]).toMatchObject({ provider_id: first, model: null });
  expect(new Set(own.calls.map(({ model, purpose }) => `${purpose} ${model}`))).toEqual(
    new Set(['execute claude-own', 'evaluate claude-own']),
  );

  const second = await user.addProvider(own, 'anthropic', { model: 'claude-next', replaces: first });
  const next = await story.start({}, { agents: [{ name: 'legal' }] });
  expect((await next.get()).agents[0]).toMatchObject({ provider_id: second });
  await next.until('completed');
  await user.delete(`/providers/${second}`);
  const refused = await user.post('/runs', { task: 'x', provider_id, agents: [{ name: 'legal' }] });
  expect(refused).toMatchObject({ status: 422, body: { code: 'VALIDATION_FAILED' } });
  expect(refused.body.errors[0].detail).toContain(
    `Agent "legal" asks the provider ${first}, which is not active any more.`,
  );
  await own.close();
});

test('another model of a run is asked of the provider that the agent is registered with, which must serve it', async () => {
  const { user, provider_id } = story;
  const own = scriptRun(await startFakeModel());
  const claude = await user.addProvider(own, 'anthropic', { model: 'claude-own' });
  const gateway = await user.addProvider(own, 'openai', { gateway: true });
  const agent_id = await register({ name: 'legal', provider_id: claude, model: 'claude-own' });
  const routed = await register({ name: 'routed', provider_id: gateway, model: 'house-model' });
  for (const [agent, provider] of [
    [{ agent_id, model: 'claude-own' }, claude],
    [{ agent_id, model: 'claude-other' }, claude],
    [{ agent_id: routed, model: 'claude-other' }, gateway],
  ] as const) {
    const run = await story.start({}, { agents: [agent], start_in: '1d' });
    expect((await run.get()).agents).toMatchObject([{ ...agent, provider_id: provider }]);
    // As a run has frozen them.
    const [{ provider_id: _, ...frozen }] = (await run.get()).agents as [any];
    const copy = await story.start(
      {},
      { agents: [{ agent_id: frozen.agent_id, model: frozen.model }], start_in: '1d' },
    );
    expect((await copy.get()).agents).toMatchObject([{ ...agent, provider_id: provider }]);
  }
  const refused = await user.post('/runs', { task: 'x', provider_id, agents: [{ agent_id, model: 'gpt-4o' }] });
  const detail = `Agent "legal" asks its own provider ${claude}, which does not serve gpt-4o.`;
  expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: '/agents/0/model', detail }] } });
  await own.close();
});

test('a rerun is asked of another provider of the vendor when the one that was found is gone, or of the one that it names', async () => {
  const { user } = story;
  const own = scriptRun(await startFakeModel());
  const [first, named] = [
    await user.addProvider(own, 'anthropic'),
    await user.addProvider(own, 'openai', { gateway: true }),
  ];
  await register({ name: 'legal', model: 'claude-own' });
  const run = await story.start({}, { agents: [{ name: 'legal' }] });
  expect((await run.until('completed')).agents).toMatchObject([{ provider_id: first }]);
  const rerun = async (request: object = {}) => {
    const { status, body } = await user.post(`/runs/${run.run_id}/rerun`, {
      from_task: 'T3',
      start_in: '1d',
      ...request,
    });
    expect(status, JSON.stringify(body)).toBe(201);
    return user.openRun(body.run_id).get();
  };
  expect(await rerun({ provider_id: named })).toMatchObject({ provider_id: named, agents: [{ provider_id: null }] });
  await user.delete(`/providers/${first}`);
  const second = await user.addProvider(own, 'anthropic');
  expect((await rerun()).agents).toMatchObject([{ provider_id: second }]);
  await own.close();
});

test.each(['ΟΔΟΣ', 'İstanbul'])('%s is found by the very text that it was registered with', async (name) => {
  const agent_id = await register({ name });
  const run = await story.start({}, { agents: [{ name }], start_in: '1d' });
  expect((await run.get()).agents).toMatchObject([{ name, agent_id }]);
});

test('an agent that is deleted while it is read is not found, by its id and by its name', async () => {
  const { user, orchflow, provider_id } = story;
  const ids = [await register({ name: 'first' }), await register({ name: 'second' })];
  const statuses = await orchflow.db.transaction().execute(async (trx) => {
    await sql`lock table agent_versions in access exclusive mode`.execute(trx);
    const answers = [{ agent_id: ids[0] }, { name: 'second', version: 'v1' }].map((agent) =>
      user.post('/runs', { task: 'x', provider_id, agents: [agent], start_in: '1d' }),
    );
    await untilBlocked(orchflow.db, 'the versions are being read');
    await trx.deleteFrom('agents').where('agent_id', 'in', ids).execute();
    return answers;
  });
  for (const answer of statuses) expect(await answer).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
});

test('agents and versions that the account does not have are refused, with their place', async () => {
  const { user, orchflow, provider_id } = story;
  const stranger = await orchflow.register();
  const theirs = (await stranger.post('/agents', { name: 'secret' })).body.agent_id;
  const agent_id = await register({ name: 'legal' });
  for (const [agents, status, pointer] of [
    [[{ name: 'x' }, { agent_id: theirs }], 404, '/agents/1/agent_id'],
    [[{ agent_id: 'agt_00000000000000000000' }], 404, '/agents/0/agent_id'],
    [[{ agent_id, version: 'v2' }], 404, '/agents/0/version'],
    [[{ name: 'secret', version: 'latest' }], 404, '/agents/0/version'],
    [[{ agent_id, version: '2' }], 422, '/agents/0/version'],
    [[{ system_prompt: 'x' }], 422, '/agents/0/name'],
    [[{ name: 'Legal' }, { agent_id }], 422, '/agents/1'],
    [[{ name: 'a' }, { name: 'A' }], 422, '/agents'],
  ] as const) {
    const { status: got, body } = await user.post('/runs', { task: 'x', provider_id, agents });
    expect({ got, pointers: body.errors?.map((one: any) => one.pointer) }).toEqual({
      got: status,
      pointers: [pointer],
    });
  }
  for (const path of [`/agents/${agent_id}/versions/v2`, `/agents/${theirs}/versions/v1`]) {
    const detail = path.includes(agent_id) ? 'Agent version not found.' : 'Agent not found.';
    expect(await user.get(path)).toMatchObject({ status: 404, body: { detail } });
  }
  // Another account's name is any name.
  const run = await story.start({}, { agents: [{ name: 'secret' }], start_in: '1d' });
  expect((await run.get()).agents[0]).toMatchObject({ name: 'secret', system_prompt: 'You are an expert secret.' });
});
