import type { Call } from './contract.ts';

/** Calls every operation of OrchStack on workflows, webhooks and batches, with each of its outcomes. */
export async function callWorkflows(call: Call): Promise<void> {
  const all = '/v1/workflows';
  const one = `${all}/{workflow_id}`;
  const ask = { id: 'ask', name: 'Ask', type: 'human', human_prompt: 'What?' };
  const workflow = { name: 'Ask', entry_step_id: 'ask', steps: [ask] };
  const unknown = [{ id: 'ask', name: 'Ask', type: 'agent', agent: { agent_id: 'agt_unknown' } }];
  const { workflow_id } = (await call('POST', all, {}, workflow)).body;
  await call('POST', all, {}, { ...workflow, workflow_id });
  await call('POST', all, {}, { ...workflow, steps: unknown });
  await call('POST', '/api/v1/orchestrations', {}, { ...workflow, steps: unknown });
  for (const query of ['', '?limit=1&sort=-updated_at', '?fields=step_count', '?fields=steps'])
    await call('GET', all + query);
  await call('PATCH', one, { workflow_id }, { description: 'Asks.' });
  await call('PATCH', one, { workflow_id }, { description: 'Asks.' }, undefined, { 'if-match': '"other"' });
  const execute = `${one}/execute`;
  const request = { input: 'Note apps', channel: 'web' };
  await call('POST', execute, { workflow_id }, request);
  await call('POST', execute, { workflow_id }, { ...request, wait: 0 });
  await call('POST', execute, { workflow_id }, request, undefined, { accept: 'text/event-stream' });
  await call('POST', execute, { workflow_id }, {});

  const webhooks = '/v1/webhooks';
  const webhook = `${webhooks}/{webhook_id}`;
  const wanted = { url: 'https://example.com/hook', events: ['agent.run.completed'], description: 'Mine' };
  const { webhook_id } = (await call('POST', webhooks, {}, wanted)).body;
  for (const body of [wanted, {}]) await call('POST', webhooks, {}, body);
  for (const query of ['', '?limit=1&sort=created_at', '?fields=url&status=active', '?sort=url'])
    await call('GET', webhooks + query);
  await call('PATCH', webhook, { webhook_id }, { status: 'disabled' }, undefined, { 'if-match': '"other"' });

  const operations = [
    { method: 'GET', path: `/v1/workflows/${workflow_id}` },
    { method: 'GET', path: '/v1/nothing' },
  ];
  await call('POST', '/v1/batch', {}, { operations });
  await call('POST', '/v1/batch', {}, {});

  for (const [path, name, id] of [
    [one, 'workflow_id', workflow_id],
    [webhook, 'webhook_id', webhook_id],
  ]) {
    for (const ids of [{ [name]: id }, { [name]: 'unknown' }]) {
      await call('GET', path, ids);
      await call('PATCH', path, ids, { description: 'Changed.' });
      await call('DELETE', path, ids);
    }
  }
  await call('POST', execute, { workflow_id }, request);
}
