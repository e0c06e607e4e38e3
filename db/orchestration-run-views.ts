import { sql } from 'kysely';
import { jsonArrayFrom } from 'kysely/helpers/postgres';
import type { HumanField } from '../workflows/contract/field-values.ts';
import type { RunStatus, StepMark, TaskStatus } from '../workflows/contract/states.ts';
import type { ValueRef } from '../workflows/contract/shared-state.ts';
import type { Db } from './index.ts';
import { openGatesOf, type WaitingGate } from './orchestration-runs.ts';
import { waitOfRun, type WaitOfRun } from './run-queue.ts';
import type { Usage } from './run-views.ts';
import { textIdsOf } from './shared-state.ts';
import { listTexts } from './texts.ts';

/** Orchestrations as runs: what readers see of them. */

/** Of the values of the state, and of what people are asked, in one answer. In bytes. */
const maxShown = 8 * 1024 * 1024;
const oldestFirst = sql`(order by opened_at, position)`;
const tooMuch = 'an answer has 8 MiB of them at most.';

/** What a person is shown at a human step; written by the step itself. */
export type Form = { step_id: string; prompt: string; fields: HumanField[]; agent_context: string | null };

export type OpenGate = WaitingGate & {
  reason: string | null;
  due_at: string | null;
  title: string;
  form: string | null;
  /** What the task has so far: at a tool's approval, its arguments. */
  draft: string | null;
};

export type OrchestrationRun = WaitOfRun & {
  run_id: string;
  orchestration_id: string;
  status: RunStatus;
  task: string;
  error: string | null;
  shared_state: Record<string, ValueRef>;
  warnings: string[];
  attempt: number;
  held_at: string | null;
  created_at: string;
  start_at: string | null;
  started_at: string | null;
  completed_at: string | null;
  usage: Usage;
  /** In the order in which they began. */
  steps: {
    id: string;
    title: string;
    step: StepMark;
    status: TaskStatus;
    error: string | null;
    usage: Usage;
    started_at: string | null;
    completed_at: string | null;
  }[];
  /** Those that are open, the oldest first. */
  gates: OpenGate[];
  /** The texts that the state refers to, by their ids. */
  texts: Map<string, string>;
  /** There is more than is shown; `warnings` say what. */
  is_cut: boolean;
};

/**
 * The run of an orchestration, or undefined when this account has none of this id. Of the values of its state, and of what people are
 * asked, it has as many as come to `most` bytes.
 */
export async function findOrchestrationRun(
  db: Db,
  account_id: string,
  run_id: string,
  { most = maxShown }: { most?: number } = {},
): Promise<OrchestrationRun | undefined> {
  const run = await db
    .selectFrom('runs')
    .select(['run_id', 'orchestration_id', 'status', 'task', 'error', 'shared_state', 'attempt', 'held_at'])
    .select(['created_at', 'start_at', 'started_at', 'completed_at', ...waitOfRun])
    .select(sql<string[]>`warnings_of(runs)`.as('warnings'))
    .select(sql<Usage>`usage_of(run_id)`.as('usage'))
    .select((eb) => [
      jsonArrayFrom(
        eb
          .selectFrom('tasks')
          .select(['id', 'title', 'step', 'tasks.status', 'tasks.error'])
          .select(sql<Usage>`usage_of(tasks.run_id, tasks.id)`.as('usage'))
          .select(sql<string | null>`iso(tasks.started_at)`.as('started_at'))
          .select(sql<string | null>`iso(tasks.completed_at)`.as('completed_at'))
          .whereRef('tasks.run_id', '=', 'runs.run_id')
          .where('step', 'is not', null)
          .$narrowType<{ step: StepMark }>()
          .orderBy('position'),
      ).as('steps'),
      jsonArrayFrom(
        eb
          .selectFrom(
            openGatesOf(eb)
              .leftJoin('texts as draft', 'draft.text_id', 'tasks.output_id')
              .leftJoin('texts as form', (join) =>
                join.on('form.text_id', '=', sql<string>`gates.run_id || '/' || gates.task_id || '/form'`),
              )
              .select(['reason', 'tasks.title', 'form.text as form', 'draft.text as draft'])
              .select(sql<string | null>`iso(due_at)`.as('due_at'))
              .select(sql<number>`row_number() over ${oldestFirst}`.as('nth'))
              .select(
                sql<number>`sum(coalesce(octet_length(form.text), 0) + coalesce(octet_length(draft.text), 0)) over ${oldestFirst}`.as(
                  'bytes',
                ),
              )
              .as('open'),
          )
          .select(['open.gate_id', 'open.task_id', 'open.kind', 'open.decisions', 'open.step_id', 'open.reason'])
          .select(['open.due_at', 'open.title', 'open.form', 'open.draft'])
          .where((where) => where.or([where('nth', '=', 1), where('bytes', '<=', most)]))
          .orderBy('nth'),
      ).as('gates'),
      sql<string[]>`array(
        select text_id
        from (
          select text_id, sum(octet_length(text)) over (order by octet_length(text), text_id) as bytes
          from texts
          where text_id in (
            select coalesce(value ->> 'text', value ->> 'json') from jsonb_each(runs.shared_state) as state(key, value))
        ) as state
        where bytes <= ${most})`.as('text_ids'),
      sql<number>`(select count(*) from gates where gates.run_id = runs.run_id and gates.status = 'open')`.as('open'),
    ])
    .where('account_id', '=', account_id)
    .where('run_id', '=', run_id)
    .where('kind', '=', 'orchestration')
    .$narrowType<{ orchestration_id: string; shared_state: Record<string, ValueRef> }>()
    .executeTakeFirst();
  if (!run) return undefined;
  const { open, text_ids, ...shown } = run;
  const missing = leftOut(shown, text_ids, open);
  // Each in a row of its own: a row of them all would be held four times over while it comes.
  const texts = await listTexts(db, text_ids);
  // It was purged meanwhile.
  if (texts.size < text_ids.length) return undefined;
  return { ...shown, texts, warnings: [...run.warnings, ...missing], is_cut: missing.length > 0 };
}

/** What is there and is not shown, in words. */
function leftOut(
  { shared_state, gates }: Pick<OrchestrationRun, 'shared_state' | 'gates'>,
  text_ids: string[],
  open: number,
): string[] {
  const shown = new Set(text_ids);
  const keys = Object.keys(shared_state).filter((key) => textIdsOf(shared_state, [key]).some((id) => !shown.has(id)));
  const state = `\`shared_state\` is shown without ${keys.join(', ')}: ${tooMuch}`;
  const waiting = `${open - gates.length} more wait and are not shown: ${tooMuch}`;
  return [...(keys.length > 0 ? [state] : []), ...(open > gates.length ? [waiting] : [])];
}

export type OrchestrationRunItem = {
  run_id: string;
  orchestration_id: string;
  status: RunStatus;
  message: string;
  error: string | null;
  held_at: string | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
};

/** The account's runs of orchestrations, newest first; of one orchestration when given. */
export function listOrchestrationRuns(
  db: Db,
  account_id: string,
  page: { limit: number; orchestration_id?: string; status?: RunStatus[] },
): Promise<OrchestrationRunItem[]> {
  return db
    .selectFrom('runs')
    .select(['run_id', 'orchestration_id', 'status', 'task as message', 'error', 'held_at'])
    .select(['created_at', 'started_at', 'completed_at'])
    .where('account_id', '=', account_id)
    .where('kind', '=', 'orchestration')
    .$narrowType<{ orchestration_id: string }>()
    .$if(page.orchestration_id !== undefined, (query) => query.where('orchestration_id', '=', page.orchestration_id!))
    .$if(page.status !== undefined, (query) => query.where('status', 'in', page.status!))
    .orderBy('created_at', 'desc')
    .orderBy('run_id', 'desc')
    .limit(page.limit)
    .execute();
}

export type StepResult = {
  task_id: string;
  output: unknown;
  duration_seconds: number | null;
  texts: Map<string, string>;
};

/** What an execution of a step has come to, with the text that is asked for beside its own. */
export async function findStepResult(
  db: Db,
  run_id: string,
  task_id: string,
  text_id: string | null,
): Promise<StepResult | undefined> {
  const task = await db
    .selectFrom('tasks')
    .select(['id', 'step', 'output_id', 'started_at', 'completed_at'])
    .where('run_id', '=', run_id)
    .where('id', '=', task_id)
    .executeTakeFirst();
  if (!task) return undefined;
  const { step, output_id, started_at, completed_at } = task;
  const texts = await listTexts(
    db,
    [output_id, text_id].filter((id) => id !== null),
  );
  const ref = step?.output_key ? step.writes[step.output_key] : undefined;
  const text = output_id === null ? undefined : texts.get(output_id);
  const isJson = ref ? 'json' in ref : step?.type === 'human' || step?.type === 'loop';
  const duration = started_at && completed_at ? Date.parse(completed_at) - Date.parse(started_at) : null;
  return {
    task_id,
    output:
      ref && 'value' in ref ? ref.value : text === undefined ? null : isJson ? (JSON.parse(text) as unknown) : text,
    duration_seconds: duration === null ? null : duration / 1_000,
    texts,
  };
}
