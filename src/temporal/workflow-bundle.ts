import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

/**
 * The workflows as the one script that workers run. Webpack makes it in a process of its own: its memory ends with it.
 * The file is named by all that it is made of, so that one that is there is the right one.
 */

const ownRoot = path.join(import.meta.dirname, '../..');
const builder = path.join(import.meta.dirname, 'bundle-workflows.ts');
const keptMs = 7 * 24 * 3600 * 1000;

/** What the bundler is given. Where payloads are encrypted, so are failures: their converter is part of the bundle. */
export function bundleOptions({ encrypts, root = ownRoot }: { encrypts: boolean; root?: string }) {
  return {
    workflowsPath: path.join(root, 'workflows/index.ts'),
    workflowInterceptorModules: [path.join(root, 'workflows/interceptors.ts')],
    ...(encrypts && { failureConverterPath: path.join(root, 'workflows/failure-converter.ts') }),
  };
}

/**
 * The file of the bundle: the one in `node_modules/.cache`, which is made when it is not there, in some seconds. Where
 * nothing can be written there, a new one among the temporary files, each time.
 * @throws what the bundler says when the workflows are faulty
 */
export async function workflowBundle({
  encrypts,
  root = ownRoot,
}: {
  encrypts: boolean;
  root?: string;
}): Promise<{ codePath: string }> {
  const name = `workflows-${keyOf({ encrypts, root })}.js`;
  const cache = path.join(root, 'node_modules/.cache/orchflow');
  const codePath = path.join(cache, name);
  if (existsSync(codePath)) return { codePath };
  const writable = isWritable(cache);
  const file = writable ? codePath : path.join(mkdtempSync(path.join(tmpdir(), 'orchflow-bundle-')), name);
  await promisify(execFile)(process.execPath, [builder, file, JSON.stringify({ encrypts, root })]).catch(
    ({ stdout, stderr }: { stdout: string; stderr: string }) => {
      throw new Error(`The workflows cannot be bundled:\n${stdout}${stderr}`);
    },
  );
  if (writable) removeOld(cache);
  return { codePath: file };
}

/** Of the sources, of the packages, of the bundler's options, and of where they are: stacks name the files. */
function keyOf({ encrypts, root }: { encrypts: boolean; root: string }): string {
  const hash = createHash('sha256').update(JSON.stringify(bundleOptions({ encrypts, root })));
  // What npm has installed, all of it: what the bundle holds of it, and what makes it.
  const installed = path.join(root, 'node_modules/.package-lock.json');
  const sources = globSync('workflows/**/*.ts', { cwd: root }).toSorted();
  for (const file of [builder, installed, ...sources.map((source) => path.join(root, source))]) {
    hash.update(`\0${file}\0`).update(readFileSync(file));
  }
  return hash.digest('hex').slice(0, 32);
}

function isWritable(dir: string): boolean {
  try {
    mkdirSync(dir, { recursive: true });
    rmSync(mkdtempSync(path.join(dir, 'writable-')), { recursive: true });
    return true;
  } catch {
    return false;
  }
}

/** A worker of another version may be about to read one that is younger. */
function removeOld(cache: string) {
  for (const name of readdirSync(cache)) {
    const file = path.join(cache, name);
    const made = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (name.startsWith('workflows-') && Date.now() - made > keptMs) rmSync(file, { force: true });
  }
}
