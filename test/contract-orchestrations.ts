import type { Answer } from './client.ts';

type Call = (method: string, template: string, ids?: Record<string, string>, body?: object) => Promise<Answer>;

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
  await call('DELETE', one, { orch_id: 'copy' });
  await call('DELETE', one, { orch_id: 'copy' });
  await call('DELETE', one, { orch_id: shipped.id });
  await call('GET', one, { orch_id: 'copy' });
}
