-- What waits at open gates, with what a person needs to decide there. `db/inbox.ts` has the type of an item. Each text is cut to
-- `most` characters; with null all of them together are 8 MiB at most: where a run has more, each has an equal share, and is cut
-- to it. One statement for all of them, whose plan is kept: a page of a list is read as fast as one item.
create or replace function inbox_items(for_gates text[], most integer) returns table (gate_id text, item text)
language plpgsql stable as $$
#variable_conflict use_column
declare
  limit_of_all constant integer := 8 * 1024 * 1024;
  share integer := most;
begin
  if most is null then
    select case when sum(octet_length(shown)) > limit_of_all then limit_of_all / 4 / count(*) end into share
    from gates
    join runs on runs.run_id = gates.run_id,
    lateral (
      select runs.task as shown
      union all
      select description from tasks where tasks.run_id = gates.run_id and tasks.id = gates.task_id
      union all
      select text from tasks join texts on text_id = output_id where tasks.run_id = gates.run_id
      union all
      select text from texts where text_id = gates.run_id || '/' || gates.task_id || '/form'
    ) as texts_shown
    where gates.gate_id = any(for_gates);
  end if;
  return query
  select gates.gate_id, json_build_object(
    'gate_id', gates.gate_id, 'run_id', gates.run_id, 'run_kind', runs.kind, 'task_id', gates.task_id, 'kind', gates.kind,
    'goal', shown_of(runs.task, share), 'title', tasks.title, 'question', shown_of(tasks.description, share),
    'reason', gates.reason, 'context', shown_of(form ->> 'agent_context', share), 'fields', form -> 'fields',
    'decisions', decisions_of(gates, tasks), 'draft', shown_of(draft.text, share),
    'material', (
      with recursive needed as (
        select jsonb_array_elements_text(tasks.depends_on) as id
        union
        select jsonb_array_elements_text(earlier.depends_on)
        from needed join tasks as earlier on earlier.run_id = gates.run_id and earlier.id = needed.id
      )
      select coalesce(json_agg(json_build_object(
        'task_id', done.id, 'title', done.title, 'output', shown_of(made.text, share)) order by done.position), '[]')
      from needed
      join tasks as done on done.run_id = gates.run_id and done.id = needed.id
      join texts as made on made.text_id = done.output_id),
    'skills', gates.skills,
    'person', assignee_of(gates),
    'assignment_note', gates.assignment_note,
    'assigned_at', iso(gates.assigned_at), 'opened_at', iso(gates.opened_at), 'due_at', iso(gates.due_at),
    'overdue', coalesce(gates.due_at < now(), false))::text
  from gates
  join runs on runs.run_id = gates.run_id
  join tasks on tasks.run_id = gates.run_id and tasks.id = gates.task_id
  left join texts as draft on draft.text_id = tasks.output_id
  left join texts as asked on gates.kind = 'human_step' and asked.text_id = gates.run_id || '/' || gates.task_id || '/form'
  cross join lateral (select asked.text::jsonb as form) as shown
  where gates.gate_id = any(for_gates);
end
$$;
