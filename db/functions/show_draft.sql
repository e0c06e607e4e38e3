-- Shows the answer of this attempt as the draft of its task, with these events, until the run's progress says the same.
-- Nothing happens to a task that is not at this attempt any more, nor to a run that has ended.
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
