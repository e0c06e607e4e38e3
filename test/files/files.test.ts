import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { maxFileBytes } from '../../src/files/incoming.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';
import { hasS3, startS3 } from '../harness/s3.ts';
import { filePart, formOf, upload } from '../harness/upload.ts';

/** Files of an account: kept as they come, whole or not at all, and given back as they were. */

type Store = {
  environment: Record<string, string>;
  keys: (env: Record<string, string>) => Promise<unknown[]>;
  stop?: () => Promise<void>;
};

const inFolder = (folder: string) => (env: Record<string, string>) =>
  readdir(path.join(env.FILES_DIR!, folder)).catch(() => []);

const stores: [name: string, start: () => Promise<Store>][] = [
  ['a folder', () => Promise.resolve({ environment: {}, keys: inFolder('stored') })],
  ...(hasS3 ? [['S3', startS3] as [string, () => Promise<Store>]] : []),
];

describe.each(stores)('in %s', (_, start) => {
  let orchflow: Orchflow;
  let store: Store;
  let user: User;

  beforeAll(async () => {
    store = await start();
    orchflow = await startOrchflow({ environment: store.environment, worker: false });
  });
  afterAll(() => orchflow.stop().then(() => store.stop?.()));
  beforeEach(async () => {
    user = await orchflow.register();
  });

  const content = (file_id: string) =>
    fetch(`${orchflow.url}/api/v1/files/${file_id}/content`, { headers: { 'x-api-key': user.api_key } });

  test('bytes come back as they were, as a download, under their name and media type', async () => {
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (__, index) => (index * 7) % 256));
    const cases: [name: string, type: string, bytes: Buffer<ArrayBuffer>, disposition: string, media_type: string][] = [
      ['notes.csv', 'text/csv', Buffer.from('a,b\n'), 'notes.csv', 'text/csv'],
      ["Übersicht (1)'s 😀.html", 'text/html', bytes, '%C3%9Cbersicht%20%281%29%27s%20%F0%9F%98%80.html', 'text/html'],
      ['empty', '', Buffer.alloc(0), 'empty', 'application/octet-stream'],
    ];
    for (const [name, type, sent, disposition, media_type] of cases) {
      const kept = await upload(orchflow.url, user.api_key, sent, { name, type });
      expect(kept).toMatchObject({ status: 201, body: { name, media_type, size: sent.length } });
      expect(kept.body.sha256).toBe(createHash('sha256').update(sent).digest('hex'));
      expect((await user.get(`/files/${kept.body.file_id}`)).body).toEqual(kept.body);
      const given = await content(kept.body.file_id);
      expect(Object.fromEntries(given.headers)).toMatchObject({
        'content-type': 'application/octet-stream',
        'content-length': String(sent.length),
        'content-disposition': `attachment; filename*=UTF-8''${disposition}`,
        'content-security-policy': "default-src 'none'; sandbox",
        'x-content-type-options': 'nosniff',
      });
      expect(Buffer.from(await given.arrayBuffer()).equals(sent)).toBe(true);
      const head = await send(orchflow.url, 'HEAD', `/api/v1/files/${kept.body.file_id}/content`, {
        'x-api-key': user.api_key,
      });
      expect([head.status, head.headers.get('content-length')]).toEqual([200, String(sent.length)]);
    }
  });

  test('one of 25 MiB is kept; of one with a byte more nothing is', async () => {
    const most = Buffer.alloc(maxFileBytes, 'orchflow');
    const { body } = await upload(orchflow.url, user.api_key, most);
    expect(body).toMatchObject({ size: maxFileBytes, sha256: createHash('sha256').update(most).digest('hex') });
    expect(Buffer.from(await (await content(body.file_id)).arrayBuffer()).equals(most)).toBe(true);

    const before = await store.keys(orchflow.env);
    const more = await upload(orchflow.url, user.api_key, Buffer.concat([most, Buffer.from('!')]));
    expectProblem(more, { status: 413, code: 'FILE_TOO_LARGE' });
    const unannounced = formOf(filePart('x'.repeat(maxFileBytes + 1)));
    const chunked = new Blob([unannounced.body]).stream();
    const headers = { 'x-api-key': user.api_key, ...unannounced.headers };
    expectProblem(await send(orchflow.url, 'POST', '/api/v1/files', headers, chunked), {
      status: 413,
      code: 'FILE_TOO_LARGE',
    });
    expect(await store.keys(orchflow.env)).toEqual(before);
    expect((await user.get('/files')).body.files).toMatchObject([{ file_id: body.file_id }]);
  });

  test('one that is deleted is gone from the store, and is not found', async () => {
    const { file_id } = (await upload(orchflow.url, user.api_key, 'Mine.')).body;
    expect(await store.keys(orchflow.env)).toContain(file_id);
    const deleted = { status: 200, body: { file_id, status: 'deleted', message: 'File deleted.' } };
    expect(await user.delete(`/files/${file_id}`)).toMatchObject(deleted);
    await until(async () => !(await store.keys(orchflow.env)).includes(file_id), 'it is out of the store');
    for (const gone of [
      await user.get(`/files/${file_id}`),
      await user.get(`/files/${file_id}/content`),
      await user.delete(`/files/${file_id}`),
    ]) {
      expectProblem(gone, { status: 404, code: 'NOT_FOUND', detail: 'File not found.' });
    }
    await until(async () => {
      const left = orchflow.db.selectFrom('files').select('file_id').where('file_id', '=', file_id);
      return (await left.execute()).length === 0;
    }, 'nothing is left of it');
  });

  test('an upload that is made again with its key gets the file that it made before; with another file 422', async () => {
    const headers = { 'idempotency-key': 'the-first' };
    const [one, two] = await Promise.all([1, 2].map(() => upload(orchflow.url, user.api_key, 'Once.', { headers })));
    expect([one!.status, two!.body]).toEqual([201, one!.body]);
    expect((await upload(orchflow.url, user.api_key, 'Once.', { headers })).body).toEqual(one!.body);
    expect((await user.get('/files')).body.files).toHaveLength(1);
    const other = await upload(orchflow.url, user.api_key, 'Twice.', { headers });
    expectProblem(other, { status: 422, code: 'FILE_REQUEST_REUSED' });
    const neighbour = await orchflow.register();
    expect((await upload(orchflow.url, neighbour.api_key, 'Twice.', { headers })).status).toBe(201);
    const keys = await store.keys(orchflow.env);
    const rows = await orchflow.db.selectFrom('files').select('file_id').execute();
    expect(new Set(keys)).toEqual(new Set(rows.map(({ file_id }) => file_id)));
  });
});

describe('what is sent', () => {
  let orchflow: Orchflow;
  let user: User;
  const bounds = { MAX_FILES_PER_ACCOUNT: '3', MAX_FILE_BYTES_PER_ACCOUNT: '1000', MAX_UPLOADS_PER_ACCOUNT: '2' };

  beforeAll(async () => {
    orchflow = await startOrchflow({ environment: bounds, worker: false });
  });
  afterAll(() => orchflow.stop());
  beforeEach(async () => {
    user = await orchflow.register();
  });

  const post = ({ body, headers }: { body: string; headers: Record<string, string> }) =>
    send(orchflow.url, 'POST', '/api/v1/files', { 'x-api-key': user.api_key, ...headers }, body);
  const left = async () => [
    await inFolder('incoming')(orchflow.env),
    await orchflow.db.selectFrom('files').select('file_id').where('status', '<>', 'stored').execute(),
  ];

  const field = 'Content-Disposition: form-data; name="note"\r\n\r\nHello';
  const refused: [what: string, form: ReturnType<typeof formOf>, pointer: string, detail: string][] = [
    ['nothing', formOf(), '/file', 'is required'],
    ['two files', formOf(filePart('a'), filePart('b')), '/file', 'must be one file; send each in a request of its own'],
    ['another field after it', formOf(filePart('a'), field), '/note', 'is not a field of this request'],
    ['another field before it', formOf(field, filePart('a')), '/note', 'is not a field of this request'],
    [
      'a file under another name',
      formOf(filePart('a', 'a.txt', 'files[]')),
      '/files[]',
      'is not a field of this request',
    ],
    ['a text in its place', formOf(field.replace('note', 'file')), '/file', 'must have a filename'],
    ['one whose name is empty', formOf(filePart('a', ' ')), '/file', 'its name must not be empty'],
    [
      'one whose name is long',
      formOf(filePart('a', 'x'.repeat(256))),
      '/file',
      'its name must be at most 255 characters',
    ],
    [
      'one whose name has two lines',
      formOf(filePart('a', 'a%0Ab\tc')),
      '/file',
      'its name must be one line, without control characters',
    ],
    [
      'a form that ends in the middle',
      { ...formOf(filePart('a')), body: formOf(filePart('a')).body.slice(0, -9) },
      '',
      'is not whole multipart/form-data',
    ],
  ];
  test.each(refused)('%s is refused, and leaves nothing', async (__, form, pointer, detail) => {
    const answer = await post(form);
    expectFault(answer, pointer);
    expect(answer.body.errors[0].detail).toBe(detail);
    expect((await user.get('/files')).body.files).toEqual([]);
    expect(await left()).toEqual([[], []]);
  });

  test.each(['application/json', 'multipart/form-data', 'text/plain', ''])('%j is no form', async (type) => {
    const answer = await post({ body: '{}', headers: { 'content-type': type } });
    expectProblem(answer, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' });
  });

  test('no name of a file leads anywhere', async () => {
    const { status, body } = await post(formOf(filePart('a', '../../../../etc/passwd')));
    expect([status, body.name]).toEqual([201, 'passwd']);
    expect(await inFolder('stored')(orchflow.env)).toContain(body.file_id);
  });

  test('a client that hangs up leaves nothing, and nobody else is cut', async () => {
    const { hostname, port } = new URL(orchflow.url);
    const socket = connect(Number(port), hostname);
    const { body } = formOf(filePart('x'.repeat(100_000)));
    const head = ['POST /api/v1/files HTTP/1.1', `Host: ${hostname}`, `X-API-Key: ${user.api_key}`];
    const type = ['Content-Type: multipart/form-data; boundary=cut', `Content-Length: ${body.length}`];
    socket.write(`${[...head, ...type].join('\r\n')}\r\n\r\n${body.slice(0, 80_000)}`);
    await until(async () => (await inFolder('incoming')(orchflow.env)).length === 1, 'it comes in');
    socket.destroy();
    await until(async () => (await inFolder('incoming')(orchflow.env)).length === 0, 'it is discarded');
    expect((await upload(orchflow.url, user.api_key, 'a')).status).toBe(201);
    expect(await left()).toEqual([[], []]);
  });

  test('an account has so many files, and so many bytes, and says which; of many at once none is too many', async () => {
    const sizes = await Promise.all([1, 2].map(() => upload(orchflow.url, user.api_key, 'x'.repeat(600))));
    expect(new Set(sizes.map(({ status }) => status))).toEqual(new Set([201, 429]));
    expectProblem(
      sizes.find(({ status }) => status === 429)!,
      {
        status: 429,
        code: 'LIMIT_REACHED',
        detail:
          'The files of this account, and the code of its agents, may have 1000 bytes together, and have 600: there is no room for 600 more. Delete some.',
      },
    );
    for (const text of ['b', 'c']) expect((await upload(orchflow.url, user.api_key, text)).status).toBe(201);
    const detail = 'This account has 3 files, and may have no more. Delete some.';
    expectProblem(await upload(orchflow.url, user.api_key, 'd'), { status: 429, code: 'LIMIT_REACHED', detail });

    const { files } = (await user.get('/files')).body;
    await user.delete(`/files/${files[0].file_id}`);
    expect((await upload(orchflow.url, user.api_key, 'd')).status).toBe(201);
    expect(await left()).toEqual([[], []]);
  });

  test('so many are sent at once, and no more', async () => {
    const slow = [1, 2].map(() => {
      const { readable, writable } = new TransformStream<string, string>();
      const writer = writable.getWriter();
      const form = formOf(filePart('slow'));
      const headers = { 'x-api-key': user.api_key, ...form.headers };
      const bytes = readable.pipeThrough(new TextEncoderStream());
      void writer.write(form.body.slice(0, -10));
      const end = () => writer.write(form.body.slice(-10)).then(() => writer.close());
      return { end, answer: send(orchflow.url, 'POST', '/api/v1/files', headers, bytes) };
    });
    await until(async () => (await inFolder('incoming')(orchflow.env)).length === 2, 'two come in');
    const detail = 'This account sends 2 files at once, and may send no more. Try again when one has come.';
    expectProblem(await upload(orchflow.url, user.api_key, 'a'), { status: 429, code: 'LIMIT_REACHED', detail });
    for (const { end, answer } of slow) {
      await end();
      expect((await answer).status).toBe(201);
    }
  });

  test('lists have pages, newest first', async () => {
    const ids: string[] = [];
    for (const text of ['a', 'b', 'c']) ids.unshift((await upload(orchflow.url, user.api_key, text)).body.file_id);
    const first = (await user.get('/files?limit=2')).body;
    const second = (await user.get(`/files?limit=2&cursor=${first.next_cursor}`)).body;
    expect([...first.files, ...second.files].map(({ file_id }) => file_id)).toEqual(ids);
    expect([first.has_more, second.has_more, second.next_cursor]).toEqual([true, false, null]);
    expectFault(await user.get('/files?cursor=x'), '/cursor');
  });
});
