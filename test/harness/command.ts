import { execFile, spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { compileCache } from '../../src/node/start.ts';

/** What operators run: `npm run NAME -- ARGS`. */

type Name = 'account' | 'migrate' | 'reconcile' | 'reencrypt';
type Environment = Record<string, string | undefined>;

const root = path.join(import.meta.dirname, '../..');
const scriptOf = (name: Name) => path.join(root, `src/${name}.ts`);
const environmentOf = (env: Environment) => ({ NODE_COMPILE_CACHE: compileCache, ...env });

/** Resolves with what it has said. Rejects, with what it has said and its `code`, when that is not 0. */
export function runCommand(name: Name, env: Environment, ...args: string[]) {
  return promisify(execFile)(process.execPath, [scriptOf(name), ...args], { env: environmentOf(env) });
}

/** Resolves when it has ended, however it did. */
export function tryCommand(...command: Parameters<typeof runCommand>) {
  type Ended = { code: number; stdout: string; stderr: string };
  return runCommand(...command).then(
    ({ stdout, stderr }): Ended => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: Ended): Ended => ({ code, stdout, stderr }),
  );
}

/** One that is to be killed. Nobody reads what it says. */
export function startCommand(name: Name, env: Environment, ...args: string[]): ChildProcess {
  return spawn(process.execPath, [scriptOf(name), ...args], { env: environmentOf(env), stdio: 'ignore' });
}
