import type { listCodeRuns } from '../../../db/code-runs.ts';
import type { RunResult } from '../../../db/run-results.ts';
import type { CallWarning } from '../../../db/schema.ts';
import type { ErrorCode as RunErrorCode } from '../../../workflows/contract/error-codes.ts';
import { hasEnded } from '../../../workflows/contract/states.ts';
import { readOutput } from '../../calls/output.ts';
import { codedWarnings } from '../../calls/warnings.ts';
import { requestIdOf, uuidOf } from '../../ids.ts';
import { OrchagentError, toEnvelope, type ErrorCode } from './envelope.ts';

/** What a call has come to, in orchagent's words. */

/** What is told of a call beside the run: when it came, and what its code has printed, where that is asked for. */
export type Told = {
  version: string;
  /** The warnings that have codes. */
  known: CallWarning[];
  began: number;
  isVerbose: boolean;
  /** Of an agent that is code: how that ended, once it has. */
  code?: CodeRunView | undefined;
};

type CodeRunView = Awaited<ReturnType<typeof listCodeRuns>>[number];

/** Whether there is something to tell who waits: it has ended, or waits for a person, which nobody's connection lasts for. */
export function hasAnswer({ status, gates }: RunResult): boolean {
  return hasEnded(status) || (status === 'waiting_human' && gates.length > 0);
}

/** The answer to a call whose run has completed, or waits for a person, and then has no data yet. Throws `OrchagentError` of others. */
export function envelopeOf(run: RunResult, told: Told) {
  switch (run.status) {
    case 'completed': {
      const { data, warnings } = readOutput(run.output ?? '');
      return {
        data,
        warnings: [...warnings, ...codedWarnings(run.warnings, told.known)],
        metadata: metadataOf(run, told),
      };
    }
    case 'waiting_human':
      return {
        data: null,
        warnings: codedWarnings(run.warnings, told.known),
        metadata: {
          ...metadataOf(run, told),
          run: run.run_id,
          status: run.status,
          waiting_tasks: run.gates.map((gate) => gate.task_id),
        },
      };
    default:
      throw failureOf(run, told);
  }
}

function metadataOf(run: RunResult, { version, began, isVerbose, code }: Told) {
  return {
    request_id: requestIdOf(run.run_id),
    run_id: uuidOf(run.run_id),
    processing_time_ms: Math.round(performance.now() - began),
    execution_time_ms: code?.wall_ms ?? run.duration_ms,
    version,
    usage: { ...run.usage, cost_usd: run.cost_usd },
    ...(isVerbose && { stdout: code?.stdout ?? '', stderr: code?.stderr ?? '' }),
  };
}

/** Why runs fail, as this surface has it, and whether the same call may succeed the next time where that is not as the code says. */
const codes: Record<RunErrorCode, [ErrorCode, is_retryable?: boolean]> = {
  TIMEOUT: ['TIMEOUT'],
  LLM_ERROR: ['LLM_ERROR'],
  LLM_REFUSED: ['LLM_ERROR', false],
  LLM_RATE_LIMITED: ['LLM_RATE_LIMITED'],
  BUDGET_REACHED: ['UNPROCESSABLE'],
  INVALID_OUTPUT: ['UNPROCESSABLE'],
  SANDBOX_ERROR: ['SANDBOX_ERROR'],
  SANDBOX_TIMEOUT: ['SANDBOX_TIMEOUT'],
  MISSING_SECRETS: ['MISSING_SECRETS'],
  INTERNAL_ERROR: ['INTERNAL_ERROR'],
};

/** Why a run has failed, as this surface has it. */
export function surfaceCode(reason: RunErrorCode): ErrorCode {
  return (codes[reason] ?? codes.INTERNAL_ERROR)[0];
}

function failureOf(run: RunResult, told: Told): OrchagentError {
  const { status, error } = run;
  const metadata = metadataOf(run, told);
  if (status === 'cancelled') return new OrchagentError('CONFLICT', 'The run was cancelled.', { metadata });
  if (status !== 'failed') {
    const message = 'The agent is still at work. Ask for the same again to wait for it, or read its run.';
    return new OrchagentError('TIMEOUT', message, { members: { reason: 'STILL_RUNNING' }, metadata });
  }
  const reason = (run.error_code ?? 'INTERNAL_ERROR') as RunErrorCode;
  const [code, is_retryable] = codes[reason] ?? codes.INTERNAL_ERROR;
  const members = { ...(code !== reason && { reason }), ...ofCode(told.code) };
  const exit = told.code && { sandbox_exit_code: told.code.exit_code };
  return new OrchagentError(code, error ?? 'The agent failed.', {
    is_retryable,
    members,
    metadata: { ...metadata, ...exit },
  });
}

const tailLength = 2_000;

/** Why code has failed, in words for who called it. */
function ofCode(code: CodeRunView | undefined) {
  if (!code?.fault) return {};
  const { category, message } = code.fault;
  return { ...(category && { category }), user_message: message, stderr_tail: (code.stderr ?? '').slice(-tailLength) };
}

/** The same as an event of a stream. */
export function eventOf(run: RunResult, told: Told): { event: 'result' | 'error'; data: object } {
  try {
    return { event: 'result', data: envelopeOf(run, told) };
  } catch (error) {
    if (!(error instanceof OrchagentError)) throw error;
    return { event: 'error', data: toEnvelope(error.failure, requestIdOf(run.run_id)) };
  }
}
