import type { CalledRun, CallOfOwn, CallState } from '../../../db/called-runs.ts';
import type { ErrorCode as RunErrorCode } from '../../../workflows/contract/error-codes.ts';
import { uuidOf } from '../../ids.ts';
import { surfaceCode } from './call-answer.ts';

/** Calls as lists show them, in orchagent's words. */

/** How a run stands. One that waits for a person is running. */
export const callStatuses = ['queued', 'running', 'completed', 'failed', 'timeout', 'cancelled'] as const;

export type CallStatus = (typeof callStatuses)[number];

const states: Record<CallStatus, CallState[]> = {
  queued: ['pending'],
  running: ['running', 'waiting_human'],
  completed: ['completed'],
  failed: ['failed'],
  timeout: ['timeout'],
  cancelled: ['cancelled'],
};

/** Those that a filter means. */
export function statesOf(status: CallStatus | undefined): CallState[] | undefined {
  return status && states[status];
}

const timeouts = ['TIMEOUT', 'SANDBOX_TIMEOUT'];

export function statusOf({ status, error_code }: Pick<CalledRun, 'status' | 'error_code'>): CallStatus {
  if (status === 'failed') return timeouts.includes(error_code ?? '') ? 'timeout' : 'failed';
  if (status === 'pending') return 'queued';
  return status === 'waiting_human' ? 'running' : status;
}

function codeOf({ status, error_code }: Pick<CalledRun, 'status' | 'error_code'>): string | null {
  return status === 'failed' ? surfaceCode((error_code ?? 'INTERNAL_ERROR') as RunErrorCode) : null;
}

/** What began it: a key, another agent, or somebody who wanted it again. */
function triggerOf({ forked_from, parent_run_id }: CalledRun): 'api' | 'agent' | 'replay' {
  if (parent_run_id !== null) return 'agent';
  return forked_from === null ? 'api' : 'replay';
}

/** Without what was said in it: no error either, which may quote that. */
export function logLine(call: CalledRun) {
  return {
    id: uuidOf(call.run_id),
    agent: call.agent,
    agent_version: call.version,
    endpoint: call.endpoint,
    status: statusOf(call),
    error_code: codeOf(call),
    duration_ms: call.duration_ms,
    llm_calls: call.usage.llm_calls,
    tokens: { input: call.usage.input_tokens, output: call.usage.output_tokens },
    cost_usd: call.cost_usd,
    tenant: call.tenant,
    key_id: call.key_id,
    trigger_source: triggerOf(call),
    parent_run_id: call.parent_run_id && uuidOf(call.parent_run_id),
    created_at: call.created_at,
  };
}

/** What the author of an agent is told of a call. */
export function ownLogLine(call: CallOfOwn) {
  const { by, duration_ms, created_at } = call;
  const line = { by, status: statusOf(call), error_code: codeOf(call), duration_ms, created_at };
  if (call.by === 'others') return { ...line, id: null, tokens: null, trigger_source: null };
  const { id, tokens, trigger_source } = logLine(call);
  return { ...line, id, tokens, trigger_source };
}

export function runItem(call: CalledRun) {
  return {
    id: uuidOf(call.run_id),
    agent_name: nameOf(call),
    agent: call.agent,
    agent_version: call.version,
    status: statusOf(call),
    error_message: call.error,
    error_code: codeOf(call),
    duration_ms: call.duration_ms,
    trigger_source: triggerOf(call),
    tenant: call.tenant,
    started_at: call.started_at,
    completed_at: call.completed_at,
    created_at: call.created_at,
  };
}

export function runDetail(call: CalledRun, workspace_id: string) {
  return {
    ...runItem(call),
    workspace_id,
    agent_id: call.version_id,
    endpoint: call.endpoint,
    key_id: call.key_id,
    root_run_id: uuidOf(call.root_run_id),
    parent_run_id: call.parent_run_id && uuidOf(call.parent_run_id),
    replay_of_run_id: call.forked_from && uuidOf(call.forked_from),
    usage: {
      llm_calls: call.usage.llm_calls,
      input_tokens: call.usage.input_tokens,
      output_tokens: call.usage.output_tokens,
      cost_usd: call.cost_usd,
    },
  };
}

/** Clients know agents without their organisation. */
export function nameOf({ agent }: Pick<CalledRun, 'agent'>): string {
  return agent.slice(agent.indexOf('/') + 1);
}
