import { expect, onTestFinished, test } from 'vitest';
import { countBrokenCall, foldManaged } from '../../db/managed-budget.ts';
import { startFakeModel } from '../fakes/model.ts';
import { readEvents } from '../harness/event-stream.ts';
import { startOrchflow, until, type Orchflow } from '../harness/orchflow.ts';
import { inTurn, scriptRun, type Script } from '../harness/script.ts';

/** What tenants may spend of the operator's money. */

const task = 'Compare three note apps.';
/** 9,500 tokens of the fake: $0.0057 of gpt-4o-mini. A call for a task may cost $0.005 at most. */
const longText = 'x'.repeat(38_000);

/** An Orchflow whose own model is the fake, and writes long texts unless the script has others. */
async function start(environment: Record<string, string>, script: Script = {}) {
  const model = scriptRun(await startFakeModel(), { execute: () => longText, ...script });
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
  const before = (await spentAt(orchflow)).all;
  expect(before).toBeGreaterThan(0);
  expect((await user.delete(`/runs/${run.run_id}?purge=true`)).status).toBe(200);
  expect((await spentAt(orchflow)).all).toBe(before);
  const next = await user.startRun({ task });
  const { tasks } = await next.until('waiting_human');
  expect(tasks.find(({ gate }) => gate?.status === 'open')!.gate!.reason).toContain(
    'An account may spend $0.02 a month',
  );
  await next.cancel();
});

test('no call waits until what another of its account has spent is written', async () => {
  const { orchflow } = await start({}, { execute: () => 'Done.' });
  const user = await orchflow.register();
  const { run_id } = await user.startRun({ task });
  await orchflow.db.transaction().execute(async (trx) => {
    await countBrokenCall(trx, { broken_id: 'held', run_id, cost_usd: 0.001 });
    await (await user.startRun({ task })).until('completed');
  });
});

test('what many calls have spent is added up, and none of it is lost', async () => {
  const { orchflow } = await start({ MANAGED_MAX_COST_USD: '1' }, { execute: () => 'Done.' });
  const user = await orchflow.register();
  const { run_id } = await user.startRun({ task });
  const calls = Array.from({ length: 60 }, (_, n) => ({ broken_id: `call${n}`, run_id, cost_usd: 0.001 }));
  await Promise.all(calls.map((call) => countBrokenCall(orchflow.db, call)));
  const runs = await Promise.all([1, 2, 3].map(() => user.startRun({ task })));
  await Promise.all(runs.map((run) => run.until('completed')));
  const rows = orchflow.db.selectFrom('managed_spending').select('cost_usd');
  expect((await rows.execute()).length).toBeLessThan(60);
  const { all, answered } = await spentAt(orchflow);
  expect(all).toBeCloseTo(answered + 0.06, 9);
  await Promise.all([1, 2].map(() => foldManaged(orchflow.db)));
  expect(await rows.execute()).toHaveLength(1);
  expect((await spentAt(orchflow)).all).toBeCloseTo(all, 9);
});

/** What was spent of the operator's models: of all months, by answers, and by calls that gave none, each of them. */
async function spentAt({ db }: Orchflow) {
  const cost = async (table: 'managed_spending' | 'llm_calls' | 'broken_calls') =>
    (await db.selectFrom(table).select('cost_usd').execute()).map(({ cost_usd }) => Number(cost_usd));
  const [all, answered, broken] = [await cost('managed_spending'), await cost('llm_calls'), await cost('broken_calls')];
  const sum = (costs: number[]) => costs.reduce((total, one) => total + one, 0);
  return { all: sum(all), answered: sum(answered), broken };
}

const oneAfterTheOther = { T2: ['T1'], T3: ['T2'] };

test.each(limits)('%s: counts answers that are read as they come and never let end', async (name, words) => {
  const script = { dependencies: oneAfterTheOther, execute: () => ({ say: longText, ending: 'hang' as const }) };
  const { orchflow } = await start({ [name]: '0.02' }, script);
  const user = await orchflow.register();
  const run = await user.startRun({ task });
  const reader = readEvents(user, orchflow.url, run.run_id);
  onTestFinished(reader.close);
  const read = () => reader.deltas.filter(({ offset, text }) => offset + text.length === longText.length).length;
  let waiting = (await run.get()).waiting_tasks;
  for (let answers = 1; ; answers += 1) {
    await until(async () => {
      waiting = (await run.get()).waiting_tasks;
      return read() === answers || waiting.length > 0;
    }, `answer ${answers} is read`);
    if (waiting.length > 0) break;
    expect(answers).toBeLessThanOrEqual(4);
    expect((await user.post(`/runs/${run.run_id}/tasks/T1/retry`, {})).status).toBe(200);
  }
  expect((await run.task('T1')).gate!.reason).toContain(words);
  const { all, answered, broken } = await spentAt(orchflow);
  expect(broken.length).toBeGreaterThanOrEqual(3);
  // All that a call may write was written: as much as was reserved, and no more.
  for (const cost of broken) expect(cost).toBeGreaterThan(0.0049);
  for (const cost of broken) expect(cost).toBeLessThan(0.005);
  expect(all).toBeCloseTo(answered + broken.reduce((sum, one) => sum + one, 0), 9);
  expect(all).toBeLessThan(0.02);
  expect((await run.get()).usage.cost_usd).toBeCloseTo(answered, 9);
  await run.cancel();
});

test('a cancelled call that is not streamed counts as all that was reserved for it', async () => {
  const { orchflow, model } = await start(
    { MANAGED_MAX_COST_USD: '100' },
    { split: () => ({ hang: 'before_headers' as const }) },
  );
  const { db } = orchflow;
  const run = await (await orchflow.register()).startRun({ task });
  await model.waitForCall();
  const { cost_usd } = await db.selectFrom('managed_reservations').select('cost_usd').executeTakeFirstOrThrow();
  expect(cost_usd).toBeGreaterThan(0.001);
  await run.cancel();
  const isSettled = async () => (await db.selectFrom('managed_reservations').selectAll().execute()).length === 0;
  await until(isSettled, 'what was reserved is given back');
  expect(await spentAt(orchflow)).toEqual({ all: cost_usd, answered: 0, broken: [cost_usd] });
});

test('each try that broke off counts once, and one that the vendor refused does not', async () => {
  const replies = inTurn(
    { status: 500 },
    { say: 'Not all', ending: 'reset' },
    { status: 429 },
    { say: 'Nor', ending: 'end' },
  );
  const { orchflow } = await start({}, { dependencies: oneAfterTheOther, execute: () => replies() ?? 'An output.' });
  const run = await (await orchflow.register()).startRun({ task });
  await run.until('completed');
  const { all, answered, broken } = await spentAt(orchflow);
  expect(broken).toHaveLength(2);
  for (const cost of broken) expect(cost).toBeLessThan(0.001);
  expect(all).toBeCloseTo(answered + broken[0]! + broken[1]!, 9);
  expect((await run.get()).usage.cost_usd).toBeCloseTo(answered, 9);

  const again = { broken_id: `${run.run_id}/again`, run_id: run.run_id, cost_usd: 0.5 };
  await Promise.all([countBrokenCall(orchflow.db, again), countBrokenCall(orchflow.db, again)]);
  await countBrokenCall(orchflow.db, again);
  expect((await spentAt(orchflow)).all).toBeCloseTo(all + 0.5, 9);
});
