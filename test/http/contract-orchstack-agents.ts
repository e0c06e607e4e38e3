import type { Call } from './contract.ts';

/** Calls every operation of OrchStack on agents, runs and gates, with each of its outcomes. */
export async function callOrchstackAgents(call: Call): Promise<void> {
  const agents = '/v1/agents';
  const one = `${agents}/{agent_id}`;
  const booker = { name: 'booker', tools: ['run_javascript'], require_approval: true };
  const { agent_id } = (await call('POST', agents, {}, booker)).body;
  await call('POST', agents, {}, booker);
  await call('POST', agents, {}, { ...booker, name: 'third', provider_id: 'prv_unknown' });
  await call('POST', agents, {}, { name: 'quick' });
  for (const query of ['', '?limit=1', '?fields=name&sort=name', '?fields=nosuch']) await call('GET', agents + query);
  await call('PATCH', one, { agent_id }, { name: 'quick' });
  await call('PATCH', one, { agent_id }, { description: 'Books.' }, undefined, { 'if-match': '"other"' });

  const quick = (await call('GET', `${agents}?name=quick`)).body.agents[0].agent_id;
  const run = `${one}/run`;
  const request = { input: 'Book a haircut.', channel: 'whatsapp', user_id: 'usr_1', metadata: { customer: 'c_17' } };
  await call('POST', run, { agent_id: quick }, request);
  await call('POST', run, { agent_id: quick }, request, undefined, { accept: 'text/event-stream' });
  const started = (await call('POST', run, { agent_id: quick }, { ...request, start_in: '1d' })).body.run_id;
  const waiting = (await call('POST', run, { agent_id }, request)).body;
  const { run_id } = waiting;
  await call('POST', run, { agent_id }, { ...request, version: 'v9' });
  await call('POST', run, { agent_id }, {});

  const runs = '/v1/runs';
  const ofRun = `${runs}/{run_id}`;
  for (const query of ['', '?limit=1&sort=-cost_usd', '?fields=status,tokens&channel=whatsapp', '?sort=nosuch'])
    await call('GET', runs + query);
  await call('GET', ofRun, { run_id });
  const { gate_id } = waiting.gates[0];
  const gate = `${ofRun}/gates/{gate_id}`;
  for (const body of [{ decision: 'retry' }, {}, {}]) await call('POST', gate, { run_id, gate_id }, body);
  await call('POST', gate, { run_id, gate_id: 'gate_unknown' }, {});
  await call('GET', ofRun, { run_id });
  await call('PATCH', ofRun, { run_id }, { tags: ['done'] });
  await call('PATCH', ofRun, { run_id }, { tags: 7 });
  await call('PATCH', ofRun, { run_id }, { tags: [] }, undefined, { 'if-match': '"other"' });
  for (const query of ['?purge=true', '', '?purge=yes']) await call('DELETE', ofRun + query, { run_id: started });
  for (const method of ['GET', 'PATCH', 'DELETE'])
    await call(method, ofRun, { run_id: 'run_unknown' }, method === 'PATCH' ? {} : undefined);
  for (const id of [agent_id, 'unknown']) {
    await call('GET', one, { agent_id: id });
    await call('PATCH', one, { agent_id: id }, { description: 'Books.' });
    await call('DELETE', one, { agent_id: id });
    await call('POST', run, { agent_id: id }, request);
  }
}
