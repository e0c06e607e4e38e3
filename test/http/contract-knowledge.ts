import { filePart, formOf } from '../harness/upload.ts';
import type { Call } from './contract.ts';

/** Calls every operation on knowledge bases, with each of its outcomes. */
export async function callKnowledge(call: Call): Promise<void> {
  const all = '/v1/knowledge';
  const one = `${all}/{knowledge_id}`;
  const document = `${one}/documents/{document_id}`;
  const { knowledge_id } = (await call('POST', all, {}, { name: 'Handbook' })).body;
  await call('POST', all, {}, {});
  await call('POST', all, {}, { name: 'Handbook', embedding: { provider_id: 'prv_unknown' } });
  await call('POST', all, {}, { name: 'Prices' });
  await call('GET', `${all}?limit=1`);
  const { body, headers } = formOf(filePart('Goods may be returned within thirty days.', 'notes.md', 'files'));
  const { documents } = (await call('POST', `${one}/upload`, { knowledge_id }, body, undefined, headers)).body;
  const { document_id } = documents[0];
  await call('POST', `${one}/upload`, { knowledge_id }, formOf('').body, undefined, headers);
  for (let status = 'pending'; status !== 'indexed';)
    ({ status } = (await call('GET', document, { knowledge_id, document_id })).body);
  const empty = formOf(filePart('', 'empty.md', 'files'));
  const second = (await call('POST', `${one}/upload`, { knowledge_id }, empty.body, undefined, empty.headers)).body;
  const failed = { knowledge_id, document_id: second.documents[0].document_id };
  for (let status = 'pending'; status !== 'failed';) ({ status } = (await call('GET', document, failed)).body);
  await call('POST', `${document}/index`, failed);
  await call('GET', `${one}/documents?limit=1&status=indexed`, { knowledge_id });
  // Nobody answers there, so that its document is not done.
  const nobody = { provider: 'ollama', base_url: 'http://127.0.0.1:9' };
  const { provider_id } = (await call('POST', '/api/v1/providers', {}, nobody)).body;
  const slow = (await call('POST', all, {}, { name: 'Slow', embedding: { provider_id } })).body;
  await call('POST', `${one}/upload`, { knowledge_id: slow.knowledge_id }, body, undefined, headers);
  await call('PATCH', one, { knowledge_id: slow.knowledge_id }, { embedding: {} });
  await call('DELETE', one, { knowledge_id: slow.knowledge_id });
  await call('DELETE', '/api/v1/providers/{provider_id}', { provider_id });
  for (const id of [knowledge_id, 'unknown']) {
    const ids = { knowledge_id: id, document_id };
    await call('GET', one, ids);
    await call('PATCH', one, ids, { description: 'What everybody should know.' });
    await call('PATCH', one, ids, {}, undefined, { 'if-match': '"0"' });
    await call('POST', `${one}/search`, ids, { query: 'How long for a return?' });
    await call('POST', `${one}/upload`, ids, body, undefined, headers);
    await call('GET', `${one}/documents?limit=1`, ids);
    await call('GET', document, ids);
    await call('POST', `${document}/index`, ids);
    await call('DELETE', document, ids);
    await call('DELETE', one, ids);
  }
}
