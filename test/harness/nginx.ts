import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { until } from './client.ts';

export const hasNginx = spawnSync('nginx', ['-v']).status === 0;
if (!hasNginx)
  console.warn('Skipped: what a proxy does with answers and streams needs nginx (apt-get install nginx-light).');

export type Nginx = Awaited<ReturnType<typeof startNginx>>;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** nginx as it is installed, with nothing but `proxy_pass` to this URL, and these directives besides. */
export async function startNginx(url: string, directives = '') {
  const folder = await mkdtemp(path.join(tmpdir(), 'nginx-'));
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder};`);
  const file = path.join(folder, 'nginx.conf');
  await writeFile(
    file,
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
     ${process.getuid?.() === 0 ? `user ${userInfo().username};` : ''}
     events {}
     http {
       access_log off; ${temporary.join(' ')}
       server { listen 127.0.0.1:${port}; location / { proxy_pass ${url}; ${directives} } }
     }`,
  );
  const nginx = spawn('nginx', ['-p', folder, '-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  nginx.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const front = `http://127.0.0.1:${port}`;
  const isThere = () =>
    fetch(`${front}/api/v1/agents/templates`).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(isThere, () => `nginx answers\n${log}`);
  return {
    url: front,
    log: () => log,
    async stop() {
      nginx.kill('SIGKILL');
      await once(nginx, 'close');
      await rm(folder, { recursive: true });
    },
  };
}
