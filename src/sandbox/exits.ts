import { chmod } from 'node:fs/promises';
import {
  createServer as createHttpServer,
  request,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { connect, type AddressInfo, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { pipeline } from 'node:stream';
import { EgressBlockedError, type GuardedConnect } from '../fetch/index.ts';
import type { Job } from './job.ts';

/**
 * What leads out of a sandbox that has no network: unix sockets of the worker, one to the house's own API, and one to a proxy that
 * calls the hosts that both the code and the operator have named, where they are public.
 */

export type Network = {
  /** The house's own API, as workers reach it. */
  gateway: { host: string; port: number };
  /** Hosts that the operator allows: `api.example.com`, `*.example.com`, `*`; with a port only that, and else 80 and 443. */
  allowed: string[];
  connect: GuardedConnect;
};

export type Exit = {
  name: keyof typeof insidePorts;
  /** A path, or a port of 127.0.0.1. */
  at: string | number;
};

/** Of 127.0.0.1, inside a jail. */
export const insidePorts = { gateway: 8000, proxy: 8001 };
const mostConnections = 100;
const webPorts = [80, 443];

/**
 * Opens what the job needs: sockets in `folder`, or without one ports of 127.0.0.1, for what has the network of this machine.
 * `close` hangs up on everything.
 */
export async function openExits(
  network: Network,
  { gateway, hosts = [] }: Pick<Job, 'gateway' | 'hosts'>,
  folder?: string,
): Promise<{ exits: Exit[]; close: () => Promise<void> }> {
  const open: { server: Server; living: Set<Socket> }[] = [];
  const exits: Exit[] = [];

  async function add(name: Exit['name'], server: Server): Promise<void> {
    const living = new Set<Socket>();
    server.maxConnections = mostConnections;
    server.on('connection', (one: Socket) => {
      living.add(one);
      one.once('close', () => living.delete(one));
    });
    open.push({ server, living });
    const socket = folder && path.join(folder, name);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      if (socket) server.listen(socket, resolve);
      else server.listen(0, '127.0.0.1', resolve);
    });
    // The folder is what keeps others out.
    if (socket) await chmod(socket, 0o666);
    exits.push({ name, at: socket ?? (server.address() as AddressInfo).port });
  }

  async function close(): Promise<void> {
    for (const { server, living } of open) {
      for (const one of living) one.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  try {
    if (gateway) await add('gateway', toGateway(network, gateway));
    if (hosts.length > 0 && network.allowed.length > 0) await add('proxy', toHosts(network, hosts));
    return { exits, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** How a program finds the exits, by the port that each has for it. */
export function exitEnvironment(exits: { name: Exit['name']; port: number }[]): Record<string, string> {
  const environments = exits.map(({ name, port }) => {
    const url = `http://127.0.0.1:${port}`;
    if (name === 'gateway') return { ORCHAGENT_GATEWAY_URL: url, ORCHAGENT_API_URL: url };
    const own = '127.0.0.1,localhost';
    return { HTTP_PROXY: url, HTTPS_PROXY: url, NO_PROXY: own, http_proxy: url, https_proxy: url, no_proxy: own };
  });
  return Object.assign({}, ...environments) as Record<string, string>;
}

/** Whether one of these, which are hosts or patterns of hosts, means this port of a host. */
function names(patterns: string[], name: string, port: number): boolean {
  return patterns.some((pattern) => fits(pattern, name) && portsOf(pattern).includes(port));
}

function fits(pattern: string, name: string): boolean {
  const wanted = nameOf(pattern);
  if (wanted === '*') return true;
  return wanted.startsWith('*.') ? name.endsWith(wanted.slice(1)) : name === wanted;
}

function portsOf(host: string): number[] {
  const [, port] = /:(\d+)$/.exec(host) ?? [];
  return port === undefined ? webPorts : [Number(port)];
}

function nameOf(host: string): string {
  return host.toLowerCase().replace(/:\d+$/, '');
}

/** Whatever key is sent along, it is that of the run which is asked with: another account is a way out as any other. */
function toGateway({ gateway: { host, port } }: Network, { key, passes }: NonNullable<Job['gateway']>): Server {
  return createHttpServer((asked, answer) => {
    const url = URL.parse(asked.url ?? '', 'http://gateway');
    if (url?.host !== 'gateway' || !passes(asked.method!, url.pathname)) {
      return refuse(answer, 403, 'Code may call agents here, and read the runs of its own chain of calls.');
    }
    const { 'x-api-key': _, ...headers } = asked.headers;
    const sent = { ...headers, authorization: `Bearer ${key}`, host: `${host}:${port}` };
    pass(asked, answer, { path: url.pathname + url.search, headers: sent }, () => connect({ host, port }));
  });
}

function join(inner: Socket, outer: Socket): void {
  const end = () => {
    inner.destroy();
    outer.destroy();
  };
  pipeline(inner, outer, (error) => error && end());
  pipeline(outer, inner, (error) => error && end());
  inner.once('close', end);
}

/** A proxy as `HTTPS_PROXY` means it: CONNECT, and whole URLs of http. */
function toHosts({ connect: reach, allowed }: Network, hosts: string[]): Server {
  const mayCall = (name: string, port: number) => names(hosts, name, port) && names(allowed, name, port);

  const server = createHttpServer((asked, answer) => {
    const url = URL.parse(asked.url ?? '');
    if (url?.protocol !== 'http:') return refuse(answer, 400, 'A whole http: URL is expected.');
    const port = Number(url.port || 80);
    const name = url.hostname.replace(/^\[|\]$/g, '');
    if (!mayCall(name, port)) return refuse(answer, 403, notNamed(url.host));
    const path = url.pathname + url.search;
    pass(asked, answer, { path, headers: { ...asked.headers, host: url.host } }, () => reach(name, port));
  });
  server.on('connect', (asked: IncomingMessage, inner: Socket, head: Buffer) => {
    const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(asked.url ?? '') ?? [];
    const name = bracketed ?? plain ?? '';
    inner.on('error', () => inner.destroy());
    if (!name || !mayCall(name.toLowerCase(), Number(port))) {
      return inner.end(
        `HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n${notNamed(name)}\n`,
      );
    }
    tunnel(inner, head, () => reach(name, Number(port)));
  });
  return server;
}

function notNamed(name: string): string {
  return `This code may not call ${name.slice(0, 200)}: its agent, or the operator of this server, does not name it.`;
}

function refuse(answer: ServerResponse, status: number, why: string): void {
  answer.writeHead(status, { 'content-type': 'text/plain', connection: 'close' }).end(`${why}\n`);
}

function statusOf(error: unknown): number {
  return error instanceof EgressBlockedError ? 403 : 502;
}

/** What is told is nothing of addresses, which may be ours. */
function inWords(error: unknown): string {
  return error instanceof EgressBlockedError ? error.message : 'The host cannot be reached.';
}

function pass(
  asked: IncomingMessage,
  answer: ServerResponse,
  { path, headers: given }: { path: string; headers: IncomingHttpHeaders },
  reach: () => Socket,
): void {
  try {
    const { 'proxy-connection': _, 'proxy-authorization': __, ...headers } = given;
    const passed = request({ createConnection: reach, method: asked.method, path, headers }, (got) => {
      answer.writeHead(got.statusCode!, got.headers);
      pipeline(got, answer, () => {});
    });
    passed.on('error', (error) =>
      answer.headersSent ? answer.destroy() : refuse(answer, statusOf(error), inWords(error)),
    );
    pipeline(asked, passed, () => {});
    // Who is asked hears that nobody waits for the answer any more.
    answer.once('close', () => passed.destroy());
  } catch (error) {
    refuse(answer, statusOf(error), inWords(error));
  }
}

function tunnel(inner: Socket, head: Buffer, reach: () => Socket): void {
  const fail = (error: unknown) =>
    inner.end(`HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n${inWords(error)}\n`);
  try {
    const outer = reach();
    outer.once('error', fail);
    outer.once('timeout', () => outer.destroy(new Error('It took too long.')));
    outer.once('connect', () => {
      outer.off('error', fail);
      outer.setTimeout(0);
      inner.write('HTTP/1.1 200 Connection established\r\n\r\n');
      outer.write(head);
      join(inner, outer);
    });
    inner.once('close', () => outer.destroy());
  } catch (error) {
    fail(error);
  }
}
