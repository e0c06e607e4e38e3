import type { Call } from './contract.ts';

const outputSchema = { type: 'object', properties: { verdict: { enum: ['yes', 'no'] } }, required: ['verdict'] };

/** Calls every operation on agents, with each of its outcomes. */
export async function callAgents(call: Call): Promise<void> {
  const all = '/api/v1/agents';
  const one = `${all}/{agent_id}`;
  const legal = { name: 'legal', tools: ['run_javascript'], max_cost_usd: 0.5, output_schema: outputSchema };
  const { agent_id } = (await call('POST', all, {}, legal)).body;
  await call('POST', all, {}, legal);
  await call('POST', all, {}, { ...legal, name: 'other', provider_id: 'prv_unknown' });
  await call('POST', all, {}, {});
  await call('POST', all, {}, { name: 'second' });
  const runs = `${one}/runs`;
  const { run_id } = (await call('POST', runs, { agent_id }, { input: 'A clause.', start_in: '1d' })).body;
  for (const body of [{}, { input: 'A clause.', version: 'v9' }]) await call('POST', runs, { agent_id }, body);
  await call('GET', `/api/v1/runs?agent_id=${agent_id}&origin=orchflow`);
  await call('GET', '/api/v1/runs/{run_id}', { run_id });
  await call('DELETE', '/api/v1/runs/{run_id}', { run_id });
  await call('GET', all);
  await call('PATCH', one, { agent_id }, { name: 'second' });
  await call('PATCH', one, { agent_id }, { max_turns: 0 });
  const operations = [
    ['GET', one],
    ['PATCH', one, { description: 'Reads contracts.', output_schema: null }],
    ['GET', `${one}/versions`],
    ['GET', `${one}/versions/{version}`],
    ['POST', runs, { input: 'A clause.', start_in: '1d' }],
    ['DELETE', one],
  ] as const;
  for (const id of [agent_id, 'unknown']) {
    for (const [method, path, body] of operations) await call(method, path, { agent_id: id, version: 'v1' }, body);
  }
}
