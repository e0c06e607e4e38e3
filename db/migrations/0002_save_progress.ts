import { sql, type Kysely } from 'kysely';

/**
 * A run writes its progress some fifteen times, so it is one round trip: functions, each statement of which sees what
 * was committed before it. `db/progress.ts` says what they promise.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- The caller holds the lock on the run, so numbers become visible in order and have no gaps.
    create function append_events(for_run text, events jsonb) returns void language sql as $$
      with fresh as (
        select event ->> 'key' as key, event ->> 'type' as type, event -> 'data' as data,
               row_number() over (order by position) as number
        from jsonb_array_elements(events) with ordinality as given(event, position)
        where not exists (select from run_events where run_id = for_run and event_key = event ->> 'key')
      ), numbered as (
        update runs set event_seq = event_seq + (select count(*) from fresh) where run_id = for_run
        returning event_seq - (select count(*) from fresh) as last_seq
      )
      insert into run_events (run_id, seq, event_key, type, data)
      select for_run, last_seq + number, key, type, data from fresh, numbered
    $$;

    create function save_progress(for_run text, progress jsonb) returns text language plpgsql as $$
    declare
      stored record;
      new_version integer := progress -> 'version';
      written_at timestamptz := to_timestamp((progress ->> 'at')::numeric / 1000);
      new_status text := progress -> 'run' ->> 'status';
    begin
      select status, version into strict stored from runs where run_id = for_run for update;
      if stored.status in ('completed', 'failed', 'cancelled') then
        return stored.status;
      end if;

      insert into tasks (run_id, version, id, position, title, description, kind, agent, model, depends_on, status,
                         attempts, output_id, evaluation, error, started_at, completed_at)
      select for_run, new_version, id, position, title, '', kind, agent, model, depends_on, status,
             attempts, output_id, nullif(evaluation, 'null'), error,
             case when status <> 'pending' then written_at end,
             case when status in ('completed', 'skipped', 'cancelled') then written_at end
      from jsonb_to_recordset(progress -> 'tasks') as changed (
        id text, position integer, title text, kind text, agent text, model text, depends_on jsonb, status text,
        attempts integer, output_id text, evaluation jsonb, error text)
      on conflict (run_id, id) do update set
        version = excluded.version, agent = excluded.agent, model = excluded.model, depends_on = excluded.depends_on,
        status = excluded.status, attempts = excluded.attempts, output_id = excluded.output_id,
        evaluation = excluded.evaluation, error = excluded.error,
        started_at = coalesce(tasks.started_at, excluded.started_at), completed_at = excluded.completed_at
      where excluded.version > tasks.version;

      insert into gates (gate_id, run_id, task_id, kind, status, reason, decisions, opened_at)
      select gate_id, for_run, task_id, kind, status, reason, decisions, written_at
      from jsonb_to_recordset(progress -> 'gates') as changed (
        gate_id text, task_id text, kind text, status text, reason text, decisions jsonb)
      on conflict (gate_id) do update set status = excluded.status where gates.status = 'open';

      if new_version > stored.version then
        -- An answer that REST has taken closes its gate here before the workflow hears of it.
        if new_status = 'waiting_human'
           and not exists (select from gates where run_id = for_run and status = 'open') then
          new_status := 'running';
        end if;
        update runs set
          version = new_version, status = new_status, phase = progress -> 'run' ->> 'phase',
          warnings = progress -> 'run' -> 'warnings', error = progress -> 'run' ->> 'error',
          final_output_id = progress -> 'run' ->> 'final_output_id',
          started_at = coalesce(started_at, written_at),
          completed_at = case when new_status in ('completed', 'failed', 'cancelled') then written_at end
        where run_id = for_run;
        -- Also those that the workflow does not know: opened by a workflow task that was lost with its worker.
        if new_status in ('completed', 'failed', 'cancelled') then
          update gates set status = 'closed' where run_id = for_run and status = 'open';
        end if;
      end if;

      perform append_events(for_run, progress -> 'events');
      return progress -> 'run' ->> 'status';
    end
    $$;
  `.execute(db);
}
