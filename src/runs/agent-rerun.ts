import { copyCall } from '../../db/agent-calls.ts';
import { holdSource } from '../../db/reruns.ts';
import type { AgentTerms, Run, RunOrigin } from '../../db/schema.ts';
import { copyText } from '../../db/texts.ts';
import { longInputId } from '../../workflows/contract/agent-task.ts';
import { inModeOf, type Principal, type Remark } from '../accounts/principal.ts';
import { chooseModels, modelsAgain, type ModelDeps } from '../agents/models.ts';
import { notFound, requireNone, type FieldFault } from '../errors.ts';
import { takeFilesOver } from '../files/attach.ts';
import { newId, type IdSeed } from '../ids.ts';
import { agentTaskId } from '../../workflows/contract/plan.ts';
import { agentRunRow } from './agent-runs.ts';
import { startTimeOf, type StartTimeRequest } from './start-time.ts';
import { startRun, termsRow, type StartDeps } from './start.ts';

/**
 * Accepts a run that does again what another run of an agent has done, with the agent as that one froze it, its input and its
 * terms, and returns its id. Where that was called as `org/agent@version`, this is a call of it too, the first of a chain. `provider_id` may be another. Throws `InvalidInputError` for another task than its only one and for
 * edits, of which there are none, `NOT_FOUND` when the other is purged meanwhile, and what `chooseModels`, `takeFilesOver`
 * and `startRun` throw.
 */
export async function rerunAgent(
  deps: StartDeps & ModelDeps,
  asking: Principal,
  source: Run,
  request: Remark &
    StartTimeRequest & {
      from_task: string;
      edits: Record<string, unknown>;
      provider_id?: string | null;
      /** `orchflow` unless given. */
      origin?: RunOrigin;
    },
  idempotency: IdSeed | undefined,
): Promise<string> {
  const { agent_run, agent_id, require_approval } = source;
  const principal = inModeOf(asking, source);
  const start = startTimeOf(request);
  requireNone(faultsOf(request));
  const run_id = newId('run', idempotency);
  const asked = await modelsAgain(deps.db, principal, source, request.provider_id);
  const { provider_id } = asked;
  const agents = agent_run?.code
    ? source.agents
    : await chooseModels(deps, principal, provider_id, asked.agents, () => ['from_task']);
  const row = {
    run_id,
    origin: request.origin ?? ('orchflow' as const),
    task: source.task,
    fallback_provider_ids: JSON.stringify(source.fallback_provider_ids),
    ...agentRunRow({ agent_id, agents, provider_id, require_approval, agent_run: againOf(run_id, agent_run!) }),
    ...termsRow(source),
    forked_from: source.run_id,
    agent_version: source.agents[0]?.version,
    redoing: { from_task: request.from_task, edited: [] },
    note: request.note,
    on_behalf_of: request.on_behalf_of,
  };
  const started = { ...row, start, asks_no_model: agent_run?.code !== undefined };
  await startRun(deps, principal, started, idempotency, async (trx) => {
    // It may be purged since it was looked at.
    if (!(await holdSource(trx, principal.account_id, source.run_id))) throw notFound('Run');
    await copyCall(trx, source.run_id, { run_id, key_id: principal.key_id });
    if (agent_run?.input_id) await copyText(trx, agent_run.input_id, { text_id: longInputId(run_id), run_id });
    await takeFilesOver(trx, principal, { from: source.run_id, to: run_id, tasks: new Map() });
  });
  return run_id;
}

/** Without the deadline of the call that it was, and with an input of its own. */
function againOf(
  run_id: string,
  { deadline_at: _, deadline_is_callers: __, input_id, ...terms }: AgentTerms,
): AgentTerms {
  return { ...terms, ...(input_id && { input_id: longInputId(run_id) }) };
}

function faultsOf({ from_task, edits }: { from_task: string; edits: Record<string, unknown> }): FieldFault[] {
  const edited = Object.keys(edits).map((id) => ({
    path: ['edits', id],
    detail: 'cannot be given: the run of an agent has nothing before its only task',
  }));
  if (from_task === agentTaskId) return edited;
  return [{ path: ['from_task'], detail: `must be ${agentTaskId}, the only task of the run of an agent` }, ...edited];
}
