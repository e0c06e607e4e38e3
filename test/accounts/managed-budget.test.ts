import { expect, onTestFinished, test } from 'vitest';
import { startFakeModel } from '../fakes/model.ts';
import { startOrchflow } from '../harness/orchflow.ts';
import { scriptRun } from '../harness/script.ts';

/** What tenants may spend of the operator's money. */

const task = 'Compare three note apps.';
/** 9,500 tokens of the fake: $0.0057 of gpt-4o-mini. A call for a task may cost $0.005 at most. */
const longText = 'x'.repeat(38_000);

/** An Orchflow whose own model is the fake, and writes long texts. */
async function start(environment: Record<string, string>) {
  const model = scriptRun(await startFakeModel(), { execute: () => longText });
  const own = { OPENAI_API_KEY: 'sk-operator', OPENAI_BASE_URL: model.baseUrl('openai') };
  const orchflow = await startOrchflow({ environment: { ...own, ...environment } });
  onTestFinished(() => orchflow.stop().then(() => model.close()));
  return { orchflow, model };
}

const limits = [
  ['MANAGED_MAX_COST_USD_PER_RUN', 'A run may spend $0.02 on this server', [true, true, true]],
  ['MANAGED_MAX_COST_USD_PER_ACCOUNT', 'An account may spend $0.02 a month on this server', [true, false, true]],
  ['MANAGED_MAX_COST_USD', 'The $0.02 that this server spends on its own models', [true, false, false]],
] as const;

test.each(limits)('%s: at the limit a person is told why', async (name, words, [first, second, others]) => {
  const { orchflow, model } = await start({ [name]: '0.02' });
  const user = await orchflow.register();
  const hasExecuted: boolean[] = [];
  for (const account of [user, user, await orchflow.register()]) {
    const calls = model.callsFor('execute').length;
    const run = await account.startRun({ task });
    const paused = await run.until('waiting_human');
    expect(paused.tasks.find(({ gate }) => gate?.status === 'open')!.gate!.reason).toContain(words);
    hasExecuted.push(model.callsFor('execute').length > calls);
    await run.cancel();
  }
  expect(hasExecuted).toEqual([first, second, others]);
  const { db } = orchflow;
  expect(await db.selectFrom('managed_reservations').selectAll().execute()).toEqual([]);
  const spent = await db
    .selectFrom('llm_calls')
    .select(({ fn }) => fn.sum<number>('cost_usd').as('sum'))
    .execute();
  expect(spent[0]!.sum).toBeGreaterThan(0.01);
});

test('a provider of the account has no such limit', async () => {
  const { orchflow, model } = await start({ MANAGED_MAX_COST_USD: '0' });
  const user = await orchflow.register();
  const provider_id = await user.addProvider(model);
  await (await user.startRun({ task, provider_id })).until('completed');
});

test('calls at once cannot pass a limit together', async () => {
  const { orchflow, model } = await start({ MANAGED_MAX_COST_USD: '0.02' });
  const accounts = await Promise.all([orchflow.register(), orchflow.register(), orchflow.register()]);
  const runs = await Promise.all(accounts.map((account) => account.startRun({ task })));
  await Promise.all(runs.map((run) => run.until('waiting_human')));
  const { db } = orchflow;
  const { sum } = await db
    .selectFrom('llm_calls')
    .select(({ fn }) => fn.sum<number>('cost_usd').as('sum'))
    .executeTakeFirstOrThrow();
  expect(sum).toBeGreaterThan(0.01);
  // What was reserved is a guess from the request; the fake says more tokens than it may.
  expect(sum).toBeLessThan(0.023);
  expect(model.openCalls).toBe(0);
  await Promise.all(runs.map((run) => run.cancel()));
});

test('what a run has spent stays counted when it is purged', async () => {
  const { orchflow } = await start({ MANAGED_MAX_COST_USD_PER_ACCOUNT: '0.02' });
  const user = await orchflow.register();
  const run = await user.startRun({ task });
  await run.until('waiting_human');
  await run.cancel();
  const spent = orchflow.db.selectFrom('managed_spending').selectAll();
  const before = await spent.execute();
  expect(before).toHaveLength(1);
  expect((await user.delete(`/runs/${run.run_id}?purge=true`)).status).toBe(200);
  expect(await spent.execute()).toEqual(before);
  const next = await user.startRun({ task });
  const { tasks } = await next.until('waiting_human');
  expect(tasks.find(({ gate }) => gate?.status === 'open')!.gate!.reason).toContain(
    'An account may spend $0.02 a month',
  );
  await next.cancel();
});
