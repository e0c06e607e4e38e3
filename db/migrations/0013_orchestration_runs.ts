import { sql, type Kysely } from 'kysely';

/** Orchestrations are runs, and each execution of a step is a task. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table runs
      add column orchestration_id text,
      add column definition_hash text references definitions,
      add column shared_state jsonb,
      add column attempt integer not null default 1;
    create index runs_orchestration on runs (account_id, orchestration_id, created_at desc)
      where orchestration_id is not null;
    alter table tasks add column step jsonb;

    -- Changes a function as the migrations before this one left it.
    create function pg_temp.patch(name text, variadic changes text[]) returns void language plpgsql as $$
    declare
      definition text := pg_get_functiondef(name::regproc);
    begin
      for i in 1 .. array_length(changes, 1) by 2 loop
        if position(changes[i] in definition) = 0 then
          raise exception '% has no "%"', name, changes[i];
        end if;
        definition := replace(definition, changes[i], changes[i + 1]);
      end loop;
      execute definition;
    end
    $$;

    select pg_temp.patch('save_progress',
      'output_id, evaluation, error, started_at, completed_at)',
      'output_id, evaluation, error, started_at, completed_at, step)',
      '(''completed'', ''skipped'', ''cancelled'') then written_at end',
      '(''completed'', ''failed'', ''skipped'', ''cancelled'') then written_at end, nullif(step, ''null'')',
      'evaluation jsonb, error text)',
      'evaluation jsonb, error text, step jsonb)',
      'completed_at = excluded.completed_at',
      'completed_at = excluded.completed_at, step = excluded.step',
      'final_output_id = progress -> ''run'' ->> ''final_output_id'',',
      'final_output_id = progress -> ''run'' ->> ''final_output_id'',
          shared_state = coalesce(progress -> ''run'' -> ''shared_state'', runs.shared_state),');
    select pg_temp.patch('tasks_view',
      'select tasks.id, tasks.title,',
      'select tasks.id, tasks.step ->> ''step_id'' as step_id, tasks.step ->> ''type'' as step_type, tasks.title,');
    select pg_temp.patch('run_view', 'runs.provider_id,', 'runs.provider_id, runs.orchestration_id,');
  `.execute(db);
}
