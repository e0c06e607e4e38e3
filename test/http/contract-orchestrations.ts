import type { Call } from './contract.ts';

/** Calls every operation on orchestrations, with each of its outcomes. */
export async function callOrchestrations(call: Call): Promise<void> {
  const all = '/api/v1/orchestrations';
  const one = `${all}/{orch_id}`;
  await call('GET', all);
  const shipped = (await call('GET', one, { orch_id: 'orch-research-report' })).body;
  await call('POST', `${all}/validate`, {}, shipped);
  const copy = { ...shipped, id: 'copy' };
  await call('POST', all, {}, copy);
  await call('POST', all, {}, copy);
  await call('PUT', one, { orch_id: 'copy' }, copy);
  await call('PUT', one, { orch_id: 'unknown' }, { ...copy, id: 'unknown' });
  await call('PUT', one, { orch_id: shipped.id }, shipped);
  await callRuns(call);
  await call('DELETE', one, { orch_id: 'copy' });
  await call('DELETE', one, { orch_id: 'copy' });
  await call('DELETE', one, { orch_id: shipped.id });
  await call('GET', one, { orch_id: 'copy' });
}

async function callRuns(call: Call): Promise<void> {
  const all = '/api/v1/orchestrations/runs';
  const one = `${all}/{run_id}`;
  const start = '/api/v1/orchestrations/{orch_id}/run';
  const shipped = { orch_id: 'orch-research-report' };
  const { run_id } = (await call('POST', start, shipped, { message: 'Note apps' })).body;
  await call('POST', `${start}?wait=0`, shipped, { message: 'Note apps' });
  await call('POST', start, { orch_id: 'unknown' }, { message: 'Note apps' });
  await call('POST', start, shipped, { message: 'Note apps', provider_id: 'unknown' });
  await call('GET', `${all}?limit=1`);
  await call('GET', one, { run_id });
  await call('POST', `${one}/resume`, { run_id }, { response: { decision: 'approve' } });
  await call('POST', `${one}/resume`, { run_id }, { response: { decision: 'approve' } });
  await call('GET', one, { run_id });
  await call('POST', `${one}/cancel`, { run_id });
  const rerun = '/api/v1/runs/{run_id}/rerun';
  const edits = { sources: ['A list', { of: 'any' }] };
  const fork = (await call('POST', rerun, { run_id }, { from_task: 'step-approve', edits })).body.run_id;
  await call('POST', rerun, { run_id }, { from_task: 'nothing', edits: {} });
  await call('POST', `${one}/cancel`, { run_id: fork });
  const other = (await call('POST', start, shipped, { message: 'Note apps' })).body.run_id;
  await call('POST', `${one}/resume?wait=0`, { run_id: other }, { response: { decision: 'reject' } });
  await call('POST', `${one}/cancel`, { run_id: other });
  await call('POST', `${start}/stream`, shipped, { message: 'Note apps' });
  await call('POST', `${start}/stream`, { orch_id: 'unknown' }, { message: 'Note apps' });
  const third = (await call('POST', start, shipped, { message: 'Note apps' })).body.run_id;
  await call('POST', `${one}/resume/stream`, { run_id: third }, { response: { decision: 'yes' } });
  await call('POST', `${one}/resume/stream`, { run_id: third }, { response: { decision: 'yes' } });
  await call('POST', `${one}/retry`, { run_id: third });
  const faulty = {
    id: 'faulty',
    name: 'Faulty',
    entry_step_id: 'a',
    steps: [{ id: 'a', name: 'A', type: 'transform', transform_code: 'throw "no"' }],
  };
  await call('POST', '/api/v1/orchestrations', {}, faulty);
  const failed = (await call('POST', start, { orch_id: 'faulty' }, { message: 'Go', mesage: 'Go' })).body.run_id;
  await call('POST', `${one}/retry`, { run_id: failed });
  await call('POST', `${one}/retry?wait=0`, { run_id: failed });
  for (const [method, path, body] of [
    ['GET', one],
    ['POST', `${one}/retry`],
    ['POST', `${one}/resume/stream`, { response: 'x' }],
    ['POST', `${one}/cancel`],
    ['POST', `${one}/resume`, { response: 'x' }],
  ] as const) {
    await call(method, path, { run_id: 'unknown' }, body);
  }
}
