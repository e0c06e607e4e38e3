import { sql, type Kysely } from 'kysely';

/** How long gates wait. The functions are those of 0002 and 0004 with the new columns. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table runs
      add column gate_due_in text,
      add column remind_every text,
      add column on_timeout text not null default 'wait',
      add column escalation_webhook_url text;
    alter table gates add column due_at timestamptz(3);
    alter table webhook_deliveries add column url text;
    -- A run that reminds people for years has a long history.
    alter table runs alter column version type bigint;
    alter table tasks alter column version type bigint;

    create or replace function save_progress(for_run text, progress jsonb) returns text language plpgsql as $$
    declare
      stored record;
      new_version bigint := progress -> 'version';
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

      insert into gates (gate_id, run_id, task_id, kind, status, reason, decisions, due_at, opened_at)
      select gate_id, for_run, task_id, kind, status, reason, decisions, due_at, written_at
      from jsonb_to_recordset(progress -> 'gates') as changed (
        gate_id text, task_id text, kind text, status text, reason text, decisions jsonb,
        due_at timestamptz)
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

    create or replace function tasks_view(for_run text) returns json language plpgsql stable as $$
    begin
      return (
        select coalesce(json_agg(view order by position), '[]')
        from tasks
        left join texts as output on output.text_id = tasks.output_id
        left join lateral (
          select gate_id, kind, status, reason, decisions, decision,
            iso(opened_at) as opened_at, iso(due_at) as due_at, iso(answered_at) as answered_at
          from gates where gates.run_id = for_run and gates.task_id = tasks.id order by gates.opened_at desc limit 1
        ) as gate on true,
        lateral (
          select tasks.id, tasks.title, tasks.description, tasks.kind, tasks.agent, tasks.model, tasks.depends_on,
            tasks.status, output.text as output, tasks.attempts, tasks.evaluation, to_json(gate) as gate, tasks.error,
            usage_of(for_run, tasks.id) as usage, iso(tasks.started_at) as started_at,
            iso(tasks.completed_at) as completed_at
        ) as view
        where tasks.run_id = for_run
      );
    end
    $$;

    create or replace function run_view(for_account text, for_run text) returns json language plpgsql stable as $$
    begin
      return (
        select to_json(view)
        from runs
        left join texts as final on final.text_id = runs.final_output_id,
        lateral (
          select runs.run_id, runs.status, runs.phase, runs.task,
            array(select tasks.id from gates join tasks on tasks.run_id = gates.run_id and tasks.id = gates.task_id
                  where gates.run_id = for_run and gates.status = 'open' order by tasks.position) as waiting_tasks,
            tasks_view(for_run) as tasks, final.text as final_output, runs.error, runs.warnings,
            usage_of(for_run) as usage, runs.agents, runs.human_gates, runs.ask_me_about, runs.require_approval,
            runs.webhook_url, runs.gate_due_in, runs.remind_every, runs.on_timeout, runs.escalation_webhook_url,
            runs.provider_id, iso(runs.created_at) as created_at, iso(runs.started_at) as started_at,
            iso(runs.completed_at) as completed_at
        ) as view
        where runs.run_id = for_run and runs.account_id = for_account
      );
    end
    $$;
  `.execute(db);
}
