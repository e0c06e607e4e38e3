import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { choosePort } from '../../src/embedded/ports.ts';
import { until } from './client.ts';

/** A server that speaks S3, gofakes3: from the per-user cache, where Go builds it the first time. Undefined where there is no Go. */
async function findGofakes3(): Promise<string | undefined> {
  const folder = path.join(process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache'), 'orchflow', 'bin');
  const program = path.join(folder, 'gofakes3');
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  for (const go of ['go', '/usr/local/go/bin/go']) {
    const build = ['install', 'github.com/johannesboyne/gofakes3/cmd/gofakes3@v1.2.0'];
    const built = promisify(execFile)(go, build, { env: { ...process.env, GOBIN: folder }, timeout: 300_000 });
    if (await built.then(Boolean, () => false)) return program;
  }
  console.log('Files are not kept in S3: there is neither gofakes3 here nor a Go to build it.');
  return undefined;
}

const program = await findGofakes3();
export const hasS3 = program !== undefined;

/** One with an empty bucket, and the settings that name it. `stop` may be followed by `start`: its memory is gone then. */
export async function startS3() {
  const port = await choosePort(29_000);
  const environment = {
    FILES_S3_ENDPOINT: `http://127.0.0.1:${port}`,
    FILES_S3_BUCKET: 'orchflow',
    FILES_S3_ACCESS_KEY_ID: 'canary',
    FILES_S3_SECRET_ACCESS_KEY: 'sk-canary-s3',
  };
  const server = spawn(
    program!,
    ['-backend', 'memory', '-initialbucket', 'orchflow', '-host', `127.0.0.1:${port}`, '-quiet'],
    { stdio: 'ignore' },
  );
  process.once('exit', () => server.kill('SIGKILL'));
  const bucket = `${environment.FILES_S3_ENDPOINT}/orchflow`;
  const answers = () =>
    fetch(bucket).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(answers, 'gofakes3 answers');
  return {
    environment,
    signal: (signal: NodeJS.Signals) => void server.kill(signal),
    /** The keys in the bucket. */
    keys: async () => [...(await (await fetch(bucket)).text()).matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key),
    async stop() {
      const ended = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGKILL');
      await ended;
    },
  };
}
