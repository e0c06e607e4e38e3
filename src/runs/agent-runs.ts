import { findAgent, findAgentVersion, versionNumber, type AgentVersion } from '../../db/agents.ts';
import type { AgentSpec, AgentTerms, NewRun, RunAgent, RunOrigin } from '../../db/schema.ts';
import type { Principal, Remark } from '../accounts/principal.ts';
import { checkFallbacks, chooseModels, usableProvider } from '../agents/models.ts';
import { checkerOf } from '../agents/schema-check.ts';
import { codeTermsOf, requireSandbox } from '../code/terms.ts';
import { DomainError, InvalidInputError, notFound, requireNone } from '../errors.ts';
import { requireCallable } from '../fetch/index.ts';
import { newId, type IdSeed } from '../ids.ts';
import { addressesOf, checkGateTerms } from './gate-terms.ts';
import type { GoalDeps } from './goals.ts';
import { readableJson } from './readable-json.ts';
import { startTimeOf, type StartTimeRequest } from './start-time.ts';
import { findAccepted, startRun, termsRow, withFiles, type RunTerms } from './start.ts';

/** What a registered agent is asked for. What is not given of limits, and of the provider, is the agent's. */
export type AgentRunRequest = Omit<RunTerms, 'on_budget'> &
  Partial<Pick<RunTerms, 'on_budget'>> &
  StartTimeRequest &
  Pick<Remark, 'on_behalf_of'> & {
    origin: RunOrigin;
    /** A text, or an object, which must fit the agent's input schema. */
    input: string | Record<string, unknown>;
    /** `latest` unless given. */
    version?: string;
    provider_id?: string;
    fallback_provider_ids: string[];
    attachments?: string[];
  };

/**
 * Accepts a run of one agent of the account, as a version of it says now, and returns its id. A retry of the request finds the
 * run that its first try accepted, whatever has become of the agent. Throws `NOT_FOUND` for an agent,
 * a version and providers that the account does not have, `InvalidInputError` for an input that does not fit, terms that cannot
 * work, addresses that may not be called, files, models and tools that it does not have, `CODE_MISSING` and `NO_SANDBOX` where code makes the output, and what `startRun` throws.
 */
export async function startAgentRun(
  deps: GoalDeps,
  principal: Principal,
  agent_id: string,
  request: AgentRunRequest,
  idempotency: IdSeed | undefined,
): Promise<string> {
  const { db } = deps;
  const accepted = await findAccepted(db, principal, idempotency);
  if (accepted) return accepted;
  const start = startTimeOf(request);
  const { spec, ...found } = await getVersion(deps, principal, agent_id, request.version);
  const { version } = found;
  const code = codeTermsOf({ spec, ...found });
  if (code) await requireSandbox(db);
  requireNone(inputFaults(spec, request.input));
  checkGateTerms(request, [], deps.minReminderSeconds);
  requireCallable(deps.checkAddress, addressesOf(request, []));
  await checkFallbacks(db, principal, request.fallback_provider_ids);
  const own = request.provider_id === undefined && principal.mode === 'live' ? spec.provider_id : null;
  const usable = own === null ? undefined : await usableProvider(db, principal, { ...spec, provider_id: own }, []);
  const provider_id = request.provider_id ?? usable?.provider_id ?? null;
  const asked = { ...spec, agent_id, version, provider_id: usable?.provider_id };
  const agents = code
    ? [agentOfCode(spec, { agent_id, version })]
    : await chooseModels(deps, principal, provider_id, [asked], () => []);
  const run_id = newId('run', idempotency);
  const { input, attachments, on_behalf_of } = request;
  const insertFiles = await withFiles(deps, principal, { run_id, attachments });
  const row = {
    run_id,
    origin: request.origin,
    task: typeof input === 'string' ? input : readableJson(input),
    fallback_provider_ids: JSON.stringify(request.fallback_provider_ids),
    ...agentRunRow({
      agent_id,
      agents,
      provider_id,
      require_approval: spec.require_approval,
      agent_run: { ...spec, code },
    }),
    ...termsRow({
      ...request,
      max_cost_usd: request.max_cost_usd ?? spec.max_cost_usd,
      max_tokens: request.max_tokens ?? spec.max_tokens,
      on_budget: request.on_budget ?? spec.on_budget,
    }),
  };
  const started = { ...row, agent_version: version, start, on_behalf_of, asks_no_model: code !== undefined };
  await startRun(deps, principal, started, idempotency, insertFiles);
  return run_id;
}

/** What is stored of a run because it is one of an agent, whoever starts it. */
export function agentRunRow({
  agent_id,
  agents,
  provider_id,
  require_approval,
  agent_run,
}: Pick<NewRun, 'agent_id' | 'provider_id' | 'require_approval'> & {
  agents: object[];
  agent_run: AgentTerms;
}) {
  const { timeout_seconds, output_schema, code, engine, deadline_at, deadline_is_callers, input_id } = agent_run;
  return {
    agent_id,
    agents: JSON.stringify(agents),
    agent_run: JSON.stringify({
      timeout_seconds,
      output_schema,
      code,
      engine,
      deadline_at,
      deadline_is_callers,
      input_id,
    }),
    provider_id,
    require_approval,
    human_gates: '[]',
    ask_me_about: '[]',
  };
}

/** An agent whose output code makes: it has no prompt, and the model that its code is told of is asked by nobody here. */
export function agentOfCode(
  { name, model }: Pick<AgentSpec, 'name' | 'model'>,
  registered: Pick<RunAgent, 'agent_id' | 'version'>,
): RunAgent {
  return { name, system_prompt: '', model, provider_id: null, ...registered };
}

async function getVersion(
  { db }: Pick<GoalDeps, 'db'>,
  { account_id }: Principal,
  agent_id: string,
  version = 'latest',
): Promise<Pick<AgentVersion, 'version' | 'spec' | 'code_hash' | 'entrypoint'>> {
  const newest = await findAgent(db, account_id, agent_id);
  if (!newest) throw notFound('Agent');
  if (newest.type === 'skill') {
    throw new InvalidInputError([
      { path: ['agent_id'], detail: 'is a skill package, which other agents use: it does not run' },
    ]);
  }
  if (version === 'latest' || version === newest.version) return newest;
  const found = await findAgentVersion(db, account_id, agent_id, versionNumber(version));
  if (found) return found;
  const faults = [{ path: ['version'], detail: 'is not a version of this agent' }];
  throw new DomainError('NOT_FOUND', 'Agent version not found.', { faults });
}

function inputFaults({ input_schema }: AgentSpec, input: unknown) {
  if (!input_schema) return [];
  return checkerOf(input_schema)(input).map(({ path, detail }) => ({ path: ['input', ...path], detail }));
}
