-- Writes what a run's workflow has changed, and returns the status that it gives; of a run that has ended here, that one.
-- `db/progress.ts` says what it promises. A run writes its progress some fifteen times, so it is one round trip: a
-- function, each statement of which sees what was committed before it. Progress without a time was made when it is
-- written. Progress that must follow a version is written after that one or not at all, and null is returned then.
-- Versions are counted by an execution of the workflow. Another one (an operator has reset the run, or it was continued
-- as new) counts on from what stands here, and the one before has nothing more to say.
create or replace function save_progress(for_run text, progress jsonb) returns text language plpgsql as $$
declare
  stored record;
  new_version bigint;
  writer text := progress ->> 'writer';
  written_at timestamptz := coalesce(to_timestamp((progress ->> 'at')::numeric / 1000), now());
  new_status text := progress -> 'run' ->> 'status';
begin
  select account_id, status, version, writers, version_base, steered, held_at into stored from runs where run_id = for_run for update;
  -- It was purged, and has gone.
  if not found then
    return 'cancelled';
  end if;
  if stored.status in ('completed', 'failed', 'cancelled') then
    return stored.status;
  end if;
  -- A person wants a task done differently, of which the workflow has not heard yet.
  -- Workflows of 0.1.0 never will.
  if new_status = 'completed' and stored.steered > (progress -> 'run' ->> 'steered')::integer then
    return case when progress -> 'follows' is null then stored.status end;
  end if;
  if writer = any(stored.writers[:cardinality(stored.writers) - 1]) then
    return case when progress -> 'follows' is null then stored.status end;
  end if;
  if writer is not null and writer <> all(stored.writers) then
    if stored.writers <> '{}' then
      stored.version_base := stored.version;
    end if;
    -- Of those that are long over, nothing is under way any more.
    update runs set
      version_base = stored.version_base,
      writers = (stored.writers || writer)[greatest(cardinality(stored.writers) - 18, 1):]
    where run_id = for_run;
  end if;
  new_version := stored.version_base + (progress -> 'version')::bigint;
  if stored.version <> stored.version_base + (progress ->> 'follows')::bigint then
    return null;
  end if;

  insert into gates (gate_id, run_id, account_id, task_id, kind, status, reason, decisions, due_at, opened_at, asked, skills)
  select gate_id, for_run, stored.account_id, task_id, kind, status, reason, decisions, due_at, coalesce(opened_at, written_at),
    asked, coalesce((select skills from tasks where run_id = for_run and id = task_id), '{}')
  from jsonb_to_recordset(progress -> 'gates') as changed (
    gate_id text, task_id text, kind text, status text, reason text, decisions jsonb, due_at timestamptz, opened_at timestamptz,
    asked jsonb)
  on conflict (gate_id) do update set status = excluded.status,
    -- The terms of the run may have been changed.
    due_at = case when new_version > stored.version then excluded.due_at else gates.due_at end
  where gates.status = 'open';

  insert into tasks (
    run_id, version, id, position, title, description, kind, agent, model, depends_on, status, attempts, output_id,
    evaluation, error, started_at, completed_at, step, round)
  select
    for_run, new_version, id, position, title, '', kind, agent, model, depends_on, status, attempts, output_id,
    nullif(evaluation, 'null'), error,
    case when status <> 'pending' then written_at end,
    case when status in ('completed', 'failed', 'skipped', 'cancelled') then written_at end,
    nullif(step, 'null'), coalesce(round, 0)
  from jsonb_to_recordset(progress -> 'tasks') as changed (
    id text, position integer, title text, kind text, agent text, model text, depends_on jsonb, status text,
    attempts integer, output_id text, evaluation jsonb, error text, step jsonb, round integer)
  on conflict (run_id, id) do update set
    version = excluded.version, agent = excluded.agent, model = excluded.model, depends_on = excluded.depends_on,
    status = excluded.status, attempts = excluded.attempts,
    -- A draft that was shown while it was judged, of which the workflow had not heard when the run ended.
    output_id = case
      when tasks.status = 'running' and tasks.attempts = excluded.attempts and excluded.status in ('skipped', 'cancelled')
        and new_status in ('failed', 'cancelled')
        then tasks.output_id
      else excluded.output_id end,
    evaluation = excluded.evaluation, error = excluded.error,
    started_at = coalesce(tasks.started_at, excluded.started_at),
    -- A task keeps the time at which it was completed when a write that failed half-way is made again.
    completed_at = case
      when excluded.round > tasks.round then excluded.completed_at
      when excluded.completed_at is not null then coalesce(tasks.completed_at, excluded.completed_at) end,
    step = excluded.step, round = excluded.round
  where excluded.version > tasks.version
    -- A workflow task that is lost is made again from its beginning: what it wrote at first comes after what it wrote
    -- last, as something newer. A task that has an end keeps it, unless a run that was reset asks a person again, and
    -- one that has begun stays begun; but not when a person had it begun anew.
    and (excluded.round > tasks.round or excluded.round = tasks.round and (
      tasks.status not in ('completed', 'skipped', 'cancelled')
      or excluded.status = tasks.status
      or excluded.status = 'waiting_human'
        and exists (select from gates where run_id = for_run and task_id = tasks.id and status = 'open'))
    and (tasks.status = 'pending' or excluded.status <> 'pending'));

  if new_version > stored.version then
    -- An answer that REST has taken closes its gate here before the workflow hears of it.
    if new_status = 'waiting_human' and not exists (select from gates where run_id = for_run and status = 'open') then
      new_status := 'running';
    end if;
    -- A run that is held and was begun anew comes to its gates when it is released, and people may answer there before.
    if new_status = 'running' and stored.held_at is not null
      and exists (select from gates where run_id = for_run and status = 'open') then
      new_status := 'waiting_human';
    end if;
    update runs set
      version = new_version, status = new_status, phase = progress -> 'run' ->> 'phase',
      warnings = progress -> 'run' -> 'warnings', error = progress -> 'run' ->> 'error',
      -- Code says by itself why it has failed.
      error_code = case when new_status = 'failed' then coalesce(progress -> 'run' ->> 'error_code', error_code) end,
      final_output_id = progress -> 'run' ->> 'final_output_id',
      shared_state = coalesce(progress -> 'run' -> 'shared_state', runs.shared_state),
      heard = coalesce((progress -> 'run' ->> 'steered')::integer, runs.heard),
      started_at = coalesce(started_at, written_at),
      completed_at = case when new_status in ('completed', 'failed', 'cancelled') then written_at end
    where run_id = for_run;
    -- Also those that the workflow does not know: gates that were opened by a workflow task that was lost with its worker,
    -- and tasks that were shown while their graph was inferred.
    if new_status in ('completed', 'failed', 'cancelled') then
      update gates set status = 'closed' where run_id = for_run and status = 'open';
    end if;
    -- Of a run that is completed, a question about money that no call waits for any more.
    if new_status in ('completed', 'failed', 'cancelled') then
      update tasks set status = case new_status when 'cancelled' then 'cancelled' else 'skipped' end, completed_at = written_at
      where run_id = for_run and status in ('pending', 'running', 'waiting_human');
    end if;
  end if;

  perform append_events(for_run, progress -> 'events');
  if progress -> 'gates' <> '[]' then
    perform assign_gate(gate_id) from gates
    where run_id = for_run and status = 'open' and assignment is null and skills <> '{}';
  end if;
  return progress -> 'run' ->> 'status';
end
$$;
