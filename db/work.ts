import { sql, type RawBuilder } from 'kysely';
import type { RunStatus } from '../workflows/contract/states.ts';
import { suspendedMs } from './accounts.ts';
import type { Db } from './index.ts';
import { cooldownsOfAccount, type Cooldown } from './provider-cooldowns.ts';
import { savedStatus, type Signed } from './progress.ts';
import { providersOfRun, type UsableProvider } from './providers.ts';
import type { File, OwnRun, Task } from './schema.ts';

/** A file that the run was given, at the answer to a task unless with its goal; without a text when it is none, or not read yet. */
export type WorkFile = Pick<File, 'file_id' | 'name' | 'media_type' | 'size'> & {
  gate_id: string;
  task_id: string | null;
  text: string | null;
};

/** So many are loaded at once: their texts have a bound, and more would have no room in a prompt. */
const mostFiles = 40;

/** What it knows of the run itself: every activity reads it, and a state may be long. */
const columns = [
  'run_id',
  'account_id',
  'status',
  'held_at',
  'phase',
  'kind',
  'task',
  'agents',
  'agent_run',
  'human_gates',
  'ask_me_about',
  'require_approval',
  'provider_id',
  'fallback_provider_ids',
  'mode',
  'max_cost_usd',
  'max_tokens',
  'on_budget',
  'attempt',
  'event_seq',
  'steered',
  'retrying',
  'gate_due_in',
  'remind_every',
  'on_timeout',
  'escalation_webhook_url',
] as const satisfies (keyof OwnRun)[];

const ownColumns = sql.join(columns.map((column) => sql.ref(`runs.${column}`)));

type WorkRun = Pick<OwnRun, (typeof columns)[number]>;

/** Room in the memory of a worker for what a work holds, in bytes. */
export type Room = {
  /** Takes so much more. False when there is none. */
  take: (bytes: number) => boolean;
  give: (bytes: number) => void;
  /** Gives all back that was taken. */
  leave: () => void;
};

/** What an activity works from. */
export type Work = {
  run: WorkRun;
  /** In the order of the plan. */
  tasks: Pick<Task, 'id' | 'title' | 'description' | 'kind'>[];
  /** The texts that were asked for, by id. Ids without a text are missing; so are all where they are `text_bytes` of more than `mostAtOnce`. */
  texts: Map<string, string>;
  text_bytes: number;
  /** What the run was given with its goal, and then with its newest answers; at most `mostFiles`. */
  files: WorkFile[];
  /** The journalled model calls of the run. */
  paid_calls: Set<string>;
  /** Those of the account that the run and its agents name, where they are active. */
  providers: UsableProvider[];
  /** Of the providers that may be asked. */
  cooldowns: Cooldown[];
  /** For how long its account has been suspended; null when it is not. */
  suspended_ms: number | null;
  /** When the second call of the activity began, in milliseconds since 1970; undefined while it makes its first. */
  second_call_at?: number;
  /** For what it holds; it is at work where this is. */
  room?: Room;
};

/** What may change in a run while an activity works on it: its status, whether it is held, calls, providers, cooldowns, and its account. */
export type Known = Pick<WorkRun, 'status' | 'held_at'> &
  Pick<Work, 'providers' | 'cooldowns' | 'suspended_ms'> & { paid_calls: string[] };

type Row = WorkRun &
  Known &
  Pick<Work, 'tasks' | 'files' | 'text_bytes'> & {
    texts: Record<string, string>;
    stored: number;
  };

const whatIsKnown = sql`
  array(select call_id from llm_calls where llm_calls.run_id = runs.run_id) as paid_calls,
  (select coalesce(json_agg(provider), '[]') from (${providersOfRun}) as provider) as providers,
  (select coalesce(json_agg(cooldown), '[]') from (${cooldownsOfAccount}) as cooldown) as cooldowns,
  (select ${suspendedMs} from accounts where accounts.account_id = runs.account_id) as suspended_ms`;

/** Of the texts of one activity together, in bytes. */
const maxTexts = 16 * 1024 * 1024;
/** More is loaded only when there is room for it. */
export const mostAtOnce = 128 * 1024;

/** What was asked for is more than a process may hold, or what a run has is more than it may keep. */
export class TextsTooLong extends Error {
  override readonly name = 'TextsTooLong';
}

/** It was purged, and is over; only an operator's reset can have it worked on. */
export class NoSuchRun extends Error {
  override readonly name = 'NoSuchRun';
}

/** What is known of a run, as part of a statement: a select of one row of `Known`. */
export function knownOf(run_id: string | null): RawBuilder<Known> {
  return sql<Known>`select runs.status, runs.held_at, ${whatIsKnown} from runs where runs.run_id = ${run_id}`;
}

/** The work with what may have changed in its run since: as it is now, unless that is known. */
export async function refreshWork(db: Db, work: Work, known?: Known): Promise<Work> {
  const { status, held_at, paid_calls, ...more } = known ?? (await knownOf(work.run.run_id).execute(db)).rows[0]!;
  return { ...work, ...more, run: { ...work.run, status, held_at }, paid_calls: new Set(paid_calls) };
}

/**
 * Saves the progress that came with an activity, and loads the run with what the activity needs of it, in one round trip.
 * `run.status` is the one that stands after that. Texts of more than `mostAtOnce` are left to be loaded. Undefined when the run is purged. Throws when there is no such run, and
 * `TextsTooLong`, also when all texts of the run are more than `max_run_bytes`: it stops before it makes more of them.
 */
export async function loadWork(
  db: Db,
  run_id: string,
  text_ids: string[],
  max_run_bytes: number,
  progress?: Signed,
): Promise<Work | undefined> {
  const status = progress ? savedStatus(run_id, progress) : sql<RunStatus>`runs.status`;
  // Every activity begins with it, and the query builder takes twenty times as long to write it.
  const { rows } = await sql<Row | (Row & { account_id: null })>`
    select ${ownColumns}, ${status} as status,
      (select coalesce(json_agg(json_build_object('id', id, 'title', title, 'description', description, 'kind', kind)
                                order by position), '[]')
       from tasks where tasks.run_id = runs.run_id) as tasks,
      (select coalesce(json_agg(given), '[]') from (
        select file_id, run_files.gate_id, name, media_type, size, run_files.task_id, text
        from run_files
        left join texts on texts.text_id = run_files.text_id
        left join gates on gates.gate_id = run_files.gate_id
        where run_files.run_id = runs.run_id
        order by run_files.gate_id <> '', opened_at desc, run_files.position limit ${mostFiles}) as given) as files,
      wanted.bytes as text_bytes,
      (select coalesce(json_object_agg(text_id, text), '{}') from texts
       where text_id = any(${text_ids}) and wanted.bytes <= ${mostAtOnce}) as texts,
      (select coalesce(sum(octet_length(text)), 0) from texts where texts.run_id = runs.run_id) as stored,
      ${whatIsKnown}
    from runs, lateral (
      select coalesce(sum(octet_length(text)), 0)::float8 as bytes from texts where text_id = any(${text_ids})) as wanted
    where runs.run_id = ${run_id}`.execute(db);
  const [row] = rows;
  if (!row) throw new NoSuchRun(`There is no run ${run_id}.`);
  if (row.account_id === null) return undefined;
  const { tasks, files, texts, text_bytes, stored, paid_calls, providers, cooldowns, suspended_ms, ...run } = row;
  if (stored > max_run_bytes) {
    const bytes = new Intl.NumberFormat('en').format(max_run_bytes);
    throw new TextsTooLong(`its run has more than ${bytes} bytes of texts together.`);
  }
  if (text_bytes > maxTexts) throw new TextsTooLong(`it reads more than ${maxTexts / 1024 / 1024} MiB at once.`);
  return {
    run,
    tasks,
    files,
    texts: new Map(Object.entries(texts)),
    text_bytes,
    paid_calls: new Set(paid_calls),
    providers,
    cooldowns,
    suspended_ms,
  };
}
