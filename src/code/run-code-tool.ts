import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { z } from 'zod';
import {
  beginCodeRun,
  endCodeRun,
  findCodeRun,
  insertCodeFile,
  listCodeInputs,
  unseen,
  type CodeInput,
} from '../../db/code-runs.ts';
import type { FileQuotas } from '../../db/files.ts';
import { LimitReached } from '../../db/limits.ts';
import { codeTool } from '../../workflows/contract/definition.ts';
import { DomainError } from '../errors.ts';
import { receiveFile } from '../files/incoming.ts';
import { keepFile, type FileDeps } from '../files/keep.ts';
import { newId } from '../ids.ts';
import { handOver, SandboxFault, type Outcome, type OutputFile } from '../sandbox/index.ts';
import { defineTool, ToolError, type Tool, type ToolContext } from '../tools/index.ts';
import { inputNames, NoSuchInput, uploadsOf } from './inputs.ts';
import type { CodeRuntime } from './runtime.ts';

/** The tool by which agents run code that they write: in the sandbox of the workers that have one. */

type ToolDeps = FileDeps & { fileQuotas: FileQuotas; runtime: CodeRuntime };

/** Within the time of a call of a tool. */
const wall_ms = 45_000;
const outputs_bytes = 25 * 1024 * 1024;

const parameters = z.object({
  language: z.enum(['python', 'javascript']),
  code: z.string().min(1).max(200_000).describe('A whole program. What it prints is what you get back.'),
});

/** Without `deps` it says that there is no sandbox: of a worker that has none. */
export function runCodeTool(deps?: ToolDeps): Tool {
  return defineTool({
    name: codeTool,
    description:
      'Runs a program in Python or JavaScript (Node.js) in a sandbox, and returns what it prints, its exit code, and the files that ' +
      'it leaves. The files of the task are in /tmp/uploads; what it writes to /tmp/outputs is kept. There is no network, and only ' +
      'the standard library. Nothing else stays from one call to the next. At most 45 seconds.',
    parameters,
    run: (given, context) => {
      if (!deps) throw new ToolError('This server runs no code: none of its workers has a sandbox.');
      return run(deps, given, context);
    },
  });
}

async function run(deps: ToolDeps, given: z.infer<typeof parameters>, context: ToolContext): Promise<string> {
  const { db, runtime } = deps;
  const { language } = given;
  const { run_id, task_id, idempotency_key: call_id, signal } = context;
  if (!runtime.sandbox.languages.includes(language)) {
    throw new ToolError(`This server runs ${runtime.sandbox.languages.join(' and ')} only.`);
  }
  const files = await listCodeInputs(db, run_id);
  const before = await findCodeRun(db, call_id);
  if (before) await endCodeRun(db, before, { ...unseen, ended: 'interrupted', fault: null });
  const row = { call_id, try: (before?.try ?? 0) + 1, run_id, task_id, worker_id: runtime.worker_id };
  const begin = async () => void (await beginCodeRun(db, row));
  try {
    const outcome = await inFolder(deps, given, (code, command) =>
      runtime.sandbox.run({
        command,
        code,
        uploads: uploadsOf(deps, files),
        limits: { ...runtime.limits, wall_ms },
        ...(runtime.sandbox.driver === 'bubblewrap' && { outputs_bytes }),
        beforeStart: begin,
        signal,
      }),
    );
    await endCodeRun(db, row, { ...outcome, output: null, fault: null });
    signal.throwIfAborted();
    const kept = await keepOutputs(deps, outcome.files, context);
    const text = describe(outcome, kept);
    if (outcome.ended !== 'exited' || outcome.exit_code !== 0) throw new ToolError(text);
    return text;
  } catch (error) {
    const ended = signal.aborted ? 'cancelled' : error instanceof SandboxFault ? 'exited' : undefined;
    // Of one that had not begun there is no row.
    if (ended) await endCodeRun(db, row, { ...unseen, ended, fault: null }).catch(() => {});
    if (error instanceof SandboxFault || error instanceof NoSuchInput) throw new ToolError(error.message);
    throw error;
  }
}

/** The program in a folder of its own, which is gone afterwards. */
async function inFolder<T>(
  { runtime }: ToolDeps,
  { language, code }: z.infer<typeof parameters>,
  use: (folder: string, command: string) => Promise<T>,
): Promise<T> {
  const folder = path.join(runtime.folder, 'programs', randomBytes(6).toString('hex'));
  const file = language === 'python' ? 'main.py' : 'main.mjs';
  await mkdir(path.dirname(folder), { recursive: true, mode: 0o711 });
  await mkdir(folder, { mode: 0o700 });
  try {
    await writeFile(path.join(folder, file), code, { mode: 0o644 });
    handOver(folder);
    return await use(folder, `${language === 'python' ? 'python3' : 'node'} ${file}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Kept = CodeInput | { name: string; why: string };

/** Keeps what a program has left as files of the account; of those that cannot be kept, why. */
async function keepOutputs(deps: ToolDeps, files: OutputFile[], context: ToolContext): Promise<Kept[]> {
  const names = inputNames(files.map(({ name }) => ({ name: name.replaceAll('/', '_') })));
  const kept: Kept[] = [];
  for (const [index, { content }] of files.entries()) {
    kept.push(await keepOutput(deps, { name: names[index]!, content }, context));
  }
  return kept;
}

async function keepOutput(
  deps: ToolDeps,
  { name, content }: OutputFile,
  { account_id, run_id, idempotency_key: call_id }: ToolContext,
): Promise<Kept> {
  const { db, fileQuotas: quotas } = deps;
  const media_type = mediaTypes[path.extname(name).toLowerCase()] ?? 'application/octet-stream';
  try {
    const received = await receiveFile(deps, newId('file'), Readable.from([content]));
    // The same file again after a crash.
    const request_id = `${call_id}/${received.sha256}/${name}`;
    const { file_id, size } = await keepFile(
      deps,
      { account_id },
      { ...received, name, media_type },
      { request_id, quotas },
      (put) => put(),
    );
    const file = { file_id, name, media_type, size };
    await insertCodeFile(db, { ...file, call_id, run_id });
    return file;
  } catch (error) {
    if (error instanceof LimitReached || error instanceof DomainError) return { name, why: error.message };
    throw error;
  }
}

const mediaTypes: Record<string, string> = {
  '.csv': 'text/csv',
  '.html': 'text/html',
  '.jpg': 'image/jpeg',
  '.json': 'application/json',
  '.md': 'text/markdown',
  '.pdf': 'application/pdf',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain',
  '.zip': 'application/zip',
};

const longest = { stdout: 40_000, stderr: 10_000 };

/** For the model. */
function describe({ ended, exit_code, stdout, stderr, files_fault }: Outcome, kept: Kept[]): string {
  const ends = {
    exited: `Exit code ${exit_code}.`,
    time: `It was stopped after ${wall_ms / 1_000} seconds.`,
    memory: 'It was stopped: it used too much memory.',
    output: 'It was stopped: it printed too much.',
    killed: 'It was ended by a signal.',
    cancelled: 'It was cancelled.',
  };
  const files = kept.map((file) =>
    'file_id' in file
      ? `Kept: ${file.name} (${file.file_id}, ${file.size} bytes)`
      : `Not kept: ${file.name}. ${file.why}`,
  );
  return [
    stdout.text.slice(0, longest.stdout),
    ...(stdout.is_cut || stdout.text.length > longest.stdout ? ['[… stdout is cut here]'] : []),
    ...(stderr.text ? [`[stderr]\n${stderr.text.slice(-longest.stderr)}`] : []),
    ...(exit_code === 0 ? [] : [ends[ended]]),
    ...files,
    ...(files_fault ? [files_fault] : []),
  ]
    .filter(Boolean)
    .join('\n');
}
