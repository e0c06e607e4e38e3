-- What waits at an open gate, with what a person needs to decide on it. `db/inbox.ts` has its type. Each text is cut to `most`
-- characters; with null all of them together are 8 MiB at most: where there is more, each has an equal share, and is cut to it.
create or replace function inbox_item(gate gates, most integer) returns json language plpgsql stable as $$
#variable_conflict use_column
declare
  limit_of_all constant integer := 8 * 1024 * 1024;
  before text[];
  share integer := most;
  form jsonb;
begin
  with recursive needed as (
    select jsonb_array_elements_text(depends_on) as id from tasks where run_id = gate.run_id and tasks.id = gate.task_id
    union
    select jsonb_array_elements_text(depends_on) from needed join tasks on run_id = gate.run_id and tasks.id = needed.id
  )
  select array_agg(id) into before from needed;
  if most is null then
    select case when sum(octet_length(text)) > limit_of_all then limit_of_all / 4 / count(*) end into share
    from tasks join texts on text_id in (output_id, gate.run_id || '/' || gate.task_id || '/form')
    where tasks.run_id = gate.run_id and tasks.id = any(before || gate.task_id);
  end if;
  if gate.kind = 'human_step' then
    select text into form from texts where text_id = gate.run_id || '/' || gate.task_id || '/form';
  end if;
  return (
    select json_build_object(
      'gate_id', gate.gate_id, 'run_id', gate.run_id, 'run_kind', runs.kind, 'task_id', gate.task_id, 'kind', gate.kind,
      'goal', shown_of(runs.task, share), 'title', tasks.title, 'question', shown_of(tasks.description, share),
      'reason', gate.reason, 'context', shown_of(form ->> 'agent_context', share), 'fields', form -> 'fields',
      'decisions', decisions_of(gate, tasks), 'draft', shown_of(draft.text, share),
      'material', (
        select coalesce(json_agg(json_build_object(
          'task_id', done.id, 'title', done.title, 'output', shown_of(text, share)) order by position), '[]')
        from tasks as done join texts on text_id = done.output_id
        where done.run_id = gate.run_id and done.id = any(before)),
      'skills', gate.skills, 'person', assignee_of(gate), 'assigned_at', iso(gate.assigned_at),
      'opened_at', iso(gate.opened_at), 'due_at', iso(gate.due_at), 'overdue', coalesce(gate.due_at < now(), false))
    from runs
    join tasks on tasks.run_id = runs.run_id and tasks.id = gate.task_id
    left join texts as draft on draft.text_id = tasks.output_id
    where runs.run_id = gate.run_id
  );
end
$$;
