import { createServer as createHttpServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { expect, test } from 'vitest';
import { describeNoAnswer, whyNoAnswer } from '../../src/fetch/index.ts';
import { localFetch } from '../fakes/ask.ts';
import * as certificate from '../fakes/certificate.ts';
import { until } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/** Which failure it was that a webhook had no answer. */

const story = useStory();

const servers: Record<string, (() => Server) | undefined> = {
  closed: undefined,
  http: () => createHttpServer((_, response) => response.end()),
  tls: () => createTlsServer(certificate, (_, response) => response.end()),
  'hangs up': () => createServer((socket) => socket.destroy()),
  'no http': () => createServer((socket) => socket.end('220 mail.example.com ESMTP\r\n')),
};

async function listen(kind: string): Promise<{ port: number; close: () => void }> {
  const server = servers[kind]?.() ?? createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  if (!servers[kind]) await new Promise((resolve) => server.close(resolve));
  return { port, close: () => void server.close() };
}

test.each([
  ['closed', 'http://127.0.0.1:PORT/x', /the connection was refused \(ECONNREFUSED\)$/],
  ['http', 'https://127.0.0.1:PORT/x', /it does not speak TLS there; is it http\? \(ERR_SSL_\w+\)$/],
  ['tls', 'https://127.0.0.1:PORT/x', /its certificate is self-signed \(DEPTH_ZERO_SELF_SIGNED_CERT\)$/],
  ['tls', 'http://127.0.0.1:PORT/x', /the connection was closed before the whole answer \(\w+\)$/],
  ['hangs up', 'http://127.0.0.1:PORT/x', /the connection was closed before the whole answer \(\w+\)$/],
  ['no http', 'http://127.0.0.1:PORT/x', /what it sent is not HTTP$/],
  [
    'closed',
    'http://no-such-host.invalid/x',
    /there is no such host \(ENOTFOUND\)$|could not be looked up \(EAI_AGAIN\)$/,
  ],
])('a server that is %s, asked at %s, is told in the log, with no address', async (kind, url, words) => {
  const { port, close } = await listen(kind);
  const run = await story.start({}, { webhook_url: url.replace('PORT', String(port)) });
  const log = async () => (await story.user.get(`/webhooks/deliveries?run_id=${run.run_id}`)).body.deliveries;
  await until(async () => (await log())[0]?.last_response, 'the first attempt');
  const [{ last_response, status }] = await log();
  expect(last_response).toMatch(words);
  expect(last_response).toMatch(/^no answer from the endpoint: [^0-9]*$/);
  expect(status).toBe('pending');
  close();
});

test('an endpoint that says nothing took too long', async () => {
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { fetch, close: hangUp } = localFetch();
  const { port: silentPort } = silent.address() as AddressInfo;
  const answer = fetch(`http://127.0.0.1:${silentPort}`, { signal: AbortSignal.timeout(50) });
  const error = await answer.catch((thrown: unknown) => thrown);
  expect(describeNoAnswer(error)).toBe('it took too long');
  expect(describeNoAnswer(error, 15_000)).toBe('it took longer than 15 seconds');
  await hangUp();
  silent.close();
});

test.each([
  [new Error('connect to 10.0.0.7:443'), 'the request failed'],
  [Object.assign(new Error('x'), { code: 'at 10.0.0.7' }), 'the request failed'],
  [Object.assign(new Error('x'), { code: 'CERT_HAS_EXPIRED' }), 'its certificate has expired (CERT_HAS_EXPIRED)'],
  [
    new TypeError('x', { cause: new AggregateError([Object.assign(new Error(), { code: 'ENETUNREACH' })]) }),
    'the host cannot be reached (ENETUNREACH)',
  ],
  ['a text', 'the request failed'],
])('%s is told as: %s', (error, words) => {
  expect(describeNoAnswer(error)).toBe(words);
});

test.each([
  [new Error('connect EACCES 10.0.0.7:443'), { code: 'EACCES', address: '10.0.0.7' }, 'the request failed (EACCES)'],
  [
    new AggregateError([Object.assign(new Error(), { code: 'EPERM', address: '::1' })]),
    {},
    'the request failed (EPERM)',
  ],
  [
    new Error('getaddrinfo EOTHER a.internal'),
    { code: 'EOTHER', hostname: 'a.internal' },
    'the request failed (EOTHER)',
  ],
  // No address is in it: whoever asks may tell it as it is.
  [new Error('spawn uvx ENOENT'), { code: 'ENOENT', syscall: 'spawn uvx' }, undefined],
])('%s, of which nothing else is known, is told without its address', (error, more, words) => {
  expect(whyNoAnswer(new TypeError('fetch failed', { cause: Object.assign(error, more) }))).toBe(words);
});
