import { flushCompileCache } from 'node:module';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import packageJson from '../package.json' with { type: 'json' };
import { loadConfig } from './config.ts';
import { untilReleased } from './node/held.ts';
import { saveMemory } from './node/memory.ts';
import { startAgain } from './node/start.ts';

/** The API process. */
const config = loadConfig();
startAgain('api', config);

const [{ pino }, { createApp }, { startAppDeps }, { requireEncryptionKey }, { listen }] = await Promise.all([
  import('pino'),
  import('./app.ts'),
  import('./deps.ts'),
  import('./accounts/encryption-key.ts'),
  import('./http/listen.ts'),
]);

const log = pino({ level: config.LOG_LEVEL, name: 'api' });
await untilReleased();
await requireEncryptionKey(config, log);
const { deps, close } = startAppDeps({ config, log, version: packageJson.version });

const server = listen(createApp(deps), config);
server.on('listening', () => {
  log.info({ port: (server.address() as AddressInfo).port }, 'listening');
  flushCompileCache();
  saveMemory();
});
server.on('error', (error) => {
  log.fatal({ err: error }, 'cannot listen');
  process.exit(1);
});

/** Takes no more requests, and answers those that it has for at most ten seconds. */
async function stop(): Promise<void> {
  const answered = new Promise((resolve) => server.close(resolve));
  await deps.runEvents.stop();
  // A connection that is kept alive is idle only between two requests.
  const closing = setInterval(() => 'closeIdleConnections' in server && server.closeIdleConnections(), 20);
  await Promise.race([answered, sleep(10_000)]);
  clearInterval(closing);
  await close();
  process.exit(0);
}
process.once('SIGTERM', () => void stop());
process.once('SIGINT', () => void stop());
