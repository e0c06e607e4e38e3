import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { startLaterRelease } from './later-release.ts';

/** `run.sh` ends with this when a tool is missing; the last line that it prints says which. */
const missing = 77;

export type Outcome = { status: 'passed' | 'failed' | 'skipped'; output: string };

/** The generators of clients that are tried: each a folder with a `run.sh` and the flow of its client. */
export async function listClients(): Promise<string[]> {
  const entries = await readdir(import.meta.dirname, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/**
 * Generates a client from the `/openapi.json` of the Orchflow at `url`, and runs its flow there, as if that were a later
 * release; all in a folder that is gone after it.
 */
export async function runClient(name: string, url: string): Promise<Outcome> {
  const dir = await mkdtemp(path.join(tmpdir(), 'orchflow-clients-'));
  const own = path.join(dir, name);
  const later = await startLaterRelease(url);
  try {
    for (const part of [name, 'missing.sh', 'openapi-generator.sh']) {
      await cp(path.join(import.meta.dirname, part), path.join(dir, part), { recursive: true });
    }
    const document = await fetch(`${url}/openapi.json`);
    await writeFile(path.join(own, 'openapi.json'), await document.text());
    const child = spawn('bash', ['-c', 'exec 2>&1; . ./run.sh'], {
      cwd: own,
      env: { ...process.env, ORCHFLOW_URL: later.url },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const output = (await text(child.stdout)).trim();
    const code = await ended;
    const status = code === 0 ? 'passed' : code === missing ? 'skipped' : 'failed';
    return { status, output };
  } finally {
    later.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
