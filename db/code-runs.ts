import { sql, type Insertable } from 'kysely';
import type { FollowingProgress } from '../workflows/contract/completion.ts';
import { hasEnded, type RunStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import type { Signed } from './progress.ts';
import type { CodeEnd, CodeFault, CodeRun, Database } from './schema.ts';

/** The journal of code that was run: a row is there before its process, so that nobody runs it twice unawares. */

/** The last try of a call; undefined when there was none. */
export function findCodeRun(db: Db, call_id: string): Promise<CodeRun | undefined> {
  const tries = db.selectFrom('code_runs').selectAll().where('call_id', '=', call_id);
  return tries.orderBy('try', 'desc').limit(1).executeTakeFirst();
}

/** A key that code is given, for so many milliseconds from its beginning. */
export type KeyOfCode = Omit<Insertable<Database['api_keys']>, 'expires_at'> & {
  run_id: string;
  expires_in_ms: number;
};

/** Notes that a try begins, with the key that it is given. False, and neither is there, when another worker has begun it. */
export async function beginCodeRun(
  db: Db,
  row: Pick<CodeRun, 'call_id' | 'try' | 'run_id' | 'task_id' | 'worker_id'>,
  key?: KeyOfCode,
): Promise<boolean> {
  const { rows } = await sql`
    with begun as (
      insert into code_runs (call_id, try, run_id, task_id, worker_id, key_id)
      values (${row.call_id}, ${row.try}, ${row.run_id}, ${row.task_id}, ${row.worker_id}, ${key?.key_id ?? null})
      on conflict do nothing returning key_id
    )${key ? sql`, key as (${insertKey(key)})` : sql``}
    select from begun`.execute(db);
  return rows.length > 0;
}

/** Once `begun` has it. */
function insertKey({ expires_in_ms, ...key }: KeyOfCode) {
  const names = Object.keys(key).map((name) => sql.ref(name));
  return sql`
    insert into api_keys (${sql.join(names)}, expires_at)
    select ${sql.join(Object.values(key))}, now() + ${expires_in_ms}::float8 * interval '1 millisecond' from begun`;
}

/** What became of a try. */
export type EndedCode = {
  ended: CodeEnd;
  exit_code: number | null;
  wall_ms: number | null;
  cpu_ms: number | null;
  stdout: { text: string; is_cut: boolean };
  stderr: { text: string; is_cut: boolean };
  /** The output, as JSON; null when there is none. */
  output: string | null;
  fault: CodeFault | null;
};

/** Of a try whose end nobody saw, or that never began. */
export const unseen = {
  exit_code: null,
  wall_ms: null,
  cpu_ms: null,
  stdout: { text: '', is_cut: false },
  stderr: { text: '', is_cut: false },
  output: null,
};

/** How a try has ended, for its run. `status` is what `saveProgress` returns, where the run was completed along with it. */
export type DoneCode = Pick<CodeRun, 'ended' | 'output_id' | 'fault' | 'stderr_is_cut'> & { status?: RunStatus | null };

/** The id of the output that a try gives. */
export function codeOutputId({ call_id, try: number }: Pick<CodeRun, 'call_id' | 'try'>): string {
  return `${call_id}/${number}/output`;
}

/**
 * Writes down how a try ended, with what it has printed, takes back the key that it was given, and completes its run with the output,
 * where that is given. Of one that has ended, what was written first stands. Returns what does.
 */
export async function endCodeRun(
  db: Db,
  { call_id, try: number, run_id }: Pick<CodeRun, 'call_id' | 'try' | 'run_id'>,
  { ended, exit_code, wall_ms, cpu_ms, stdout, stderr, output, fault }: EndedCode,
  completing?: Signed<FollowingProgress>,
): Promise<DoneCode> {
  const cut = { stdout_is_cut: stdout.is_cut, stderr_is_cut: stderr.is_cut };
  const ending = JSON.stringify({ call_id, try: number, run_id, ended, exit_code, wall_ms, cpu_ms, ...cut });
  const [why, end] = [fault, completing].map((value) => (value ? JSON.stringify(value) : null));
  const { rows } = await sql<DoneCode & { status: RunStatus | null }>`
    select (done).ended, (done).output_id, (done).fault, (done).stderr_is_cut, status
    from end_code_run(
      ${ending}::jsonb, ${stdout.text || null}, ${stderr.text || null}, ${output}, ${why}::json, ${end}::jsonb)`.execute(
    db,
  );
  const { status, ...done } = rows[0]!;
  return completing ? { ...done, status } : done;
}

/** Whether nothing more is to happen in a run. */
export async function isOver(db: Db, run_id: string): Promise<boolean> {
  const run = await db.selectFrom('runs').select('status').where('run_id', '=', run_id).executeTakeFirst();
  return !run || hasEnded(run.status);
}

/** The word for why a run has failed; null while it is tried again. */
export async function noteErrorCode(db: Db, run_id: string, error_code: string | null): Promise<void> {
  await db
    .updateTable('runs')
    .set({ error_code })
    .where('run_id', '=', run_id)
    .where('error_code', 'is distinct from', error_code)
    .execute();
}

/** What was run of a run's code, in the order in which it began, with what it printed. */
export async function listCodeRuns(db: Db, run_id: string) {
  return db
    .selectFrom('code_runs')
    .leftJoin('texts as stdout', 'stdout.text_id', 'stdout_id')
    .leftJoin('texts as stderr', 'stderr.text_id', 'stderr_id')
    .select(['call_id', 'try', 'task_id', 'started_at', 'ended', 'ended_at', 'exit_code', 'wall_ms', 'cpu_ms', 'fault'])
    .select(['stdout.text as stdout', 'stderr.text as stderr', 'stdout_is_cut', 'stderr_is_cut'])
    .where('code_runs.run_id', '=', run_id)
    .orderBy('started_at')
    .orderBy('try')
    .execute();
}

/** A file of a run as code is given it: attached to the run, or left by an earlier call of run_code. */
export type CodeInput = { file_id: string; name: string; media_type: string; size: number };

export async function listCodeInputs(db: Db, run_id: string): Promise<CodeInput[]> {
  const { rows } = await sql<CodeInput>`
    select file_id, name, media_type, size from (
      select file_id, name, media_type, size, 0 as later, position from run_files where run_id = ${run_id}
      union all
      select file_id, name, media_type, size, 1, 0 from code_files where run_id = ${run_id}) as given
    order by later, position, name limit 100`.execute(db);
  return rows;
}

/** Notes a file that a call of run_code has left; after a crash, the one that it has left then. */
export async function insertCodeFile(db: Db, file: CodeInput & { call_id: string; run_id: string }): Promise<void> {
  const { file_id, media_type, size } = file;
  await db
    .insertInto('code_files')
    .values(file)
    .onConflict((conflict) => conflict.columns(['call_id', 'name']).doUpdateSet({ file_id, media_type, size }))
    .execute();
}
