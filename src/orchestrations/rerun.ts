import { copySteps, copyTexts, listSteps } from '../../db/orchestration-reruns.ts';
import { findDefinition, keepDefinition } from '../../db/orchestrations.ts';
import { holdSource } from '../../db/reruns.ts';
import type { Run, RunAgent } from '../../db/schema.ts';
import { insertTexts } from '../../db/texts.ts';
import { inModeOf, type Principal, type Remark } from '../accounts/principal.ts';
import { chooseModels, type ModelDeps } from '../agents/models.ts';
import { notFound, type Path } from '../errors.ts';
import { takeFilesOver } from '../files/attach.ts';
import { newId, type IdSeed } from '../ids.ts';
import { startTimeOf, type StartTimeRequest } from '../runs/start-time.ts';
import { startRun, type StartDeps } from '../runs/start.ts';
import { checkToolsAt } from './check-tools.ts';
import { orchestrationRow } from './start.ts';
import { takeOver, type Taken } from './take-over.ts';

/** `from_task` is the id of an execution of a step, `edits` what the state is then, by key. */
export type OrchestrationRerun = Remark &
  StartTimeRequest & { from_task: string; edits: Record<string, unknown>; provider_id?: string };

/** What is wrong with the other run's definition is told here: the request has nothing else of it. */
const fromTask: Path = ['from_task'];

/**
 * Accepts a run of an orchestration that does `from_task` of another again, and all after it, with the definition and on the
 * terms of that one, and returns its id. What was completed before it, or beside it in other branches, stands. Throws
 * `NOT_FOUND` when the other is purged meanwhile, and what `takeOver`, `chooseModels`, `checkToolsAt`, `takeFilesOver` and `startRun` throw.
 */
export async function rerunOrchestration(
  deps: StartDeps & ModelDeps,
  asking: Principal,
  source: Run,
  request: OrchestrationRerun,
  idempotency: IdSeed | undefined,
): Promise<string> {
  const { db } = deps;
  const principal = inModeOf(asking, source);
  const start = startTimeOf(request);
  const definition_hash = source.definition_hash!;
  const [steps, definition] = await Promise.all([listSteps(db, source.run_id), findDefinition(db, definition_hash)]);
  const run_id = newId('run', idempotency);
  const taken = takeOver(run_id, { run: source, steps }, definition, request);

  const provider_id = request.provider_id ?? (principal.mode === 'test' ? null : source.provider_id);
  const agents = await agentsOf(deps, principal, { ...source, provider_id }, taken);
  const toRun = definition.steps.filter(({ id }) => taken.toRun.has(id));
  await checkToolsAt(deps, principal, toRun, fromTask);
  await keepDefinition(db, definition_hash, definition);
  const { first_state, shared_state, rerun_from } = taken;
  const row = {
    ...orchestrationRow(run_id, {
      ...source,
      origin: 'orchflow',
      message: source.task,
      provider_id,
      agents,
      first_state,
      shared_state,
    }),
    forked_from: source.run_id,
    rerun_from: JSON.stringify(rerun_from),
    start,
    redoing: { from_task: request.from_task, edited: Object.keys(request.edits) },
    note: request.note,
    on_behalf_of: request.on_behalf_of,
  };
  await startRun(deps, principal, row, idempotency, async (trx) => {
    // It may be purged since it was looked at.
    if (!(await holdSource(trx, principal.account_id, source.run_id))) throw notFound('Run');
    const copied = { from: source.run_id, to: run_id };
    await copySteps(trx, copied, taken.standing);
    // An edit of the source in whose place another one is given has the name of that one.
    if (taken.edits.length > 0) await insertTexts(trx, taken.edits);
    await copyTexts(trx, copied, taken.copies);
    await takeFilesOver(trx, principal, { ...copied, tasks: taken.tasks });
  });
  return run_id;
}

/** The agents of the run, on the models that there are now. Those of steps that stand have nothing to do, and stay as they were. */
async function agentsOf(
  deps: ModelDeps,
  principal: Principal,
  { agents, provider_id }: Pick<Run, 'agents' | 'provider_id'>,
  { toRun }: Taken,
): Promise<RunAgent[]> {
  const needed = agents.filter(({ name }) => toRun.has(name));
  const chosen = await chooseModels(deps, principal, provider_id, needed, () => fromTask);
  const byName = new Map(chosen.map((agent) => [agent.name, agent]));
  return agents.map((agent) => byName.get(agent.name) ?? agent);
}
