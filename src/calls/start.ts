import type { Waiter } from '../../db/agent-calls.ts';
import { insertRunFiles } from '../../db/run-files.ts';
import type { AgentTerms, CallWarning, NewAgentCall, RunAgent } from '../../db/schema.ts';
import { insertText } from '../../db/texts.ts';
import { longInputId } from '../../workflows/contract/agent-task.ts';
import type { AgentTool } from '../../workflows/contract/definition.ts';
import type { Principal } from '../accounts/principal.ts';
import { frozen } from '../agents/models.ts';
import { checkerOf } from '../agents/schema-check.ts';
import { chooseTools } from '../agents/tools.ts';
import { codeTermsOf, requireSandbox } from '../code/terms.ts';
import type { KeyRing } from '../crypto.ts';
import { requireNone } from '../errors.ts';
import { withTexts } from '../files/attach.ts';
import type { PutFiles } from '../files/keep.ts';
import { newId, type IdSeed } from '../ids.ts';
import { agentOfCode, agentRunRow } from '../runs/agent-runs.ts';
import type { GoalDeps } from '../runs/goals.ts';
import { readableJson } from '../runs/readable-json.ts';
import { findAccepted, startRun, termsRow } from '../runs/start.ts';
import type { Called } from './called.ts';
import { deprecated, notChecked, notice } from './warnings.ts';
import { least, standingOf, type ChainRequest, type Standing } from './chain.ts';
import type { LlmCredentials } from './credentials.ts';
import { modelOfCall } from './model.ts';
import { withSkills, type SkillsAsked } from './skills.ts';
import { holdDownstream } from './spending.ts';

/** What an agent is called with. */
export type CallRequest = {
  input: Record<string, unknown>;
  /** What came with the call, and is kept with its run. */
  files?: PutFiles;
  credentials?: LlmCredentials;
  /** Whom of its own the caller calls it for. */
  tenant?: string;
  chain: ChainRequest;
  skills: SkillsAsked;
  /** The same of two calls that ask for the same. */
  fingerprint: string;
  /** Who waits for the answer. */
  waiter?: Waiter;
};

export type CallDeps = GoalDeps & { encryptionKey: KeyRing };

/** Longer inputs are kept as texts: lists show the beginning. In characters. */
const longestInList = 20_000;
const beginning = 2_000;

/**
 * Accepts a run of an agent that was called. It is a run of who calls: their provider, their limits, their files; another's agent
 * brings its prompt and what it does, and nothing of its author's account. A retry finds the run that its first try accepted.
 * Throws `InvalidInputError` for an input that does not fit, `CODE_MISSING` and `NO_SANDBOX` of code that cannot be run, and what `standingOf`, `modelOfCall` and `startRun` throw.
 */
export async function startCall(
  deps: CallDeps,
  principal: Principal,
  called: Called,
  request: CallRequest,
  idempotency: IdSeed | undefined,
): Promise<string> {
  const accepted = await findAccepted(deps.db, principal, idempotency);
  if (accepted) return accepted;
  const { spec } = called;
  const { input, credentials } = request;
  const standing = await standingOf(deps, principal, called, request.chain);
  const { parent } = standing;
  const code = codeTermsOf(called);
  const warnings = [...inputWarnings(called, request), ...(code ? skillWarnings(request) : [])];
  if (code) await requireSandbox(deps.db);
  const run_id = newId('run', idempotency);
  const model = await modelOfCall(deps, principal, called, {
    credentials,
    run_id,
    parent_run_id: standing.parent_run_id,
  });
  const prompt = code ? noPrompt : await withSkills(deps.db, called, request.skills);
  const agent = await agentOf(deps, principal, called, { model: model.model, ...prompt });
  warnings.push(...[...agent.warnings, ...model.warnings].map(notice));
  const files = await withTexts(deps, request.files?.files ?? []);

  const whole = readableJson(input);
  const isLong = whole.length > longestInList;
  const deadline_at = deadlineOf(called, standing.deadline_at);
  const row = {
    run_id,
    origin: 'orchagent' as const,
    task: isLong ? `${whole.slice(0, beginning).toWellFormed()}…` : whole,
    fallback_provider_ids: '[]',
    start_warnings: JSON.stringify(warnings.map(({ message }) => message)),
    ...agentRunRow({
      agent_id: called.agent_id,
      agents: [agent.frozen],
      provider_id: model.provider_id,
      require_approval: spec.require_approval,
      agent_run: {
        ...termsOf(called, { deadline_at, callers: standing.deadline_at }, isLong ? longInputId(run_id) : undefined),
        code,
      },
    }),
    ...termsRow({
      on_timeout: 'wait',
      max_cost_usd: spec.max_cost_usd,
      max_tokens: spec.max_tokens,
      on_budget: parent ? 'fail' : spec.on_budget,
    }),
  };
  const call = callOf(principal, called, request, { ...standing, run_id, deadline_at, warnings });
  const alongside = async (trx: Parameters<typeof insertRunFiles>[0]) => {
    if (parent) await holdDownstream(trx, parent, run_id);
    if (isLong) await insertText(trx, { text_id: longInputId(run_id), run_id, text: whole });
    if (model.own) await trx.insertInto('providers').values(model.own).execute();
    await request.files?.keep(trx);
    await insertRunFiles(trx, { run_id }, files);
  };
  const hasMore = parent || isLong || model.own || files.length > 0;
  const accepting = {
    ...row,
    call,
    agent_version: called.version,
    start: undefined,
    asks_no_model: code !== undefined,
    takes_no_place: parent !== undefined,
  };
  await startRun(deps, principal, accepting, idempotency, hasMore ? alongside : undefined);
  return run_id;
}

function termsOf(
  { spec, engine }: Called,
  { deadline_at, callers }: { deadline_at: number | undefined; callers: number | undefined },
  input_id: string | undefined,
): AgentTerms {
  const { timeout_seconds, output_schema } = spec;
  return {
    timeout_seconds,
    output_schema,
    engine,
    ...(deadline_at !== undefined && { deadline_at, deadline_is_callers: deadline_at === callers }),
    ...(input_id !== undefined && { input_id }),
  };
}

/** As what it was called, as it is kept with its run. */
function callOf(
  { account_id, key_id }: Principal,
  { owner_id, version_id, name, version, endpoint }: Called,
  { tenant, fingerprint, waiter }: CallRequest,
  {
    run_id,
    deadline_at,
    root_run_id,
    downstream,
    parent,
    warnings,
    ...standing
  }: Standing & { run_id: string; warnings: CallWarning[] },
): NewAgentCall {
  return {
    ...standing,
    run_id,
    account_id,
    key_id,
    owner_id,
    version_id,
    agent: name,
    version,
    endpoint,
    tenant: tenant ?? parent?.tenant ?? null,
    fingerprint,
    ...waiter,
    root_run_id: root_run_id ?? run_id,
    deadline_at: deadline_at === undefined ? null : new Date(deadline_at).toISOString(),
    downstream: JSON.stringify(downstream),
    warnings: JSON.stringify(warnings),
  };
}

/**
 * When it has failed: at the deadline that it was called with, and after the time that the agent has. Where people are asked it has
 * that for the turns of its model alone, since they have their own.
 */
function deadlineOf({ spec }: Called, deadline_at: number | undefined): number | undefined {
  const asksPeople = spec.require_approval || spec.tools.some((tool) => tool.require_approval);
  const { timeout_ms } = spec.package?.manifest ?? {};
  const own = asksPeople ? undefined : Date.now() + Math.min(spec.timeout_seconds * 1_000, timeout_ms ?? Infinity);
  return least(own, deadline_at);
}

/** Holds the input against the agent's schema. Where files come beside it, what is missing of it may be in them. */
function inputWarnings({ spec }: Called, { input, files }: CallRequest): CallWarning[] {
  const { input_schema } = spec;
  const unchecked = spec.package?.unchecked?.filter((place) => place.startsWith('input_schema')) ?? [];
  const skipped = unchecked.length > 0 ? [notChecked(` in these places: ${unchecked.slice(0, 10).join(', ')}`)] : [];
  if (!input_schema) return skipped;
  if (files && files.files.length > 0) return [notChecked(': it came as files')];
  requireNone(checkerOf(input_schema)(input));
  const { properties = {} } = input_schema as { properties?: Record<string, { deprecated?: boolean }> };
  return Object.keys(input)
    .flatMap((field) => (properties[field]?.deprecated ? [deprecated(field)] : []))
    .concat(skipped);
}

const noPrompt = { system_prompt: null, is_closed: false };

/** Of code, which has no prompt that skills could be added to. */
function skillWarnings({ skills: { add, only = [] } }: CallRequest): CallWarning[] {
  const asked = [...only, ...add];
  const left = `Skills were left out, since this agent is code: ${asked.join(', ').slice(0, 500)}.`;
  return asked.length > 0 ? [notice(left)] : [];
}

/** The agent as the run freezes it, and what of it stays with its author. */
async function agentOf(
  deps: CallDeps,
  principal: Principal,
  { spec, agent_id, version, owner_id, isOwn, engine }: Called,
  { model, system_prompt, is_closed }: { model: string | null; system_prompt: string | null; is_closed: boolean },
): Promise<{ frozen: RunAgent; warnings: string[] }> {
  const { name, max_turns, require_approval } = spec;
  const asked = { name, system_prompt, is_closed, model, max_turns, require_approval, agent_id, version };
  if (engine === 'code_runtime') {
    const agent = agentOfCode({ name, model }, { agent_id, version });
    return { frozen: isOwn ? agent : { ...agent, owner_id }, warnings: [] };
  }
  const others = engine === 'managed_loop' ? dependencyTools(spec) : [];
  if (isOwn) {
    const [chosen = []] = await chooseTools(deps, principal, [spec]);
    const tools = [...chosen, ...others];
    const agent = frozen({ ...asked, knowledge: spec.knowledge }, tools);
    return { frozen: { ...agent, provider_id: null }, warnings: [] };
  }
  const ours = new Set(deps.tools.map((tool) => tool.name));
  const tools = [...spec.tools.filter((tool) => ours.has(tool.name)), ...others];
  const left = [
    ...spec.tools.filter((tool) => !ours.has(tool.name)).map((tool) => `the tool ${tool.name}`),
    ...(spec.knowledge.length > 0 ? ['its knowledge'] : []),
  ];
  const warnings = left.length > 0 ? [`What is its author's own was left out: ${left.join(', ')}.`] : [];
  return { frozen: { ...frozen({ ...asked, owner_id }, tools), provider_id: null }, warnings };
}

/** The agents that its manifest names, each as a tool. */
function dependencyTools({ package: packed }: Called['spec']): AgentTool[] {
  return (packed?.manifest?.dependencies ?? []).map(({ id, version }) => ({
    name: id.toLowerCase(),
    require_approval: false,
    calls: `${id}@${version}`,
  }));
}
