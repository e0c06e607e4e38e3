import type { ChainedRun } from '../../../db/called-runs.ts';
import { hasEnded } from '../../../workflows/contract/states.ts';
import { uuidOf } from '../../ids.ts';
import { nameOf, statusOf, type CallStatus } from './call-view.ts';

/** Agents that have called each other, as a tree. */

export type ChainNode = {
  run_id: string;
  agent_name: string;
  agent: string;
  agent_version: string;
  status: CallStatus;
  duration_ms: number | null;
  started_at: string;
  self_cost_usd: number;
  subtree_cost_usd: number;
  /** Its own, of all that the chain has cost. */
  cost_pct: number;
  input_tokens: number;
  output_tokens: number;
  llm_model: string | null;
  llm_provider: string | null;
  trace_summary: {
    llm_calls: number;
    tool_calls: number;
    errors: number;
    total_tokens: number;
    total_cost_usd: number;
  };
  children: ChainNode[];
};

const money = (amount: number) => Math.round(amount * 1e9) / 1e9;

/** Of a chain, in the order in which it was called, a call and those that it has led to. */
export function fromOn(calls: ChainedRun[], run_id: string): ChainedRun[] {
  const part = new Set([run_id]);
  for (const call of calls) if (call.parent_run_id && part.has(call.parent_run_id)) part.add(call.run_id);
  return calls.filter((call) => part.has(call.run_id));
}

/** The chain of calls below the one that began it; where that is purged, below `run_id`. */
export function chainToWire(calls: ChainedRun[], run_id: string) {
  const top = (id: string) => calls.find((call) => call.run_id === id);
  const root = top(calls[0]!.root_run_id) ?? top(run_id) ?? calls[0]!;
  const below = Map.groupBy(calls, ({ parent_run_id }) => parent_run_id);
  const whole = subtreeCost(root, below);
  const tree = toNode(root, below, whole);
  const shown = [...nodesOf(tree)];
  const count = (...statuses: CallStatus[]) => shown.filter(({ status }) => statuses.includes(status)).length;
  const costliest = shown.reduce((most, node) => (node.self_cost_usd > most.self_cost_usd ? node : most));
  return {
    root_run_id: tree.run_id,
    is_live: !calls.every(({ status }) => hasEnded(status)),
    total_cost_usd: whole,
    total_duration_ms: root.duration_ms ?? 0,
    node_count: shown.length,
    active_count: count('queued', 'running'),
    completed_count: count('completed'),
    failed_count: count('failed', 'timeout'),
    most_expensive_agent: costliest.self_cost_usd > 0 ? costliest.agent_name : '',
    tree,
  };
}

type Below = Map<string | null, ChainedRun[]>;

function subtreeCost(call: ChainedRun, below: Below): number {
  return money((below.get(call.run_id) ?? []).reduce((sum, child) => sum + subtreeCost(child, below), call.cost_usd));
}

/** As deep as chains are. */
function toNode(call: ChainedRun, below: Below, whole: number): ChainNode {
  const { usage, cost_usd } = call;
  return {
    run_id: uuidOf(call.run_id),
    agent_name: nameOf(call),
    agent: call.agent,
    agent_version: call.version,
    status: statusOf(call),
    duration_ms: call.duration_ms,
    started_at: call.started_at ?? call.created_at,
    self_cost_usd: cost_usd,
    subtree_cost_usd: subtreeCost(call, below),
    cost_pct: whole > 0 ? Math.round((cost_usd / whole) * 1_000) / 10 : 0,
    input_tokens: usage.input_tokens,
    output_tokens: usage.output_tokens,
    llm_model: call.model,
    llm_provider: call.vendor,
    trace_summary: {
      llm_calls: usage.llm_calls,
      tool_calls: call.tool_calls,
      errors: call.errors,
      total_tokens: usage.input_tokens + usage.output_tokens,
      total_cost_usd: cost_usd,
    },
    children: (below.get(call.run_id) ?? []).map((child) => toNode(child, below, whole)),
  };
}

function* nodesOf(node: ChainNode): Generator<ChainNode> {
  yield node;
  for (const child of node.children) yield* nodesOf(child);
}
