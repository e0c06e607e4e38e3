import type { Call } from './contract.ts';

const nowhere = '00000000-0000-8000-8000-000000000000';

/** Calls every operation that tells of calls of agents, with each of its outcomes. */
export async function callOrchagentUsage(call: Call): Promise<void> {
  const { slug: org, id: workspace_id } = (await call('GET', '/org')).body;
  const counted = { name: 'counted', prompt: 'You count.' };
  const { id: version_id } = (await call('POST', '/agents', {}, counted)).body.agent;
  const endpoint = '/{org}/{agent}/{version}/{endpoint}';
  const as = { org, agent: 'counted', version: 'v1', endpoint: 'run' };
  for (const input of [{ count: 1 }, { count: 2 }]) await call('POST', endpoint, as, input);
  await call('POST', endpoint, { ...as, agent: 'nobody' }, {});

  for (const path of ['', '?by=tenant', '/timeseries', '/breakdown?by=model', '/breakdown?by=key', '/compute'])
    await call('GET', `/usage${path}`);
  for (const path of ['', '/timeseries', '/breakdown', '/compute', '/logs']) await call('GET', `/usage${path}?x=1`);
  await call('GET', '/usage/breakdown?calls=by_others');
  const { logs } = (await call('GET', '/usage/logs?limit=1')).body;
  for (const id of [version_id, nowhere]) await call('GET', '/agents/{version_id}/logs', { version_id: id });

  const own = { workspace_id, run_id: logs[0].id, trace_id: logs[0].id };
  const runs = '/workspaces/{workspace_id}/runs';
  const operations = [
    ['GET', runs],
    ['GET', `${runs}/{run_id}`],
    ['GET', `${runs}/{run_id}/logs`],
    ['GET', `${runs}/{run_id}/trace`],
    ['GET', `${runs}/{run_id}/dag`],
    ['GET', '/workspaces/{workspace_id}/traces/{trace_id}/events'],
    ['GET', '/workspaces/{workspace_id}/metrics/dashboard'],
    ['POST', `${runs}/{run_id}/replay`, { reason: 'Once more.' }],
  ] as const;
  for (const ids of [own, { workspace_id: nowhere, run_id: nowhere, trace_id: nowhere }])
    for (const [method, path, sent] of operations) await call(method, path, ids, sent);
}
