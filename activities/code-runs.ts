import { ApplicationFailure, Context } from '@temporalio/activity';
import {
  beginCodeRun,
  endCodeRun,
  findCodeRun,
  isOver,
  listCodeInputs,
  noteErrorCode,
  unseen,
  type EndedCode,
} from '../db/code-runs.ts';
import { findKeyOfCall } from '../db/agent-calls.ts';
import type { LiveSender } from '../db/live.ts';
import type { CodeRun, CodeTerms } from '../db/schema.ts';
import type { Work } from '../db/work.ts';
import { isForRunKeys, mintRunKey } from '../src/accounts/run-keys.ts';
import { callerOfRun, chainForCode } from '../src/calls/chain.ts';
import { environmentOf } from '../src/code/environment.ts';
import { decrypt, providerKeyContext } from '../src/crypto.ts';
import { NoSuchInput, uploadsOf } from '../src/code/inputs.ts';
import { readOutput, stdinOf } from '../src/code/contract.ts';
import type { CodeRuntime } from '../src/code/runtime.ts';
import { BundleFault } from '../src/code/zip.ts';
import { NoSuchFile } from '../src/files/store.ts';
import { SandboxFault } from '../src/sandbox/index.ts';
import { longInputId } from '../workflows/contract/agent-task.ts';
import { asTried } from '../workflows/contract/completion.ts';
import type { Progress } from '../workflows/contract/states.ts';
import type { Turn } from './agent.ts';
import { completeAgentRun, inputOf } from './agent-runs.ts';
import { atWork, keep } from './at-work.ts';
import type { ActivityDeps } from './deps.ts';
import { createToolActivities } from './tools.ts';

/** Code of people, run by the workers that have a sandbox for it. */

export type CodeDeps = ActivityDeps & { code: CodeRuntime };

type RunCode = {
  run_id: string;
  task_id: string;
  attempt: number;
  /** Its output completes the run. */
  completes?: boolean;
  progress?: Progress;
};

/** A worker that is lost again and again is no reason to try for ever. */
const mostTries = 5;
/** A key outlives the code that it is for by this: its last call may be under way. */
const keyGrace_ms = 30_000;

/** What is polled for on the task queue of code: `callTool` of tools that need the sandbox. */
export function createCodeActivities(deps: CodeDeps) {
  return {
    ...createToolActivities(deps),
    runCode(input: RunCode) {
      const progress = input.progress && asTried(input.progress, Context.current().info.attempt);
      const asked = { ...input, progress };
      return atWork(deps, asked, [longInputId(input.run_id)], async (work) =>
        completeAgentRun(deps, asked, { turn: await runCode(deps, asked, work) }),
      );
    },
  };
}

/**
 * Runs the code of an agent once, and keeps its output, and what it has printed, before anything else. After a crash of its worker
 * it is run again only where it says that it may be.
 * @throws `CodeFailed` when it gave no output, `CodeInterrupted` when it may not be run again.
 */
async function runCode(deps: CodeDeps, { run_id, task_id, attempt }: RunCode, work: Work): Promise<Turn> {
  const { db } = deps;
  const code = work.run.agent_run?.code;
  if (!code) throw ApplicationFailure.nonRetryable('it has no code.', 'CodeFailed');
  const call_id = `${run_id}/${task_id}/run_code/${attempt}`;
  const before = await findCodeRun(db, call_id);
  const isDone = before && before.ended !== null && before.ended !== 'interrupted' && before.ended !== 'cancelled';
  const done = isDone ? before : await runOnce(deps, { call_id, task_id, code, work, before });
  const { fault, output_id } = done;
  if (fault || attempt > 1) await keep(() => noteErrorCode(db, run_id, fault?.code ?? null));
  if (!fault) return { output_id: output_id!, warnings: warningsOf(done) };
  throw ApplicationFailure.nonRetryable(fault.message, done.ended === 'interrupted' ? 'CodeInterrupted' : 'CodeFailed');
}

type Once = { call_id: string; task_id: string; code: CodeTerms; work: Work; before: CodeRun | undefined };

async function runOnce(deps: CodeDeps, { call_id, task_id, code, work, before }: Once): Promise<CodeRun> {
  const { db, code: runtime } = deps;
  const { run_id, account_id, mode } = work.run;
  if (before) {
    const { fault } = interrupted;
    const ended = await keep(() => endCodeRun(db, before, interrupted));
    if (!code.idempotent || before.try >= mostTries) return { ...ended, ended: 'interrupted', fault };
  }
  const time = timeLeft(work);
  const { key_id, key: service_key } = await mintRunKey(db, { account_id, run_id, mode }, time.wall_ms + keyGrace_ms);
  const row = { call_id, try: (before?.try ?? 0) + 1, run_id, task_id, worker_id: runtime.worker_id, key_id };
  let hasBegun = false;
  let seen = cancelled;
  const begin = async () => {
    if (!(await beginCodeRun(db, row))) throw new Error('Another worker has begun it.');
    hasBegun = true;
  };
  try {
    const ended = await inSandbox(deps, { code, work, time, service_key, begin, told: deps.live.code(row) });
    if (!hasBegun) await begin();
    if (ended.ended !== 'cancelled') return await keep(() => endCodeRun(db, row, ended));
    seen = ended;
    return await Context.current().cancelled;
  } catch (error) {
    const { cancellationSignal, cancellationDetails } = Context.current();
    if (hasBegun && !cancellationSignal.aborted) await keep(() => endCodeRun(db, row, unstarted));
    // Of a worker that shuts down, or was taken for dead, another finds the row as it is.
    const isGivenUp =
      cancellationSignal.aborted && (cancellationDetails?.cancelRequested || (await isOver(db, run_id)));
    if (hasBegun && isGivenUp) await endCodeRun(db, row, seen);
    throw error;
  }
}

type InSandbox = {
  code: CodeTerms;
  work: Work;
  time: ReturnType<typeof timeLeft>;
  service_key: string;
  begin: () => Promise<void>;
  told: ReturnType<LiveSender['code']>;
};

async function inSandbox(
  deps: CodeDeps,
  { code, work, time, service_key, begin, told }: InSandbox,
): Promise<EndedCode> {
  const { sandbox, bundles, limits } = deps.code;
  const { run_id, agents, agent_run } = work.run;
  const { wall_ms } = time;
  const input = inputOf(work);
  const call = await calledWith(deps, work.run);
  const files = await listCodeInputs(deps.db, run_id);
  const deadline_ms = Date.now() + wall_ms;
  const setup = tellSetup(told);
  try {
    setup.begin('bundle');
    const outcome = await bundles.withBundle(code.code_hash, (folder) => {
      if (files.length > 0) setup.begin('files');
      return sandbox.run({
        command: code.command,
        code: folder,
        uploads: uploadsOf(deps, files),
        stdin: (uploadsAt) => stdinOf(input, files, uploadsAt),
        env: environmentOf({
          run_id,
          service_key,
          deadline_ms,
          code,
          model: agents[0]?.model ?? null,
          ...call,
        }),
        limits: { ...limits, wall_ms },
        hosts: code.hosts,
        gateway: { key: service_key, passes: isForRunKeys },
        beforeStart() {
          setup.end('completed');
          return begin();
        },
        signal: Context.current().cancellationSignal,
        onOutput: (stream, text) => told.print(stream, text),
        onCut: () => told.step({ type: 'output_truncated' }),
      });
    });
    return { ...outcome, ...readOutput(outcome, { ...limits, ...time }, agent_run?.output_schema ?? null) };
  } catch (error) {
    setup.end('failed');
    const why = setupFault(error);
    if (why === undefined) throw error;
    if (error instanceof SandboxFault && error.cause)
      deps.log.error({ err: error.cause, run_id }, 'code could not be run');
    return { ...unstarted, fault: { code: 'SANDBOX_ERROR', category: 'setup_error', message: why } };
  }
}

/** Tells whoever looks on what is made ready before code begins, one thing after another. */
function tellSetup(told: InSandbox['told']) {
  let name: string | undefined;
  const end = (status: 'completed' | 'failed') => {
    if (name !== undefined) told.step({ type: 'setup_step', name, status });
    name = undefined;
  };
  told.step({ type: 'sandbox_start' });
  return {
    begin(next: string): void {
      end('completed');
      name = next;
      told.step({ type: 'setup_step', name, status: 'started' });
    },
    end,
  };
}

/** Its own time, or until the deadline of its call, which its workflow sees to as well, but later. */
function timeLeft({ run }: Work): { wall_ms: number; isCallers: boolean } {
  const { timeout_seconds, deadline_at, deadline_is_callers = false } = run.agent_run!;
  const own_ms = timeout_seconds * 1_000;
  const left_ms = deadline_at === undefined || run.attempt > 1 ? Infinity : Math.max(deadline_at - Date.now(), 1);
  return { wall_ms: Math.min(own_ms, left_ms), isCallers: deadline_is_callers && left_ms < own_ms };
}

/** What it is told of the call that it answers: the chain that it is in, and the key of a model that came with it. */
async function calledWith(
  { db, encryptionKey }: CodeDeps,
  { run_id, account_id }: { run_id: string; account_id: string },
) {
  const [call, key] = await Promise.all([callerOfRun(db, account_id, run_id), findKeyOfCall(db, run_id)]);
  const chain = call && chainForCode(encryptionKey, account_id, call);
  if (!key?.api_key_encrypted) return { chain };
  const context = providerKeyContext(account_id, key.provider_id);
  return { chain, keys: { [key.provider]: decrypt(key.api_key_encrypted, encryptionKey, context) } };
}

/** Why code could not be begun, however often it is tried; undefined of what another try may mend. */
function setupFault(error: unknown): string | undefined {
  if (error instanceof NoSuchFile) return 'its bundle is not there any more. Send it again.';
  if (error instanceof NoSuchInput || error instanceof BundleFault || error instanceof SandboxFault)
    return error.message;
  return undefined;
}

/** Of a try whose end nobody saw. */
const interrupted: EndedCode = {
  ...unseen,
  ended: 'interrupted',
  fault: {
    code: 'SANDBOX_ERROR',
    category: null,
    message: 'what ran its code was lost in the middle, and it does not say that it may be run again (`idempotent`).',
  },
};

const cancelled: EndedCode = { ...unseen, ended: 'cancelled', fault: null };

const unstarted: EndedCode = {
  ...unseen,
  ended: 'exited',
  fault: { code: 'SANDBOX_ERROR', category: 'setup_error', message: 'its sandbox could not be started.' },
};

function warningsOf({ stderr_is_cut }: CodeRun): string[] {
  return stderr_is_cut ? ['What its code wrote to stderr was cut: only the end of it is kept.'] : [];
}
