import { sql } from 'kysely';
import { hasEnded } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import type { CodeEnd, CodeFault, CodeRun } from './schema.ts';

/** The journal of code that was run: a row is there before its process, so that nobody runs it twice unawares. */

/** The last try of a call; undefined when there was none. */
export function findCodeRun(db: Db, call_id: string): Promise<CodeRun | undefined> {
  const tries = db.selectFrom('code_runs').selectAll().where('call_id', '=', call_id);
  return tries.orderBy('try', 'desc').limit(1).executeTakeFirst();
}

/** Notes that a try begins. False when another worker has begun it. */
export async function beginCodeRun(
  db: Db,
  row: Pick<CodeRun, 'call_id' | 'try' | 'run_id' | 'task_id' | 'worker_id' | 'key_id'>,
): Promise<boolean> {
  const begun = db
    .insertInto('code_runs')
    .values(row)
    .onConflict((conflict) => conflict.doNothing());
  return (await begun.executeTakeFirst()).numInsertedOrUpdatedRows! > 0n;
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

/**
 * Writes down how a try ended, with what it has printed, and takes back the key that it was given. Of one that has ended, what was
 * written first stands. Returns what does.
 */
export function endCodeRun(
  db: Db,
  { call_id, try: number, run_id }: Pick<CodeRun, 'call_id' | 'try' | 'run_id'>,
  { ended, exit_code, wall_ms, cpu_ms, stdout, stderr, output, fault }: EndedCode,
): Promise<CodeRun> {
  return db.transaction().execute(async (trx) => {
    const own = trx.selectFrom('code_runs').selectAll().where('call_id', '=', call_id).where('try', '=', number);
    const row = await own.forUpdate().executeTakeFirstOrThrow();
    if (row.ended !== null) return row;
    const place = `${call_id}/${number}`;
    const texts = [
      ...(stdout.text ? [{ text_id: `${place}/stdout`, run_id, text: stdout.text }] : []),
      ...(stderr.text ? [{ text_id: `${place}/stderr`, run_id, text: stderr.text }] : []),
      ...(output === null ? [] : [{ text_id: `${place}/output`, run_id, text: output }]),
    ];
    if (texts.length > 0)
      await trx
        .insertInto('texts')
        .values(texts)
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    if (row.key_id) await trx.deleteFrom('api_keys').where('key_id', '=', row.key_id).execute();
    return trx
      .updateTable('code_runs')
      .set({
        ended,
        exit_code,
        wall_ms,
        cpu_ms,
        ended_at: sql`now()`,
        stdout_id: stdout.text ? `${place}/stdout` : null,
        stderr_id: stderr.text ? `${place}/stderr` : null,
        stdout_is_cut: stdout.is_cut,
        stderr_is_cut: stderr.is_cut,
        output_id: output === null ? null : `${place}/output`,
        fault: fault && JSON.stringify(fault),
      })
      .where('call_id', '=', call_id)
      .where('try', '=', number)
      .returningAll()
      .executeTakeFirstOrThrow();
  });
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
