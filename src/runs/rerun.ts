import { holdSource, insertTakenTasks, listPlannedTasks, type SourceTask } from '../../db/reruns.ts';
import { hasEnded } from '../../workflows/contract/states.ts';
import type { Run } from '../../db/schema.ts';
import { ancestors } from '../../workflows/contract/graph.ts';
import type { TakenTask } from '../../workflows/contract/inputs.ts';
import { inModeOf, type Principal, type Remark } from '../accounts/principal.ts';
import { chooseModels, modelsAgain, type ModelDeps } from '../agents/models.ts';
import { DomainError, InvalidInputError, notFound, requireNone } from '../errors.ts';
import { takeFilesOver } from '../files/attach.ts';
import { newId, type IdSeed } from '../ids.ts';
import { goalRow } from './goals.ts';
import { plannedTask } from './planned-task.ts';
import { startTimeOf, type StartTimeRequest } from './start-time.ts';
import { startRun, type StartDeps } from './start.ts';

/**
 * Accepts a run that does `from_task` of another run of a goal again, and every task after it, on the terms of that one, and
 * returns its id. `provider_id` may be another. Throws what `planRerun`, `chooseModels`, `takeFilesOver` and `startRun`
 * throw, and `NOT_FOUND` when the other is purged meanwhile.
 */
export async function rerunGoal(
  deps: StartDeps & ModelDeps,
  asking: Principal,
  source: Run,
  request: Remark &
    StartTimeRequest & { from_task: string; edits: Record<string, string>; provider_id?: string | null },
  idempotency: IdSeed | undefined,
): Promise<string> {
  const principal = inModeOf(asking, source);
  const start = startTimeOf(request);
  const tasks = await listPlannedTasks(deps.db, source.run_id);
  const run_id = newId('run', idempotency);
  const plan = planRerun(run_id, { run: source, tasks }, request);

  const asked = await modelsAgain(deps.db, principal, source, request.provider_id);
  const { provider_id } = asked;
  // The request names no agents.
  const agents = await chooseModels(deps, principal, provider_id, asked.agents, () => ['from_task']);
  await startRun(
    deps,
    principal,
    {
      ...goalRow(run_id, { ...source, provider_id }, agents),
      forked_from: source.run_id,
      plan: JSON.stringify(plan),
      start,
      redoing: { from_task: request.from_task, edited: Object.keys(request.edits) },
      note: request.note,
      on_behalf_of: request.on_behalf_of,
    },
    idempotency,
    async (trx) => {
      // It may be purged since it was looked at.
      if (!(await holdSource(trx, principal.account_id, source.run_id))) throw notFound('Run');
      await insertTakenTasks(trx, run_id, tasks, { plan, edits: request.edits });
      const standing = plan.filter(({ is_reused }) => is_reused);
      await takeFilesOver(trx, principal, {
        from: source.run_id,
        to: run_id,
        tasks: new Map(standing.map(({ id }) => [id, id])),
      });
    },
  );
  return run_id;
}

/**
 * The plan of a run that does `from_task` of another again, and every task after it. What is completed of the others
 * stands, or the text that is given in its place. Throws `InvalidInputError` for tasks that are not so, and
 * `RUN_NOT_READY` when a task before `from_task` is not completed.
 */
function planRerun(
  run_id: string,
  source: { run: Run; tasks: SourceTask[] },
  { from_task, edits }: { from_task: string; edits: Record<string, string> },
): TakenTask[] {
  const { run, tasks } = source;
  const notReady = (message: string) =>
    new DomainError('RUN_NOT_READY', message, { members: { run_status: run.status } });
  if (tasks.length === 0) {
    const ended = hasEnded(run.status) ? 'The run has ended without a plan. Start a new one.' : undefined;
    throw notReady(ended ?? 'The run has no plan yet.');
  }
  const known = new Set(tasks.map(({ id }) => id));
  if (!known.has(from_task))
    throw new InvalidInputError([{ path: ['from_task'], detail: 'is not a task of the plan of this run' }]);
  const isAfter = (id: string) => id === from_task || ancestors(tasks, id).includes(from_task);
  const faults = Object.keys(edits)
    .filter((id) => !known.has(id) || isAfter(id))
    .map((id) => ({
      path: ['edits', id],
      detail: known.has(id) ? 'is done again, so its output cannot be given' : 'is not a task of the plan of this run',
    }));
  requireNone(faults);

  const stands = ({ id, status }: SourceTask) => !isAfter(id) && (status === 'completed' || Object.hasOwn(edits, id));
  const before = ancestors(tasks, from_task);
  const missing = tasks.filter((task) => before.includes(task.id) && !stands(task)).map(({ id }) => id);
  if (missing.length > 0) {
    throw notReady(`${missing.join(', ')} must be completed before ${from_task} can be done again.`);
  }

  return tasks.map((task, index): TakenTask => {
    const { id, model, depends_on } = task;
    const is_reused = stands(task);
    const has_output = task.output_id !== null || Object.hasOwn(edits, id);
    return {
      ...plannedTask(run, task, index),
      model,
      depends_on,
      is_reused,
      output_id: is_reused && has_output ? `${run_id}/${id}/reused` : null,
    };
  });
}
