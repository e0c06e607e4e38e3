import { sql, type Transaction } from 'kysely';
import type { Progress, RunEvent, RunStatus } from '../workflows/messages.ts';
import type { Db } from './index.ts';
import type { Database } from './schema.ts';

const finished: RunStatus[] = ['completed', 'failed', 'cancelled'];

/**
 * Writes what the workflow changed: run, tasks, gates and events in one transaction. Idempotent and monotone: an older
 * version never overwrites a newer one, an event is written once, and nothing changes in a run that is finished here.
 * Returns the status that stands.
 */
export async function saveProgress(db: Db, run_id: string, progress: Progress): Promise<{ status: RunStatus }> {
  return db.transaction().execute(async (trx) => {
    const run = await lockRun(trx, run_id);
    if (finished.includes(run.status)) return { status: run.status };

    await writeTasks(trx, run_id, progress);
    await writeGates(trx, run_id, progress);
    if (progress.version > run.version) await writeRun(trx, run_id, progress);
    await appendEvents(trx, run_id, progress.events);
    return { status: progress.run.status };
  });
}

/** Locks the run's row, which orders all that is written about a run. Throws when there is no such run. */
export function lockRun(trx: Transaction<Database>, run_id: string) {
  return trx
    .selectFrom('runs')
    .select(['account_id', 'status', 'version'])
    .where('run_id', '=', run_id)
    .forUpdate()
    .executeTakeFirstOrThrow();
}

/**
 * Appends events, numbered without a gap. The caller holds the lock on the run, so numbers become visible in order.
 */
export async function appendEvents(trx: Transaction<Database>, run_id: string, events: RunEvent[]): Promise<void> {
  if (events.length === 0) return;
  await sql`
    with fresh as (
      select event ->> 'key' as key, event ->> 'type' as type, event -> 'data' as data,
             row_number() over (order by ordinality) as number
      from jsonb_array_elements(${JSON.stringify(events)}::jsonb) with ordinality as given(event, ordinality)
      where not exists (select from run_events where run_id = ${run_id} and event_key = event ->> 'key')
    ), run as (
      update runs set event_seq = event_seq + (select count(*) from fresh) where run_id = ${run_id}
      returning event_seq - (select count(*) from fresh) as last_seq
    )
    insert into run_events (run_id, seq, event_key, type, data)
    select ${run_id}, run.last_seq + fresh.number, fresh.key, fresh.type, fresh.data from fresh, run
  `.execute(trx);
}

async function writeRun(trx: Transaction<Database>, run_id: string, { version, at, run }: Progress): Promise<void> {
  const now = new Date(at).toISOString();
  await trx
    .updateTable('runs')
    .set({
      version,
      // An answer that REST has taken closes its gate here before the workflow hears of it.
      status: sql`case when ${run.status} = 'waiting_human'
        and not exists (select from gates where run_id = ${run_id} and status = 'open') then 'running' else ${run.status} end`,
      phase: run.phase,
      warnings: JSON.stringify(run.warnings),
      error: run.error,
      final_output_id: run.final_output_id,
      started_at: sql`coalesce(started_at, ${now})`,
      completed_at: finished.includes(run.status) ? now : null,
    })
    .where('run_id', '=', run_id)
    .execute();
}

async function writeTasks(trx: Transaction<Database>, run_id: string, { version, at, tasks }: Progress): Promise<void> {
  if (tasks.length === 0) return;
  const now = new Date(at).toISOString();
  await trx
    .insertInto('tasks')
    .values(
      tasks.map(({ evaluation, depends_on, ...task }) => ({
        ...task,
        run_id,
        version,
        description: '',
        depends_on: JSON.stringify(depends_on),
        evaluation: evaluation ? JSON.stringify(evaluation) : sql<string>`null`,
        started_at: task.status === 'pending' ? null : now,
        completed_at: ['completed', 'skipped', 'cancelled'].includes(task.status) ? now : null,
      })),
    )
    .onConflict((conflict) =>
      conflict
        .columns(['run_id', 'id'])
        .doUpdateSet((eb) => ({
          version: eb.ref('excluded.version'),
          agent: eb.ref('excluded.agent'),
          model: eb.ref('excluded.model'),
          depends_on: sql`excluded.depends_on`,
          status: eb.ref('excluded.status'),
          attempts: eb.ref('excluded.attempts'),
          output_id: eb.ref('excluded.output_id'),
          evaluation: sql`excluded.evaluation`,
          error: eb.ref('excluded.error'),
          started_at: eb.fn.coalesce('tasks.started_at', 'excluded.started_at'),
          completed_at: eb.ref('excluded.completed_at'),
        }))
        .whereRef('excluded.version', '>', 'tasks.version'),
    )
    .execute();
}

async function writeGates(trx: Transaction<Database>, run_id: string, { at, gates }: Progress): Promise<void> {
  if (gates.length === 0) return;
  await trx
    .insertInto('gates')
    .values(gates.map((gate) => ({ ...gate, run_id, opened_at: new Date(at).toISOString() })))
    .onConflict((conflict) =>
      conflict
        .column('gate_id')
        .doUpdateSet((eb) => ({ status: eb.ref('excluded.status') }))
        .where('gates.status', '=', 'open'),
    )
    .execute();
}
