import { filePart, formOf } from '../harness/upload.ts';
import type { Call } from './contract.ts';

/** Calls every operation on files, with each of its outcomes. */
export async function callFiles(call: Call): Promise<void> {
  const files = '/api/v1/files';
  const file = `${files}/{file_id}`;
  const { body, headers } = formOf(filePart('Notes.'));
  const { file_id } = (await call('POST', files, {}, body, undefined, headers)).body;
  await call('POST', files, {}, body, undefined, headers);
  await call('POST', files, {}, formOf('').body, undefined, headers);
  await call('GET', `${files}?limit=1`);
  for (const id of [file_id, 'unknown']) {
    await call('GET', file, { file_id: id });
    await call('GET', `${file}/content`, { file_id: id });
    await call('DELETE', file, { file_id: id });
  }
}
