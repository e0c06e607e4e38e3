import { listCodeWorkers } from '../../db/code-workers.ts';
import type { Db } from '../../db/index.ts';
import type { AgentSpec, CodeTerms } from '../../db/schema.ts';
import { DomainError } from '../errors.ts';

/** What is run of a version of an agent whose output code makes. */

type Version = { spec: AgentSpec; code_hash: string | null; entrypoint: string | null };

/**
 * What the run of a version keeps of its code; undefined of one whose output a model makes.
 * @throws DomainError `CODE_MISSING` when its bundle was never sent, or nothing says how it is run.
 */
export function codeTermsOf({ spec, code_hash, entrypoint }: Version): CodeTerms | undefined {
  const { package: told } = spec;
  if (told?.engine !== 'code_runtime') return undefined;
  const command = told.runtime?.command ?? (entrypoint === null ? undefined : commandOf(entrypoint));
  if (!code_hash)
    throw new DomainError('CODE_MISSING', 'This version of the agent has no code yet: its bundle was not sent.');
  if (!command) {
    const message = 'Nothing says how the code of this agent is run: it has neither a command nor an entrypoint.';
    throw new DomainError('CODE_MISSING', message);
  }
  const { idempotent, on_interrupted, model_tasks, manifest } = told;
  return { command, code_hash, idempotent, on_interrupted, model_tasks, hosts: manifest?.hosts ?? [] };
}

function commandOf(entrypoint: string): string {
  const file = `'${entrypoint.replaceAll("'", `'\\''`)}'`;
  return /\.[mc]?[jt]s$/.test(entrypoint) ? `node ${file}` : `python3 ${file}`;
}

/** Whether code is run here, and why not. */
export type CodeStatus = {
  status: 'ok' | 'off' | 'unknown';
  driver: string | null;
  languages: string[];
  reason: string | null;
};

/** As the workers say it. `unknown`: there is none that has said anything for a while. */
export async function codeStatus(db: Db): Promise<CodeStatus> {
  const workers = await listCodeWorkers(db);
  const [first] = workers;
  if (!first) return { status: 'unknown', driver: null, languages: [], reason: 'No worker is there that runs code.' };
  const languages = [...new Set(workers.flatMap((worker) => worker.languages))];
  return { ...first, languages, status: first.driver ? 'ok' : 'off' };
}

/** @throws DomainError `NO_SANDBOX` when it is known that no code is run here. */
export async function requireSandbox(db: Db): Promise<void> {
  const { status, reason } = await codeStatus(db);
  if (status === 'off') throw new DomainError('NO_SANDBOX', noSandbox(reason));
}

export function noSandbox(reason: string | null): string {
  return `This server runs no code: ${reason ?? 'it has no sandbox'}`.replace(/[^.]$/, '$&.');
}
