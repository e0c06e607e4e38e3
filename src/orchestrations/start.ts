import type { Db } from '../../db/index.ts';
import { keepDefinition } from '../../db/orchestrations.ts';
import { listProviders } from '../../db/providers.ts';
import type { Run, RunOrigin } from '../../db/schema.ts';
import type { StateRefs } from '../../db/shared-state.ts';
import { insertTexts } from '../../db/texts.ts';
import type { OnTimeout } from '../../workflows/contract/gate-terms.ts';
import type { Principal, Remark } from '../accounts/principal.ts';
import { chooseModels, type ModelDeps } from '../agents/models.ts';
import { requireNone } from '../errors.ts';
import { requireCallable } from '../fetch/index.ts';
import { newId, type IdSeed } from '../ids.ts';
import { onTimeoutFaults } from '../runs/form-terms.ts';
import { addressesOf, checkGateTerms } from '../runs/gate-terms.ts';
import { startTimeOf, type StartTimeRequest } from '../runs/start-time.ts';
import {
  findAccepted,
  startRun,
  termsRow,
  withFiles,
  type RunRequest,
  type RunTerms,
  type StartDeps,
} from '../runs/start.ts';
import { checkTools } from './check-tools.ts';
import type { Orchestration } from './find.ts';
import { firstState } from './first-state.ts';
import { agentsOfSteps } from './step-agents.ts';
import { gatesOf, stepsWithTerms } from './terms.ts';

/**
 * `initial_state` is what the state begins with beside the message, by key. What it may cost is what the definition says,
 * unless `max_cost_usd` does. `warnings` is what the readers of the run are told of the request.
 */
export type OrchestrationRequest = RunTerms &
  StartTimeRequest &
  Pick<Remark, 'on_behalf_of'> & {
    message: string;
    initial_state: Record<string, unknown>;
    provider_id?: string;
    attachments?: string[];
    on_timeout: OnTimeout;
    warnings: string[];
    /** The surface over which it is asked for. */
    origin: RunOrigin;
  };

/**
 * Accepts a run of the orchestration that `find` finds, with the definition and the registered agents as they are now, and returns
 * its id. A retry of the request finds the run that its first try accepted, whatever has become of these. Throws
 * `InvalidInputError` for terms that cannot work and addresses that may not be called, and what `find`, `agentsOfSteps`,
 * `chooseModels`, `checkTools` and `startRun` throw.
 */
export async function startOrchestration(
  deps: StartDeps & ModelDeps & { minReminderSeconds: number },
  principal: Principal,
  find: () => Promise<Orchestration>,
  request: OrchestrationRequest,
  idempotency: IdSeed | undefined,
): Promise<string> {
  const { db } = deps;
  const accepted = await findAccepted(db, principal, idempotency);
  if (accepted) return accepted;
  const { id, hash, definition } = await find();
  const start = startTimeOf(request);
  const gates = stepsWithTerms(definition);
  checkGateTerms(request, gates, deps.minReminderSeconds);
  requireNone(onTimeoutFaults(definition, request.on_timeout));
  requireCallable(deps.checkAddress, addressesOf(request, gates));
  const provider_id = request.provider_id ?? (await ownProvider(db, principal));
  const { agents, pathOf } = await agentsOfSteps(db, principal, definition);
  const chosen = await chooseModels(deps, principal, provider_id, agents, pathOf);
  await checkTools(deps, principal, definition);
  const run_id = newId('run', idempotency);
  const { refs, texts } = firstState(run_id, definition, request);
  const insertMore = await withFiles(deps, principal, { run_id, attachments: request.attachments }, (trx) =>
    insertTexts(trx, texts),
  );
  await keepDefinition(db, hash, definition);
  const run = {
    ...orchestrationRow(run_id, {
      ...request,
      human_gates: gatesOf(definition),
      max_cost_usd: request.max_cost_usd ?? definition.max_total_cost_usd,
      provider_id,
      agents: chosen,
      orchestration_id: id,
      definition_hash: hash,
      first_state: refs,
      shared_state: refs,
    }),
    start_warnings: JSON.stringify(request.warnings),
    start,
    on_behalf_of: request.on_behalf_of,
  };
  await startRun(deps, principal, run, idempotency, insertMore);
  return run_id;
}

/** What is stored of a run of an orchestration before it begins, whoever starts it. */
export function orchestrationRow(
  run_id: string,
  run: RunTerms &
    Pick<Run, 'agents' | 'human_gates' | 'provider_id' | 'orchestration_id' | 'definition_hash'> & {
      origin: RunOrigin;
      message: string;
      first_state: StateRefs;
      shared_state: StateRefs;
    },
): RunRequest {
  return {
    run_id,
    origin: run.origin,
    task: run.message,
    agents: JSON.stringify(run.agents),
    human_gates: JSON.stringify(run.human_gates),
    ask_me_about: '[]',
    require_approval: false,
    provider_id: run.provider_id,
    ...termsRow(run),
    orchestration_id: run.orchestration_id,
    definition_hash: run.definition_hash,
    first_state: JSON.stringify(run.first_state),
    shared_state: JSON.stringify(run.shared_state),
  };
}

/** A client that names no provider runs on the newest one of its account; on the server's model when it has none. */
async function ownProvider(db: Db, { account_id }: Principal): Promise<string | null> {
  const [newest] = await listProviders(db, account_id);
  return newest?.provider_id ?? null;
}
