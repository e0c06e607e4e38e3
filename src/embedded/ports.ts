import { createServer } from 'node:net';

/** Why no server could listen there now: 'EADDRINUSE', 'EACCES', ...; undefined when the port is free. */
export function portFault(port: number, host = '127.0.0.1'): Promise<string | undefined> {
  return listenOnce(port, host).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  );
}

/** The preferred port if it is free, else any free port of the loopback address. */
export async function choosePort(preferred?: number): Promise<number> {
  if (preferred && !(await portFault(preferred))) return preferred;
  return listenOnce(0, '127.0.0.1');
}

function listenOnce(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : port));
    });
  });
}
