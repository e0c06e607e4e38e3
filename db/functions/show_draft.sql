-- Shows what an agent has answered while it is judged. `db/tasks.ts` says what it promises.
create or replace function show_draft(for_run text, for_task text, attempt integer, draft_id text, events jsonb)
returns void language plpgsql as $$
begin
  perform from runs where run_id = for_run and status not in ('completed', 'failed', 'cancelled') for update;
  if not found then
    return;
  end if;
  update tasks set output_id = draft_id
  where run_id = for_run and id = for_task and attempts = attempt and status = 'running';
  perform append_events(for_run, events);
end
$$;
