import { until } from '../harness/orchflow.ts';
import type { Call } from './contract.ts';

/** Every answer of what steers a run, and of what tells its story. */
export async function callSteering(call: Call, goal: object): Promise<void> {
  const run = '/api/v1/runs/{run_id}';
  const task = `${run}/tasks/{task_id}`;
  const { run_id } = (await call('POST', '/api/v1/runs', {}, goal)).body;
  const ids = { run_id, task_id: 'T1' };
  async function waiting(isMeant: (task_id: string) => boolean): Promise<string> {
    let found: string | undefined;
    let last: unknown;
    await until(
      async () => {
        const { body } = await call('GET', run, ids);
        last = body.tasks?.map(({ id, status, gate }: any) => [id, status, gate?.status]);
        found = body.waiting_tasks.find(isMeant);
        return found !== undefined;
      },
      () => `a task waits, but: ${JSON.stringify(last)}`,
    );
    return found!;
  }
  const isFirst = (task_id: string) => task_id === 'T1';

  await waiting(isFirst);
  for (const how of ['hold', 'release']) await call('POST', `${run}/${how}`, ids, { note: 'Why not.' });
  await call('POST', `${task}/correct`, ids, { output: 'Too early.' });
  await call('POST', `${task}/retry`, ids, { feedback: 'In euros.' });
  await waiting(isFirst);
  await until(async () => {
    const { status } = await call('POST', `${task}/complete`, ids, { output: 'Ten euros.' });
    return status === 200;
  }, 'it is answered');
  await until(
    async () => (await call('POST', `${task}/correct`, ids, { output: '20 euros.' })).status === 200,
    'corrected',
  );
  await call('POST', `${task}/skip`, ids);
  await call('POST', `${task}/cancel`, ids);
  const next = await waiting((task_id) => task_id !== 'T1');
  await call('POST', `${task}/skip`, { run_id, task_id: next });
  const other = await waiting((task_id) => task_id !== 'T1' && task_id !== next);
  await call('POST', `${task}/cancel`, { run_id, task_id: other });
  await call('GET', `${task}/attempts`, { run_id, task_id: next });
  await call('GET', `${run}/audit`, ids);
  await call('PATCH', run, ids, { tags: ['launch'] });
  await call('DELETE', run, ids);

  const later = { run_id: (await call('POST', '/api/v1/runs', {}, { ...goal, start_in: '1d' })).body.run_id };
  await call('GET', run, later);
  await call('PATCH', run, later, { start_at: '2030-01-01T00:00:00Z', start_in: '1d' });
  await call('PATCH', run, later, { start_in: '2d' });
  await call('GET', '/api/v1/runs?pending_for=start_at');
  await call('DELETE', run, later);

  const actions = ['retry', 'correct', 'skip', 'cancel'];
  for (const of of [ids, { run_id: 'unknown', task_id: 'T1' }]) {
    for (const how of ['hold', 'release']) await call('POST', `${run}/${how}`, of);
    for (const how of actions)
      await call('POST', `${task}/${how}`, of, how === 'correct' ? { output: 'x' } : undefined);
    await call('GET', `${task}/attempts`, of);
    await call('GET', `${run}/audit`, of);
    await call('PATCH', run, of, { max_tokens: 100_000 });
    await call('POST', `${run}/retry`, of);
  }
  const failed = {
    run_id: (await call('POST', '/api/v1/runs', {}, { ...goal, max_tokens: 1, on_budget: 'fail' })).body.run_id,
  };
  await until(async () => (await call('GET', run, failed)).body.status === 'failed', 'it fails');
  await call('POST', `${run}/retry`, failed, { max_tokens: 1_000_000, gate_due_in: '1d', note: 'More.' });
}
