import { ApplicationFailure, Context } from '@temporalio/activity';
import {
  beginCodeRun,
  codeOutputId,
  endCodeRun,
  findCodeRun,
  isOver,
  noteErrorCode,
  unseen,
  type DoneCode,
  type EndedCode,
} from '../db/code-runs.ts';
import type { LiveSender } from '../db/live.ts';
import type { CodeRun, CodeTerms } from '../db/schema.ts';
import type { Work } from '../db/work.ts';
import { isForRunKeys, makeRunKey } from '../src/accounts/run-keys.ts';
import { environmentOf } from '../src/code/environment.ts';
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
import { completeAgentRun, completionBy, inputOf } from './agent-runs.ts';
import { atWork, keep } from './at-work.ts';
import { givenTo, type Given } from './code-given.ts';
import { timeLeft } from './deadline.ts';
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
        completeAgentRun(deps, asked, await runCode(deps, asked, work)),
      );
    },
  };
}

/**
 * Runs the code of an agent once, and keeps its output, and what it has printed, before anything else; with that the end of the run,
 * where it is its end. After a crash of its worker it is run again only where it says that it may be.
 * @throws `CodeFailed` when it gave no output, `CodeInterrupted` when it may not be run again.
 */
async function runCode(
  deps: CodeDeps,
  asked: RunCode,
  work: Work,
): Promise<{ turn: Turn; status?: DoneCode['status'] }> {
  const { db } = deps;
  const { run_id, task_id, attempt } = asked;
  const code = work.run.agent_run?.code;
  if (!code) throw ApplicationFailure.nonRetryable('it has no code.', 'CodeFailed');
  const call_id = `${run_id}/${task_id}/run_code/${attempt}`;
  const [before, given] = await Promise.all([findCodeRun(db, call_id), givenTo(deps, work.run)]);
  const isDone = before && before.ended !== null && before.ended !== 'interrupted' && before.ended !== 'cancelled';
  const once = { call_id, asked, code, work, before, given };
  const done: DoneCode = isDone ? before : await runOnce(deps, once);
  const { fault, output_id, status } = done;
  if (fault || attempt > 1) await keep(() => noteErrorCode(db, run_id, fault?.code ?? null));
  if (!fault) return { turn: { output_id: output_id!, warnings: warningsOf(done) }, status };
  throw ApplicationFailure.nonRetryable(fault.message, done.ended === 'interrupted' ? 'CodeInterrupted' : 'CodeFailed');
}

type Once = {
  call_id: string;
  asked: RunCode;
  code: CodeTerms;
  work: Work;
  before: CodeRun | undefined;
  given: Given;
};

async function runOnce(deps: CodeDeps, { call_id, asked, code, work, before, given }: Once): Promise<DoneCode> {
  const { db, code: runtime } = deps;
  const { run_id, account_id, mode } = work.run;
  if (before) {
    const { fault } = interrupted;
    const ended = await keep(() => endCodeRun(db, before, interrupted));
    if (!code.idempotent || before.try >= mostTries) return { ...ended, ended: 'interrupted', fault };
  }
  const time = timeOf(work, runtime.most_ms);
  const { key: service_key, row: key } = makeRunKey({ account_id, run_id, mode }, time.wall_ms + keyGrace_ms);
  const { worker_id } = runtime;
  const row = { call_id, try: (before?.try ?? 0) + 1, run_id, task_id: asked.task_id, worker_id };
  let hasBegun = false;
  let seen = cancelled;
  const begin = async () => {
    if (!(await beginCodeRun(db, row, key))) throw new Error('Another worker has begun it.');
    hasBegun = true;
  };
  try {
    const told = deps.live.code(row);
    const ended = await inSandbox(deps, { code, work, time, service_key, given, begin, told });
    if (!hasBegun) await begin();
    if (ended.ended === 'cancelled') {
      seen = ended;
      return await Context.current().cancelled;
    }
    const written = { output_id: codeOutputId(row), warnings: warningsOf({ stderr_is_cut: ended.stderr.is_cut }) };
    const completing = ended.fault ? undefined : completionBy(asked, written);
    return await keep(() => endCodeRun(db, row, ended, completing));
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
  time: ReturnType<typeof timeOf>;
  service_key: string;
  given: Given;
  begin: () => Promise<void>;
  told: ReturnType<LiveSender['code']>;
};

async function inSandbox(
  deps: CodeDeps,
  { code, work, time, service_key, given: { files, call }, begin, told }: InSandbox,
): Promise<EndedCode> {
  const { sandbox, bundles, limits } = deps.code;
  const { run_id, agents, agent_run } = work.run;
  const { wall_ms } = time;
  const input = inputOf(work);
  const deadline_ms = Date.now() + wall_ms;
  const secrets = [service_key, ...Object.values(call.keys ?? {})];
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
        secrets,
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
    return { ...outcome, ...readOutput(outcome, { ...limits, ...time }, agent_run?.output_schema ?? null, secrets) };
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

/** Its own time, the longest that this server gives it, or until the deadline of its call, which its workflow sees to as well, but later. */
function timeOf({ run }: Work, most_ms: number): { wall_ms: number; isCallers: boolean } {
  const { timeout_seconds, deadline_is_callers = false } = run.agent_run!;
  const own_ms = Math.min(timeout_seconds * 1_000, most_ms);
  const left_ms = timeLeft(run);
  return { wall_ms: Math.min(own_ms, left_ms), isCallers: deadline_is_callers && left_ms < own_ms };
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

function warningsOf({ stderr_is_cut }: Pick<CodeRun, 'stderr_is_cut'>): string[] {
  return stderr_is_cut ? ['What its code wrote to stderr was cut: only the end of it is kept.'] : [];
}
