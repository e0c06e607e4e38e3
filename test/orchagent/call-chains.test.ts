import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { newId, uuidOf } from '../../src/ids.ts';
import { loadConfig } from '../../src/config.ts';
import { signedBilling, signedChain } from '../../src/calls/chain.ts';
import { createCaller, publish } from '../harness/calls.ts';
import { until } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/** Agents that call each other. */

// Who is waited for finds a place, however few there are.
const story = useStory({ MAX_ACTIVE_RUNS_PER_ACCOUNT: '1' }, { worker: false });

const post = (path: string, body: object, headers?: Record<string, string>) =>
  createCaller(story.orchflow.url, story.user).post(path, body, headers);

/** An agent that asks for what the others say, once, and then answers. */
function scriptChain(org: string) {
  story.model.on(({ system, body }) => {
    if (system.includes('You look up.')) return '{"found": "a needle"}';
    const tool = body.tools?.find((one: any) => one.function.name.startsWith(org));
    const hasCalled = body.messages.some((message: any) => message.role === 'tool');
    if (tool && !hasCalled) return { call: [{ name: tool.function.name, arguments: { where: 'hay' } }] };
    return `{"said": ${JSON.stringify(String(body.messages.findLast((one: any) => one.role === 'tool')?.content ?? ''))}}`;
  });
}

async function publishChain(org: string, manifest: object = {}) {
  const { provider_id } = story;
  await publish(story.orchflow, story.user, org, { name: 'finder', system_prompt: 'You look up.', provider_id });
  const dependencies = [{ id: `${org}/finder`, version: 'v1' }];
  await publish(
    story.orchflow,
    story.user,
    org,
    { name: 'boss', provider_id },
    { package: { engine: 'managed_loop', manifest: { dependencies, ...manifest } } },
  );
}

test('an agent calls another as a tool: a run of its own, in the chain, and once, whichever worker is killed', async () => {
  const org = 'chain-1';
  await publishChain(org, { max_hops: 3, downstream_spend_cap: 50 });
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  scriptChain(org);
  story.model.on(async ({ system }) => {
    if (!system.includes('You look up.')) return undefined;
    await held;
    return undefined;
  });
  const worker = await story.startWorkerProcess();
  const answer = post(`/${org}/boss/v1/run`, { wish: 'needle' }, { 'x-orchagent-tenant': 'tenant-7' });
  await story.model.until(() => story.model.calls.some(({ system }) => system.includes('You look up.')));
  await worker.kill();
  // It is paid for, and goes meanwhile.
  await sql`
    update agent_versions set deprecated_at = now() - interval '70 days'
    where agent_id in (select agent_id from agents where name = 'finder')`.execute(story.orchflow.db);
  await story.startWorkerHere();
  release();
  const { status, body } = await answer;
  expect([status, body.data], JSON.stringify(body)).toEqual([200, { said: '{"found":"a needle"}' }]);
  const rows = await story.orchflow.db
    .selectFrom('agent_calls')
    .innerJoin('runs', 'runs.run_id', 'agent_calls.run_id')
    .selectAll('agent_calls')
    .select(['max_cost_usd', 'runs.on_budget'])
    .where('agent_calls.account_id', '=', (eb) =>
      eb.selectFrom('accounts').select('account_id').where('email', '=', story.user.email),
    )
    .orderBy('agent_calls.created_at')
    .execute();
  expect(rows).toHaveLength(2);
  const [boss, finder] = rows;
  expect(finder).toMatchObject({
    chain: [`${org}/boss@v1`, `${org}/finder@v1`],
    parent_run_id: boss!.run_id,
    root_run_id: boss!.run_id,
    tenant: 'tenant-7',
    max_hops: 2,
    max_cost_usd: 0.5,
    on_budget: 'fail',
    downstream: { spend_cap: 50 },
  });
  expect(Date.parse(finder!.deadline_at!)).toBeLessThanOrEqual(Date.parse(boss!.deadline_at!));
});

test('a parent that is cancelled, or out of time, cancels what it has called', async () => {
  const org = 'chain-2';
  await publishChain(org);
  scriptChain(org);
  story.model.on(({ system }) => (system.includes('You look up.') ? { hang: 'before_headers' } : undefined));
  await story.startWorkerHere();
  const answer = post(`/${org}/boss/v1/run`, { wish: 'needle' });
  const isFound = ({ system }: { system: string }) => system.includes('You look up.');
  await story.model.until(() => story.model.calls.some(isFound));
  const { runs } = (await story.user.get('/runs')).body;
  expect(runs).toHaveLength(2);
  const boss = runs.find((run: any) => run.task.includes('needle'));
  expect((await story.user.openRun(boss.run_id).cancel()).status).toBe(200);
  const { status, body } = await answer;
  expect([status, body.error.code]).toEqual([409, 'CONFLICT']);
  await story.model.untilHungUp();
  await until(async () => {
    const { runs: now } = (await story.user.get('/runs')).body;
    return now.every((run: any) => run.status === 'cancelled');
  }, 'both are cancelled');

  const asked = story.model.calls.filter(isFound).length;
  const soon = { 'x-orchagent-deadline-ms': String(Date.now() + 4_000) };
  const late = post(`/${org}/boss/v1/run`, { wish: 'pin' }, soon);
  await story.model.until(() => story.model.calls.filter(isFound).length > asked);
  const { status: tooLate, body: told } = await late;
  expect([tooLate, told.error.code], JSON.stringify(told)).toEqual([504, 'TIMEOUT']);
  await story.model.untilHungUp();
  await until(async () => {
    const { runs: now } = (await story.user.get('/runs')).body;
    return now.every((run: any) => ['cancelled', 'failed'].includes(run.status));
  }, 'what it has called is over too');
});

test('a deadline that passes while no worker is there: nothing is asked, and nothing is paid', async () => {
  const org = 'chain-7';
  await publishChain(org);
  story.model.on(() => 'Late.');
  const soon = String(Date.now() + 1_000);
  const answer = post(`/${org}/finder/v1/run`, {}, { 'x-orchagent-deadline-ms': soon });
  await until(async () => Date.now() > Number(soon), 'it is over');
  await story.startWorkerHere();
  const { status, body } = await answer;
  expect([status, body.error.code], JSON.stringify(body)).toEqual([504, 'TIMEOUT']);
  expect(story.model.calls).toHaveLength(0);
});

test('who calls first says too what may be spent below, and an agent with nothing to spend calls none', async () => {
  const org = 'chain-4';
  await publishChain(org, { downstream_spend_cap: 50 });
  scriptChain(org);
  await story.startWorkerHere();
  const answers = [];
  for (const cents of ['0', '20'])
    answers.push(await post(`/${org}/boss/v1/run`, { cents }, { 'x-orchagent-downstream-remaining': cents }));
  expect(
    answers.map(({ body }) => body.data?.said),
    JSON.stringify(answers),
  ).toEqual([
    expect.stringContaining(`${org}/boss has spent what it may on calls of others: 0 US cents.`),
    '{"found":"a needle"}',
  ]);
  const called = await story.orchflow.db
    .selectFrom('agent_calls')
    .innerJoin('runs', 'runs.run_id', 'agent_calls.run_id')
    .select(['max_cost_usd', 'downstream'])
    .where('agent', '=', `${org}/finder`)
    .execute();
  expect(called).toEqual([{ max_cost_usd: 0.2, downstream: { spend_cap: 20 } }]);
});

test('circles, depth and signatures are looked at', async () => {
  const org = 'chain-3';
  await publishChain(org);
  const keys = loadConfig(story.orchflow.env).ENCRYPTION_KEY;
  await story.startWorkerHere();
  story.model.on(() => 'Done.');
  const first = await post(`/${org}/boss/v1/run`, {}, { 'x-orchagent-max-hops': '1' });
  expect(first.status).toBe(200);
  const { db } = story.orchflow;
  const row = await db
    .selectFrom('agent_calls')
    .selectAll()
    .where('agent', '=', `${org}/boss`)
    .executeTakeFirstOrThrow();
  const { run_id, chain, account_id } = row;
  const other = newId('account');
  const signed = { 'x-orchagent-call-chain': chain.join(), 'x-orchagent-call-chain-sig': signedChain(keys, row) };
  const reasonOf = async (name: string, headers: Record<string, string>) => {
    const { status, body } = await post(`/${org}/${name}/v1/run`, {}, headers);
    return [status, body.error?.reason, body.message];
  };
  const circle = await reasonOf('boss', signed);
  expect(circle).toEqual([403, 'CALL_CHAIN_REFUSED', expect.stringContaining(`${org}/boss@v1 → ${org}/boss@v1`)]);
  for (const headers of [
    { ...signed, 'x-orchagent-call-chain': `${org}/other@v1` },
    { ...signed, 'x-orchagent-call-chain-sig': `${run_id}.AAAA` },
    { 'x-orchagent-call-chain': chain.join() },
    { ...signed, 'x-orchagent-max-hops': '-1' },
    {
      ...signed,
      'x-orchagent-billing-org-id': uuidOf(other),
      'x-orchagent-billing-org-sig': signedBilling(keys, other),
    },
    { ...signed, 'x-orchagent-billing-org-id': uuidOf(account_id), 'x-orchagent-billing-org-sig': 'AAAA' },
  ])
    expect((await reasonOf('finder', headers)).slice(0, 2), JSON.stringify(headers)).toEqual([
      403,
      'CALL_CHAIN_REFUSED',
    ]);
  const good = {
    ...signed,
    'x-orchagent-billing-org-id': uuidOf(account_id),
    'x-orchagent-billing-org-sig': signedBilling(keys, account_id),
  };
  const below = await post(`/${org}/finder/v1/run`, {}, { ...good, 'x-orchagent-max-hops': '0' });
  expect(below.status, JSON.stringify(below.body)).toBe(200);
  const child = await db
    .selectFrom('agent_calls')
    .selectAll()
    .where('parent_run_id', '=', run_id)
    .executeTakeFirstOrThrow();
  expect(child).toMatchObject({ root_run_id: run_id, max_hops: 0, chain: [`${org}/boss@v1`, `${org}/finder@v1`] });
  const deeper = {
    'x-orchagent-call-chain': child.chain.join(),
    'x-orchagent-call-chain-sig': signedChain(keys, child),
  };
  await publish(story.orchflow, story.user, org, { name: 'deepest' });
  expect(await reasonOf('deepest', deeper)).toEqual([403, 'CALL_CHAIN_REFUSED', expect.stringContaining('deeper')]);
  // A chain may be of so many agents, and no longer.
  const long = Array.from({ length: 32 }, (_, at) => `${org}/a${at}@v1`);
  await db.updateTable('agent_calls').set({ chain: long, max_hops: null }).where('run_id', '=', child.run_id).execute();
  const longer = {
    'x-orchagent-call-chain': long.join(),
    'x-orchagent-call-chain-sig': signedChain(keys, { run_id: child.run_id, chain: long }),
  };
  expect(await reasonOf('deepest', longer)).toEqual([403, 'CALL_CHAIN_REFUSED', expect.stringContaining('deeper')]);
  const stranger = createCaller(story.orchflow.url, await story.orchflow.register());
  await db.updateTable('agent_versions').set({ is_public: true }).execute();
  const stolen = await stranger.post(`/${org}/finder/v1/run`, {}, signed);
  expect([stolen.status, stolen.body.error.reason]).toEqual([403, 'CALL_CHAIN_REFUSED']);
});
