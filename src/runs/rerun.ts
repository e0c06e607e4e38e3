import { findSource, insertTakenTasks, type SourceTask } from '../../db/reruns.ts';
import { isFinished } from '../../db/runs.ts';
import type { Run } from '../../db/schema.ts';
import { ancestors } from '../../workflows/contract/graph.ts';
import type { TakenTask } from '../../workflows/contract/inputs.ts';
import { gateName } from '../../workflows/contract/plan.ts';
import type { Principal } from '../accounts/principal.ts';
import { chooseModels, type ModelDeps } from '../agents/models.ts';
import { DomainError, InvalidInputError, notFound, requireNone } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';
import { gatesOfTask } from './gate-terms.ts';
import { matchesGate } from './gate-words.ts';
import { goalRow } from './goals.ts';
import { startRun, type StartDeps } from './start.ts';

/**
 * Accepts a run that does `from_task` of another again, and every task after it, on the terms of the first, and returns
 * its id. `provider_id` may be another. Throws what `planRerun`, `chooseModels` and `startRun` throw, and `NOT_FOUND`.
 */
export async function rerunGoal(
  deps: StartDeps & ModelDeps,
  principal: Principal,
  source_id: string,
  request: { from_task: string; edits: Record<string, string>; provider_id?: string | null },
  idempotency: IdSeed | undefined,
): Promise<string> {
  const source = await findSource(deps.db, principal.account_id, source_id);
  if (!source) throw notFound('Run');
  const run_id = newId('run', idempotency);
  const plan = planRerun(run_id, source, request);

  const { run, tasks } = source;
  const provider_id = request.provider_id ?? run.provider_id;
  const agents = await chooseModels(deps, principal, provider_id, run.agents);
  await startRun(
    deps,
    principal,
    { ...goalRow(run_id, { ...run, provider_id }, agents), forked_from: run.run_id, plan: JSON.stringify(plan) },
    idempotency,
    (trx) => insertTakenTasks(trx, run_id, tasks, { plan, edits: request.edits }),
  );
  return run_id;
}

/**
 * The plan of a run that does `from_task` of another again, and every task after it. What is completed of the others
 * stands, or the text that is given in its place. Throws `InvalidInputError` for tasks that are not so, `RUN_NOT_OF_GOAL`
 * for a run without a plan, and `RUN_NOT_READY` when a task before `from_task` is not completed.
 */
function planRerun(
  run_id: string,
  source: { run: Run; tasks: SourceTask[] },
  { from_task, edits }: { from_task: string; edits: Record<string, string> },
): TakenTask[] {
  const { run, tasks } = source;
  const notReady = (message: string) =>
    new DomainError('RUN_NOT_READY', message, { members: { run_status: run.status } });
  if (run.kind === 'orchestration') {
    const message = 'This is the run of an orchestration, and only runs of goals are done again in part.';
    throw new DomainError('RUN_NOT_OF_GOAL', message, { members: { run_status: run.status } });
  }
  if (tasks.length === 0) {
    const ended = isFinished(run.status) ? 'The run has ended without a plan. Start a new one.' : undefined;
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
    const { id, title, kind, agent, model, depends_on } = task;
    const asks = index === 0 && kind === 'human' && run.ask_me_about.length > 0;
    const is_reused = stands(task);
    const has_output = task.output_id !== null || Object.hasOwn(edits, id);
    return {
      id,
      title,
      kind,
      agent,
      model,
      depends_on,
      place: asks ? 'start' : 'planned',
      ...(kind === 'human' && !asks && gatesOfTask(run, task.human_gates ?? gatesByWords(run, title))),
      is_reused,
      output_id: is_reused && has_output ? `${run_id}/${id}/reused` : null,
    };
  });
}

/** Plans of 0.1.0 do not say to which gates a task answers. */
function gatesByWords({ human_gates }: Run, title: string): number[] {
  return human_gates.flatMap((gate, index) => (matchesGate(gateName(gate), title) ? [index] : []));
}
