import { connect } from 'node:net';
import { maxFileBytes } from '../../src/files/incoming.ts';
import { filePart, formOf } from '../../test/harness/upload.ts';
import { keepingSeconds as wait, limits } from '../limits.ts';
import { orTooMany, type Attack, type Hostile } from './tenant.ts';

/** Files: too large, too many, that do not come, that are none, and those of others. */

/** Of what it keeps, so that all of it goes again, also that of which the answer was lost. */
const mark = 'file';

function keep({ post, nameFor }: Hostile, content: string, due: number[], makes = nameFor(mark)) {
  const { body, headers } = formOf(filePart(content, makes));
  return post('/files', body, due, { headers, makes, wait });
}

/** Deletes what it has. */
async function clear({ get, remove }: Hostile): Promise<void> {
  for (let isMore = true; isMore;) {
    const { body } = await get('/files?limit=100', [200]);
    const own: { file_id: string }[] = body?.files ?? [];
    for (const { file_id } of own) await remove(`/files/${file_id}`);
    isMore = body?.has_more ?? false;
  }
}

/** A byte more than a file may have, announced and not. */
const largeFiles: Attack = async ({ post, nameFor, random }) => {
  const makes = nameFor(mark);
  const { body, headers } = formOf(filePart('x'.repeat(maxFileBytes + 1), makes));
  const stream = () => new Blob([body]).stream();
  await post('/files', random.chance(0.5) ? body : stream, orTooMany(413), { headers, makes, wait });
};

/** As many bytes as there may be, and more. */
const manyBytes: Attack = async (hostile) => {
  const content = 'x'.repeat(maxFileBytes);
  for (let isRoom = true; isRoom;) isRoom = (await keep(hostile, content, orTooMany(201))).status === 201;
  await clear(hostile);
};

/** More at once than may be on their way, as long as there are none too many; and two at once with one key. */
const manyFiles: Attack = async (hostile) => {
  const { nameFor, post, atOnce } = hostile;
  await atOnce(limits.uploads * 2, async (n) => {
    for (let isRoom = true, left = 30; isRoom && left > 0; left -= 1)
      isRoom = (await keep(hostile, `x${n}`, orTooMany(201))).status === 201;
  });
  const makes = nameFor(mark);
  const { body, headers } = formOf(filePart('x', makes));
  const keyed = { headers: { ...headers, 'idempotency-key': makes }, makes, wait };
  await atOnce(3, () => post('/files', body, [201, 409, 429], keyed));
  const other = formOf(filePart('another', makes));
  await post('/files', other.body, [201, 409, 422, 429], keyed);
  await clear(hostile);
};

/** Files of which the beginning comes, and no more, for as long as it likes. */
const hangingUploads: Attack = async (hostile) => {
  const { random, atOnce, pause, apis, api_key } = hostile;
  const hanging = atOnce(limits.uploads * 3, async () => {
    const { hostname, port } = new URL(random.pick(apis).url);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => {});
    const length = random.pick(['Content-Length: 100000', 'Transfer-Encoding: chunked']);
    const head = `POST /api/v1/files HTTP/1.1\r\nHost: x\r\nX-API-Key: ${api_key}\r\nContent-Type: multipart/form-data; boundary=cut\r\n${length}\r\n\r\n`;
    const part = `--cut\r\n${filePart('The beginning of a fi', 'xhanging')}`;
    const chunk = `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`;
    socket.write(head + (length.startsWith('T') ? chunk : part));
    await pause(random.between(2_000, 5_000));
    socket.destroy();
  });
  await pause(500);
  await atOnce(4, () => keep(hostile, 'x', orTooMany(201)));
  await hanging;
  await clear(hostile);
};

const cut = { 'content-type': 'multipart/form-data; boundary=cut' };
const part = filePart('x', 'x.txt');

/** Bodies that are no file, each with what is due for it. */
const broken: [body: unknown, status: number, headers?: Record<string, string>][] = [
  ['', 422],
  ['--cut--\r\n', 422],
  [`--cut\r\n${part}`, 422],
  [`--cut\r\n${part}\r\n--cut\r\n${part}\r\n--cut--\r\n`, 422],
  [formOf(filePart('x', 'x.txt', 'other')).body, 422],
  [formOf(filePart('x', 'x'.repeat(300))).body, 422],
  [formOf(filePart('x', 'a\0b')).body, 422],
  [formOf('Content-Disposition: form-data; name="file"\r\n\r\nx').body, 422],
  [formOf('X: y\r\n'.repeat(500)).body, 422],
  ['x'.repeat(100_000), 422],
  [formOf(part).body, 415, { 'content-type': 'multipart/form-data' }],
  [formOf(part).body, 415, { 'content-type': 'text/plain' }],
  [{ file: 'x' }, 415, { 'content-type': 'application/json' }],
];

const brokenUploads: Attack = async ({ post }) => {
  for (const [body, status, headers = cut] of broken) await post('/files', body, orTooMany(status), { headers, wait });
};

/** What is another's is not read, not deleted, and given to no run and with no answer. */
const othersFiles: Attack = async ({ spy, get, post, ask, startGoal, pause, provider_id }) => {
  const file_id = (await spy.file()) ?? 'file_none';
  await get(`/files/${file_id}`, [404]);
  await get(`/files/${file_id}/content`, [404]);
  await ask({ method: 'DELETE', path: `/files/${file_id}`, due: [404] });
  await post('/runs', { task: 'Take what there is.', provider_id, attachments: [file_id] }, orTooMany(422));
  const run_id = await startGoal('plain', { ask_me_about: ['what there is'] });
  await pause(1_500);
  if (!run_id) return;
  const answer = { output: 'x', attachments: [file_id] };
  await post(`/runs/${run_id}/tasks/T1/complete`, answer, [404, 409, 422]);
};

/** Hundreds of files for one run, of which most are none; and one file for many runs, deleted meanwhile. */
const manyAttachments: Attack = async (hostile) => {
  const { post, ask, atOnce, startGoal, provider_id } = hostile;
  const { body } = await keep(hostile, 'x'.repeat(500_000), orTooMany(201));
  const own = body?.file_id ?? 'file_none';
  const task = 'Take what there is.';
  for (const attachments of [
    Array(300).fill(own),
    Array.from({ length: 300 }, (_, n) => `file_${n}`),
    [own, own, '../x'],
  ])
    await post('/runs', { task, provider_id, attachments }, orTooMany(422));
  if (!body) return;
  await Promise.all([
    atOnce(3, () => startGoal('plain', { attachments: [own], agents: [{ name: 'research' }] })),
    ask({ method: 'DELETE', path: `/files/${own}`, due: [200] }),
  ]);
};

export const files = {
  largeFiles,
  manyBytes,
  manyFiles,
  hangingUploads,
  brokenUploads,
  othersFiles,
  manyAttachments,
};
