import { until } from '../harness/orchflow.ts';
import type { Call } from './contract.ts';

/** Calls every operation on people, with each of its outcomes. */
export async function callPeople(call: Call): Promise<void> {
  const all = '/api/v1/people';
  const one = `${all}/{person_id}`;
  const anna = { name: 'Anna', email: 'anna@acme.example', skills: ['Legal'], max_open: 2 };
  const { person_id } = (await call('POST', all, {}, anna)).body;
  await call('POST', all, {}, {});
  await call('GET', `${all}?limit=1&skill=legal`);
  await call('GET', `${all}?skill=`);
  const run = '/api/v1/runs/{run_id}';
  const goal = { task: 'Compare three note apps.', ask_me_about: [{ about: 'the budget', skills: ['legal'] }] };
  const { run_id } = (await call('POST', '/api/v1/runs', {}, goal)).body;
  const ids = { run_id, task_id: 'T1' };
  await until(async () => (await call('GET', run, ids)).body.waiting_tasks.includes('T1'), 'it waits');
  const assign = `${run}/tasks/{task_id}/assign`;
  for (const to of [person_id, null]) await call('POST', assign, ids, { person_id: to });
  await call('POST', assign, ids, { person_id: 'unknown' });
  await call('POST', assign, ids, {});
  await call('GET', `${run}/tasks/{task_id}/attempts`, ids);
  const { gates } = (await call('GET', '/api/v1/inbox?skill=legal&overdue=false')).body;
  await call('GET', '/api/v1/inbox?kind=x');
  for (const gate_id of [gates[0].gate_id, 'unknown']) await call('GET', '/api/v1/inbox/{gate_id}', { gate_id });
  await call('DELETE', run, ids);
  await call('POST', assign, ids, { person_id });

  const operations = [
    ['GET', one],
    ['PATCH', one, { status: 'inactive' }],
    ['POST', `${one}/key`],
    ['DELETE', one],
  ] as const;
  for (const id of [person_id, 'unknown']) {
    for (const [method, path, body] of operations) await call(method, path, { person_id: id }, body);
  }
}
