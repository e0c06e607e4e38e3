import type { CodeTerms } from '../../db/schema.ts';
import { requestIdOf, uuidOf } from '../ids.ts';

/** What code is told of its call, in its environment. */

export type CodeCall = {
  run_id: string;
  /** A key for the house's own API, of this run alone. */
  service_key: string | null;
  /** When it is stopped, in milliseconds since 1970. */
  deadline_ms: number;
  code: CodeTerms;
  /** The model that it is to ask. */
  model: string | null;
  /** What the caller has sent of a chain of calls, or its gateway has made of it. */
  chain?: {
    call_chain: string[];
    call_chain_sig?: string;
    max_hops: number | null;
    downstream_remaining: number | null;
    billing_org_id?: string;
    billing_org_sig?: string;
    root_run_id: string;
    orchestration_mode: string | null;
  };
  /** Keys of models that came with the call, by vendor: whoever called has given them to this code. */
  keys?: Record<string, string>;
};

const keyNames: Record<string, string> = {
  openai: 'OPENAI_API_KEY',
  anthropic: 'ANTHROPIC_API_KEY',
  gemini: 'GEMINI_API_KEY',
};

/** The variables of a call. Where the gateway is, the sandbox says (`ORCHAGENT_GATEWAY_URL`). */
export function environmentOf({ run_id, service_key, deadline_ms, code, model, chain, keys = {} }: CodeCall) {
  const given: Record<string, string | number | null | undefined> = {
    ORCHAGENT_SERVICE_KEY: service_key,
    ORCHAGENT_SDK_REQUIRED: 'true',
    ORCHAGENT_REQUEST_ID: requestIdOf(run_id),
    ORCHAGENT_ROOT_RUN_ID: chain?.root_run_id ?? uuidOf(run_id),
    ORCHAGENT_DEADLINE_MS: deadline_ms,
    ORCHAGENT_BILLING_ORG_ID: chain?.billing_org_id,
    ORCHAGENT_BILLING_ORG_SIG: chain?.billing_org_sig,
    ORCHAGENT_CALL_CHAIN: chain?.call_chain.join(','),
    ORCHAGENT_CALL_CHAIN_SIG: chain?.call_chain_sig,
    ORCHAGENT_MAX_HOPS: chain?.max_hops,
    ORCHAGENT_DOWNSTREAM_REMAINING: chain?.downstream_remaining,
    ORCHAGENT_ORCHESTRATION_MODE: chain?.orchestration_mode,
    ...Object.fromEntries(Object.entries(keys).map(([vendor, key]) => [keyNames[vendor] ?? 'LLM_API_KEY', key])),
    LLM_MODEL: model,
    ORCHAGENT_MODEL_DEFAULT: code.model_tasks.default ?? model,
    ...Object.fromEntries(
      Object.entries(code.model_tasks).map(([task, name]) => [
        `ORCHAGENT_MODEL_${task.toUpperCase().replaceAll(/\W/g, '_')}`,
        name,
      ]),
    ),
  };
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) =>
      value === null || value === undefined ? [] : [[name, String(value)]],
    ),
  );
}
