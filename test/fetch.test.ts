import dns from 'node:dns';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { isPublicAddress, isWithin, parseCidr } from '../src/fetch/addresses.ts';
import { createGuardedFetch, EgressBlockedError } from '../src/fetch/index.ts';
import { localFetch } from './fakes/ask.ts';

let answer: RequestListener;
let connections = 0;
const server = createServer((request, response) => answer(request, response));
server.on('connection', () => (connections += 1));
let port: number;
beforeAll(async () => {
  // On both families, so that every spelling of "this machine" would be heard.
  await new Promise<void>((resolve) => server.listen(0, '::', resolve));
  port = (server.address() as AddressInfo).port;
});
let guarded: ReturnType<typeof createGuardedFetch>;
beforeEach(() => {
  connections = 0;
  answer = (_, response) => response.end('reached');
  guarded = localFetch({ allowedPrivateCidrs: [] });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await guarded.close();
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const BLOCKED_HOSTS = `
  127.0.0.1 127.1 2130706433 0x7f.1 0x7f000001 0177.0.0.1 0 0.0.0.0 ①②⑦.⓪.⓪.① localhost LOCALHOST
  [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [::ffff:0:7f00:1] [64:ff9b::7f00:1] [64:ff9b:1::1]
  [2002:7f00:1::] [2001:0:7f00:1::1] [fd00::1] [fe80::1] [fec0::1] [ff02::1] [2001:db8::1] [100::1] [3fff::1]
  169.254.169.254 100.64.0.1 10.0.0.1 172.16.0.1 192.168.1.1 192.0.0.192 198.18.0.1 192.0.2.1 203.0.113.1 224.0.0.1
  240.0.0.1 255.255.255.255`;

test.each(BLOCKED_HOSTS.trim().split(/\s+/))('%s is not reached', async (host) => {
  await expect(guarded.fetch(`http://${host}:${port}/`)).rejects.toBeInstanceOf(EgressBlockedError);
  expect(connections).toBe(0);
});

test.each([
  ['8.8.8.8', true],
  ['2606:4700::1111', true],
  ['::ffff:8.8.8.8', true],
  ['::808:808', false],
  ['2606:4700::1111%eth0', false],
  ['not an address', false],
  // Where Azure's machines ask for what is theirs.
  ['168.63.129.16', false],
])('%s is public: %s', (address, isPublic) => {
  expect(isPublicAddress(address)).toBe(isPublic);
});

test.each([
  'file:///etc/passwd',
  'ftp://example.com/',
  'data:text/plain,hi',
  'blob:https://example.com/1',
  'ws://example.com',
])('%s is not http', async (url) => {
  await expect(guarded.fetch(url)).rejects.toBeInstanceOf(EgressBlockedError);
});

test.each(['http://user@example.com/', 'http://:secret@example.com/'])('%s carries credentials', async (url) => {
  const error: unknown = await guarded.fetch(url).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(EgressBlockedError);
  expect(String(error)).not.toContain('secret');
});

/** Makes every name resolve to these addresses, one list for each look-up, the last one for ever. */
function stubDns(...answers: string[][]) {
  return vi.spyOn(dns, 'lookup').mockImplementation(((_name: string, _options: object, callback: Function) => {
    const addresses = answers.length > 1 ? answers.shift()! : answers[0]!;
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  }) as never);
}

test('a name with one private address among public ones is blocked', async () => {
  stubDns(['8.8.8.8', '127.0.0.1']);
  await expect(guarded.fetch(`http://rebind.test:${port}/`)).rejects.toThrow(/^rebind\.test is not a public address\./);
  expect(connections).toBe(0);
});

test('the address that was checked is the one connected to, so a second answer of the DNS is of no use', async () => {
  const allowed = localFetch({ allowedPrivateCidrs: ['127.0.0.0/8'] });
  const lookup = stubDns(['127.0.0.1'], ['10.0.0.1']);
  expect(await (await allowed.fetch(`http://rebind.test:${port}/`)).text()).toBe('reached');
  expect(lookup).toHaveBeenCalledTimes(1);
  await allowed.close();
});

test.each([
  ['127.0.0.0/8', '127.0.0.1', true],
  ['127.0.0.0/8', '[::ffff:127.0.0.1]', true],
  ['127.0.0.0/8', '[::1]', false],
  ['::1/128', '[::1]', true],
  ['::1/128', '127.0.0.1', false],
  ['10.0.0.0/8', '127.0.0.1', false],
])('the range %s lets %s in: %s', async (cidr, host, reached) => {
  const allowed = localFetch({ allowedPrivateCidrs: [cidr] });
  const call = allowed.fetch(`http://${host}:${port}/`).then((response) => response.text());
  await (reached ? expect(call).resolves.toBe('reached') : expect(call).rejects.toBeInstanceOf(EgressBlockedError));
  await allowed.close();
});

test.each<[cidrs: string[], address: string, isOpen: boolean]>([
  [['10.0.0.0/8'], '10.1.2.3', true],
  [['0.0.0.0/0', '::/0'], '192.168.1.7', true],
  [['0.0.0.0/0', '::/0'], '169.254.169.254', false],
  [['169.254.0.0/16'], '169.254.169.254', false],
  [['169.254.169.254/32'], '169.254.169.254', true],
  [['169.254.169.254/32'], '::ffff:169.254.169.254', true],
  [['169.254.169.254/32'], '169.254.170.2', false],
  [['100.64.0.0/10'], '100.100.100.200', false],
  [['100.64.0.0/10'], '100.64.0.1', true],
  [['fc00::/7'], 'fd00:ec2::254', false],
  [['fd00:ec2::254/128'], 'fd00:ec2::254', true],
  [['fc00::/7'], 'fd00::1', true],
])('the ranges %s open %s: %s, for a metadata address must be named itself', (cidrs, address, isOpen) => {
  expect(isWithin(address, cidrs.map(parseCidr))).toBe(isOpen);
});

describe('an origin of the operator', () => {
  test.each<[ownOrigin: string, url: string, reached: boolean]>([
    ['http://127.0.0.1:PORT', 'http://127.0.0.1:PORT/a?b', true],
    ['http://own.test:PORT', 'http://own.test:PORT/', true],
    ['http://own.test:PORT', 'http://OWN.test:PORT/', true],
    ['http://own.test:PORT', 'http://127.0.0.1:PORT/', false],
    ['http://own.test:PORT', 'http://other.own.test:PORT/', false],
    ['http://own.test', 'http://own.test:PORT/', false],
    ['https://own.test:PORT', 'http://own.test:PORT/', false],
  ])('%s lets %s be called: %s', async (origin, url, reached) => {
    stubDns(['127.0.0.1']);
    const at = (text: string) => text.replace('PORT', String(port));
    const own = localFetch({ allowedPrivateCidrs: [], ownOrigins: [at(origin)] });
    const call = own.fetch(at(url)).then((response) => response.text());
    await (reached ? expect(call).resolves.toBe('reached') : expect(call).rejects.toBeInstanceOf(EgressBlockedError));
    await own.close();
  });
});

test.each(['127.0.0.1', 'nonsense', '10.0.0.0/99'])('%s is not a range', (cidr) => {
  expect(() => localFetch({ allowedPrivateCidrs: [cidr] })).toThrow(`"${cidr}" is not a CIDR`);
});

test.each([300, 301, 302, 303, 307, 308])('a %i is an error with its status, and is not followed', async (status) => {
  const local = localFetch();
  let hits = 0;
  answer = (_, response) => {
    hits += 1;
    response.writeHead(status, { location: '/again' }).end('body');
  };
  await expect(local.fetch(`http://127.0.0.1:${port}/`)).rejects.toMatchObject({ name: 'EgressBlockedError', status });
  expect(hits).toBe(1);
  await local.close();
});

test('a body is cut off at the cap, counted after decompression', async () => {
  const local = localFetch({ max_body_bytes: 1000 });
  const bomb = gzipSync(Buffer.alloc(1_000_000));
  expect(bomb.length).toBeLessThan(1000 + 500);
  answer = ({ url }, response) => {
    if (url === '/bomb') response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
    else response.end('x'.repeat(url === '/fits' ? 1000 : 1001));
  };
  const read = async (path: string) => (await local.fetch(`http://127.0.0.1:${port}${path}`)).text();
  expect(await read('/fits')).toHaveLength(1000);
  await expect(read('/large')).rejects.toMatchObject({ name: 'BodyTooLargeError' });
  await expect(read('/bomb')).rejects.toMatchObject({ name: 'BodyTooLargeError' });
  await local.close();
});

test('status, headers, method and body pass through', async () => {
  const local = localFetch();
  answer = async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    response.writeHead(418, { 'x-seen': `${request.method} ${String(request.headers['x-key'])} ${body}` }).end('tea');
  };
  const response = await local.fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: { 'x-key': 'k' },
    body: 'b',
  });
  expect([response.status, response.headers.get('x-seen'), await response.text()]).toEqual([418, 'POST k b', 'tea']);
  await local.close();
});
