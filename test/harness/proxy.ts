import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AddressInfo } from 'node:net';

export type Proxy = Awaited<ReturnType<typeof startProxy>>;

/** A line between one process and one server that can be cut, fall silent, or be slow. */
export async function startProxy(targetPort: number) {
  let isCut = false;
  let delay_ms = 0;
  let silence: PromiseWithResolvers<void> | undefined;
  let held = 0;
  const sockets = new Set<Socket>();

  /** What is sent into the silence arrives when it ends, as TCP would send it again. */
  async function forward(from: Socket, to: Socket, isReply: boolean): Promise<void> {
    for await (const chunk of from) {
      if (silence && !isReply) held += 1;
      await silence?.promise;
      if (delay_ms) await sleep(delay_ms);
      if (!to.write(chunk)) await new Promise((resolve) => to.once('drain', resolve).once('close', resolve));
    }
    await silence?.promise;
    to.end();
  }

  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (isCut) return void client.resetAndDestroy();
    const upstream = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    client.setNoDelay();
    for (const [from, to, isReply] of [
      [client, upstream, false],
      [upstream, client, true],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy()).on('close', () => sockets.delete(from));
      forward(from, to, isReply).catch(() => (from.destroy(), to.destroy()));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    port: (server.address() as AddressInfo).port,
    /** Resets every connection, and each new one. */
    cut() {
      isCut = true;
      for (const socket of sockets) socket.resetAndDestroy();
    },
    /** Nothing arrives any more, and nobody is told. */
    silence() {
      silence ??= Promise.withResolvers();
    },
    /** How often the process has sent something into the silence. */
    held: () => held,
    /** Delays what goes either way, in milliseconds. */
    slow(milliseconds: number) {
      delay_ms = milliseconds;
    },
    heal() {
      isCut = false;
      delay_ms = 0;
      silence?.resolve();
      silence = undefined;
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** A line of its own from a process to Temporal, and the environment with which it takes that. */
export async function startTemporalLine(env: Record<string, string>) {
  const line = await startProxy(Number(env.TEMPORAL_ADDRESS!.split(':')[1]));
  return { line, env: { ...env, TEMPORAL_ADDRESS: `127.0.0.1:${line.port}` } };
}
