import type { Call } from './contract.ts';

/** Calls agents, with each of the outcomes that need no crash. */
export async function callCalls(call: Call): Promise<void> {
  const { slug: org } = (await call('GET', '/org')).body;
  const path = '/{org}/{agent}/{version}/{endpoint}';
  const input_schema = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] };
  await call('POST', '/agents', {}, { name: 'called', prompt: 'You read.', input_schema });
  await call('POST', '/agents', {}, { name: 'knowing', prompt: 'Know.', type: 'skill' });
  const one = { org, agent: 'called', version: 'v1', endpoint: 'run' };
  const body = { text: 'Read this.' };
  await call('POST', path, one, body);
  await call('POST', `${path}?verbose=true`, one, body);
  await call('POST', '/api/v1/agents', {}, { name: 'asking', require_approval: true });
  await call('POST', path, { ...one, agent: 'asking' }, body);
  await call('POST', path, one, body, undefined, { accept: 'text/event-stream' });
  await call('POST', path, one, {});
  await call('POST', path, { ...one, version: 'v9' }, body);
  await call('POST', path, { ...one, agent: 'knowing' }, body);
  await call('POST', path, one, body, 'orch_unknown');
  await call('POST', path, one, 'text=x', undefined, { 'content-type': 'text/plain' });
  await call('POST', path, one, body, undefined, { 'x-orchagent-deadline-ms': '1' });
  await call('POST', path, one, body, undefined, { 'x-orchagent-call-chain': `${org}/called@v1` });
}
