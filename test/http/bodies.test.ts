import { connect } from 'node:net';
import { promisify } from 'node:util';
import { brotliCompress, deflate, gzip } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';
import { countRows } from '../harness/rows.ts';

/** Bodies as clients, proxies and no-code tools send them: what is read is read as it was meant, the rest is refused. */

let orchflow: Orchflow;
let user: User;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
  user = await orchflow.register();
});
afterAll(() => orchflow.stop());

const json = 'application/json';
const mebibyte = 1024 * 1024;
const goal = (task: string) => JSON.stringify({ task });

function post(body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}, path = '/api/v1/runs') {
  const all = { 'x-api-key': user.api_key, 'content-type': json, ...headers };
  return send(orchflow.url, 'POST', path, all, new Blob([body], { type: '' }));
}

const bytes = (text: string, encoding: BufferEncoding) => Buffer.from(text, encoding) as Uint8Array<ArrayBuffer>;

describe('text', () => {
  const refused: [what: string, body: Uint8Array<ArrayBuffer>, charset: string, status: 415 | 422][] = [
    ['windows-1252, and says so', bytes(goal('München'), 'latin1'), '; charset=windows-1252', 415],
    ['latin1, in quotes', bytes(goal('München'), 'latin1'), '; charset="ISO-8859-1"', 415],
    ['UTF-16, and says so', bytes(goal('München'), 'utf16le'), ';charset=utf-16', 415],
    ['latin1, and does not say so', bytes(goal('München'), 'latin1'), '', 422],
    ['latin1 that is called UTF-8', bytes(goal('München'), 'latin1'), '; charset=utf-8', 422],
    ['cut in the middle of a character', bytes(goal('München'), 'utf8').subarray(0, 12), '', 422],
    ['half of a surrogate pair, as bytes', bytes('7b22ed a080 227d'.replaceAll(' ', ''), 'hex'), '', 422],
    ['UTF-16, and does not say so', bytes(goal('München'), 'utf16le'), '', 422],
  ];
  test.each(refused)('%s, is refused', async (_, body, charset, status) => {
    const before = await countRows(orchflow.db);
    for (const path of ['/api/v1/runs', '/api/v1/auth/register', '/api/v1/orchestrations/orch-research-report/run']) {
      const answer = await post(body, { 'content-type': json + charset }, path);
      if (status === 415) expectProblem(answer, { status, code: 'UNSUPPORTED_MEDIA_TYPE' });
      else expectFault(answer, '');
    }
    expect(await countRows(orchflow.db)).toEqual(before);
  });

  const taken: [what: string, body: Uint8Array<ArrayBuffer>, charset: string][] = [
    ['UTF-8', bytes(goal('München € 😀'), 'utf8'), ''],
    ['UTF-8 that is called so', bytes(goal('München € 😀'), 'utf8'), '; charset=UTF-8'],
    ['UTF-8 in quotes, beside another parameter', bytes(goal('München € 😀'), 'utf8'), '; v=1; charset="utf8"'],
    ['a byte order mark before it', bytes(`\uFEFF${goal('München € 😀')}`, 'utf8'), ''],
    ['a replacement character that was sent', bytes(goal('München € 😀 \uFFFD'), 'utf8'), ''],
  ];
  test.each(taken)('%s, is kept as it was sent', async (_, body, charset) => {
    for (const more of [{} as Record<string, string>, { 'idempotency-key': `key-${_.length}` }]) {
      const { status, body: started } = await post(body, { 'content-type': json + charset, ...more });
      expect(status, JSON.stringify(started)).toBe(201);
      expect((await user.get(`/runs/${started.run_id}`)).body.task).toMatch(/^München € 😀( \uFFFD)?$/);
    }
  });
});

describe('an encoding', () => {
  const encoders = { gzip: promisify(gzip), deflate: promisify(deflate), br: promisify(brotliCompress) };
  test.each(Object.entries(encoders))('%s is refused, with what is taken', async (encoding, encode) => {
    const body = new Uint8Array(await encode(goal('Plain.')));
    const answer = await post(body, { 'content-encoding': encoding });
    expectProblem(answer, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' });
    expect(answer.headers.get('accept-encoding')).toBe('identity');
  });

  test('identity is none', async () => {
    expect((await post(goal('Plain.') as string, { 'content-encoding': 'identity' })).status).toBe(201);
  });
});

test('a number that would be another one once it is read is refused, and where it stands is named', async () => {
  const long = '{"task": "x", "labels": {"a/b": [9007199254740992, 1.5e3, 0.1, 9007199254740993], "far": 1e400}}';
  const detail = 'must be a number that is not rounded: send it as a text';
  const errors = ['/labels/a~1b/3', '/labels/far'].map((pointer) => ({ pointer, detail }));
  expectProblem(await post(long), { status: 422, code: 'VALIDATION_FAILED', errors });
});

type Said = { statuses: string[]; closes: boolean };

/** Writes all of it, reads nothing before that, and resolves with what was said by the end of the last answer. */
async function writeAll(head: string[], body: Buffer, then = ''): Promise<Said> {
  const socket = connect(Number(new URL(orchflow.url).port), '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  const headers = ['Host: x', `X-API-Key: ${user.api_key}`, ...head.slice(1)];
  socket.write(`POST ${head[0]} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
  const { promise: written, resolve } = Promise.withResolvers<void>();
  socket.write(body, () => resolve());
  socket.once('close', () => resolve());
  await written;
  socket.write(then);
  let said = '';
  const statuses = () => [...said.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status!);
  for await (const chunk of socket.resume()) {
    said += chunk;
    if (statuses().length === (then ? 2 : 1) && /\r\n\r\n.*\}$/s.test(said)) break;
  }
  return { statuses: statuses(), closes: /^connection: close/im.test(said) };
}

describe('a client that sends all before it reads', () => {
  const large = Buffer.alloc(8 * mebibyte, 'x');
  const framed = (body: Buffer) =>
    Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]);
  const length = (body: Buffer) => `Content-Length: ${body.length}`;
  const runs = '/api/v1/runs';
  const refusals: [what: string, status: string, head: string[], body: Buffer][] = [
    ['too large', '413', [runs, length(large), 'Content-Type: application/json'], large],
    [
      'too large, in chunks',
      '413',
      [runs, 'Transfer-Encoding: chunked', 'Content-Type: application/json'],
      framed(large),
    ],
    [
      'no JSON',
      '415',
      [runs, length(large.subarray(0, mebibyte)), 'Content-Type: text/plain'],
      large.subarray(0, mebibyte),
    ],
    ['to nowhere', '404', ['/nowhere', length(large)], large],
    ['to what takes no POST', '405', ['/health', length(large)], large],
  ];
  test.each(refusals)('reads that it is %s (%s), and may ask again on that line', async (_, status, head, body) => {
    const next = `GET /api/v1/agents/templates HTTP/1.1\r\nHost: x\r\n\r\n`;
    expect(await writeAll(head, body, next)).toEqual({ statuses: [status, '200'], closes: false });
  });

  test('is told that the line closes when there is no end of it', async () => {
    const endless = [runs, 'Content-Length: 1000000000', 'Content-Type: application/json'];
    expect(await writeAll(endless, Buffer.alloc(16 * mebibyte + 1, 'x'))).toEqual({ statuses: ['413'], closes: true });
  });

  test('is let in without a key no further', async () => {
    const answer = await send(orchflow.url, 'POST', runs, { 'content-type': json }, 'x'.repeat(700_000));
    expectProblem(answer, { status: 401, code: 'UNAUTHORIZED' });
  });
});

describe('a body that does not say how long it is, and is too long', () => {
  const headers = { 'content-type': json };
  const stream = () => new Blob([new Uint8Array(8 * mebibyte)]).stream();
  const keyed = ['/api/v1/runs', '/v1/agents', '/agents', '/acme/agent/v1/run'];
  test.each(keyed)('is counted only once it is known whose it is: %s', async (path) => {
    expect((await send(orchflow.url, 'POST', path, headers, stream())).status).toBe(401);
    const own = { ...headers, 'x-api-key': user.api_key };
    expect((await send(orchflow.url, 'POST', path, own, stream())).status).toBe(413);
  });

  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  test.each([
    ['/api/v1/auth/register', headers],
    ['/v1/oauth/token', form],
    ['/v1/oauth/revoke', form],
  ])('is refused where no key is needed: %s', async (path, sent) => {
    expect((await send(orchflow.url, 'POST', path, sent, stream())).status).toBe(413);
  });
});

/** The beginning of the answer to a GET with a body, which `fetch` does not send. */
async function getWithBody(path: string, type: string): Promise<string> {
  const socket = connect(Number(new URL(orchflow.url).port), '127.0.0.1');
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.once('data', (chunk: Buffer) => resolve(chunk.toString()));
  const lines = ['Host: x', `X-API-Key: ${user.api_key}`, `Content-Type: ${type}`, 'Transfer-Encoding: chunked'];
  socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n2\r\n{}\r\n0\r\n\r\n`);
  return promise.finally(() => socket.destroy());
}

test('a body in chunks is read as any other, and one of a GET is no matter', async () => {
  const headers = { 'x-api-key': user.api_key, 'content-type': json };
  const stream = () => new Blob([goal('In chunks, für alle.')]).stream();
  const started = await send(orchflow.url, 'POST', '/api/v1/runs', { ...headers, 'idempotency-key': 'c' }, stream());
  expect(started.status).toBe(201);
  expect((await user.get(`/runs/${started.body.run_id}`)).body.task).toBe('In chunks, für alle.');
  expect(await getWithBody('/api/v1/runs', json)).toMatch(/^HTTP\/1\.1 200 /);
  const form = 'multipart/form-data; boundary=x';
  expect(await getWithBody('/v1/knowledge/unknown/upload', form)).toMatch(/^HTTP\/1\.1 405 /);
});
