-- Stores the tasks of a plan with their descriptions, and tells that what they need of each other is inferred next.
-- `db/tasks.ts` says what it promises.
create or replace function show_plan(for_run text, planned jsonb, events jsonb) returns void language plpgsql as $$
begin
  perform from runs where run_id = for_run and status not in ('completed', 'failed', 'cancelled') for update;
  if not found then
    return;
  end if;
  insert into tasks (run_id, id, position, title, description, kind, skills)
  select for_run, task ->> 'id', number - 1, task ->> 'title', task ->> 'description', task ->> 'kind',
    (select array_agg(skill) from jsonb_array_elements_text(task -> 'skills') as asked(skill))
  from jsonb_array_elements(planned) with ordinality as given(task, number)
  on conflict do nothing;
  update runs set phase = 'infer_deps' where run_id = for_run and phase = 'split_tasks';
  perform append_events(for_run, events);
end
$$;
