import { spawn } from 'node:child_process';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { exitEnvironment, openExits, type Exit, type Network } from './exits.ts';
import { SandboxFault, type Ended, type Job, type Limits, type Outcome, type Sandbox } from './job.ts';
import { findIn } from './programs.ts';
import { runProcess, type Ran } from './spawn.ts';
import { createCleaning, handOver, isRoot, nobody, readable, type Workspace } from './workspace.ts';

/**
 * JavaScript and TypeScript in deno, which asks its permissions at every call: for machines that have no namespaces. A job reads
 * its code and its uploads, writes nothing, starts nothing, and calls what leads out. A worker that is root gives that up first.
 */

export type DenoSettings = {
  workspace: Workspace;
  /** Where deno is; undefined: in the PATH. */
  program: string | undefined;
  network: Network;
  environment: Record<string, string | undefined>;
};

/** The heap of JavaScript is so much of the memory; what is beside it the watch sees. */
const heapShare = 0.75;

/** @throws Error when there is no deno. */
export async function createDeno({ workspace, program, network, environment }: DenoSettings): Promise<Sandbox> {
  const installed = program ?? findIn(environment.PATH, 'deno');
  const setpriv = isRoot ? findIn('/usr/bin:/bin', 'setpriv') : undefined;
  const own = path.join(workspace.folder, 'deno');
  const start = path.join(own, 'start.mjs');
  await mkdir(own, { recursive: true, mode: 0o755 });
  const deno = await readable(installed, own);
  await copyFile(path.join(import.meta.dirname, 'start-in-deno.mjs'), start);
  // Nobody's, so that it may keep there what it has compiled; a job itself writes nothing.
  await mkdir(path.join(own, 'cache'), { recursive: true, mode: 0o700 });
  handOver(path.join(own, 'cache'));

  // Nobody waits for it.
  const cleaning = createCleaning();

  async function run(job: Job): Promise<Outcome> {
    const { file, args } = programOf(job.command);
    if (job.outputs_bytes !== undefined)
      throw new SandboxFault('No files can be left here: this sandbox lets nothing be written.');
    await requireNoLinks(job.code);
    const place = await workspace.makeJob(job.uploads ?? []);
    let open: Awaited<ReturnType<typeof openExits>> | undefined;
    try {
      open = await openExits(network, job);
      const { exits } = open;
      const asNobody = setpriv ? [setpriv, `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--'] : [];
      const [command, ...rest] = [
        asNobody,
        [deno, ...closed, `--allow-read=${[job.code, place.uploads, start].map(escaped).join(',')}`],
        exits.length > 0 ? [`--allow-net=${exits.map(({ at }) => `127.0.0.1:${at}`).join(',')}`] : [],
        [`--v8-flags=--max-old-space-size=${heapMb(job.limits)}`, start, path.join(job.code, file), ...args],
      ].flat();
      const env = { ...quiet, DENO_DIR: path.join(own, 'cache'), ...environmentOf(exits), ...job.env };
      const begin = () => spawn(command!, rest, { env, cwd: job.code, detached: true });
      const ran = await runProcess({ begin, stdin: job.stdin?.(place.uploads) ?? '' }, job);
      const { read: _, ...outcome } = ran;
      const ended = endOf(ran);
      return { ...outcome, ended, exit_code: ended === 'exited' ? ran.exit_code : null, files: [] };
    } finally {
      cleaning.add(async () => {
        await open?.close();
        await workspace.removeJob(place.folder);
      });
    }
  }

  return {
    driver: 'deno',
    languages: ['javascript'],
    run,
    async close() {
      await cleaning.ended();
      await workspace.close();
    },
  };
}

const closed = [
  'run --quiet --no-prompt --no-remote --no-npm --no-config --no-lock --cached-only --node-modules-dir=none',
  '--deny-run --deny-ffi --deny-sys --deny-write --deny-import --allow-env',
].flatMap((words) => words.split(' '));

const quiet = { NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', DENO_NO_PROMPT: '1', HOME: '/tmp', LANG: 'C.UTF-8' };

function environmentOf(exits: Exit[]): Record<string, string> {
  return exitEnvironment(exits.map(({ name, at }) => ({ name, port: Number(at) })));
}

/** `node main.mjs a b`: there is no shell. @throws SandboxFault for anything else. */
function programOf(command: string): { file: string; args: string[] } {
  const [, quoted, plain, rest = ''] =
    /^(?:node|deno(?: run)?)\s+(?:'([^']+)'|([\w./-]+))((?:\s+[\w./=:,@+-]+)*)$/.exec(command.trim()) ?? [];
  const file = path.normalize(quoted ?? plain ?? '');
  if (!/\.[mc]?[jt]s$/.test(file) || path.isAbsolute(file) || file.startsWith('..')) {
    throw new SandboxFault(`This server runs JavaScript only, as "node FILE", and this is "${command.slice(0, 100)}".`);
  }
  return { file, args: rest.split(/\s+/).filter(Boolean) };
}

/** deno follows links out of what it may read. @throws SandboxFault */
async function requireNoLinks(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  if (entries.some((entry) => entry.isSymbolicLink())) throw new SandboxFault('There is a link among the code.');
}

/** A comma separates paths, and is itself where it is doubled. */
function escaped(file: string): string {
  return file.replaceAll(',', ',,');
}

function heapMb({ memory_bytes }: Limits): number {
  return Math.floor((memory_bytes * heapShare) / 1024 / 1024);
}

/** V8 ends the process when its heap is full. */
function endOf({ ended, exit_code, stderr }: Ran): Ended {
  const isFull = ended !== 'cancelled' && (ended === 'killed' || exit_code !== 0) && /out of memory/i.test(stderr.text);
  return isFull ? 'memory' : ended;
}
