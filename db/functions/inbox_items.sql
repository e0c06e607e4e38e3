-- What waits at open gates, with what a person needs to decide there. `db/inbox.ts` has the type of an item. Each text is cut to
-- `most` characters, or not with null; and all of them together are 8 MiB at most: where there is more, each has an equal
-- share, and is cut to it. One statement, whose plan is kept: a page of a list is read as fast as one item. For the hundred
-- gates of a page PostgreSQL would read all of a table that has some thousand rows, and keep that plan when it has grown.
create or replace function inbox_items(for_gates text[], most integer) returns table (gate_id text, item text)
language plpgsql stable set enable_seqscan = off as $$
#variable_conflict use_column
declare
  limit_of_all constant integer := 8 * 1024 * 1024;
begin
  return query
  with recursive asked as materialized (
    select gates.*, decisions_of(gates, tasks) as allowed, assignee_of(gates) as person, tasks.depends_on, tasks.title,
      runs.kind as run_kind, runs.task as goal, tasks.description as question, draft.text as draft, form.text as form
    from gates
    join runs on runs.run_id = gates.run_id
    join tasks on tasks.run_id = gates.run_id and tasks.id = gates.task_id
    left join texts as draft on draft.text_id = tasks.output_id
    left join texts as form on gates.kind = 'human_step' and form.text_id = gates.run_id || '/' || gates.task_id || '/form'
    where gates.gate_id = any(for_gates)
  ), needed as (
    select gate_id, run_id, jsonb_array_elements_text(depends_on) as id from asked
    union
    select gate_id, run_id, jsonb_array_elements_text(earlier.depends_on)
    from needed, lateral (
      -- `offset 0`: one look at the index each. PostgreSQL takes them for many, and would read all tasks that there are.
      select depends_on from tasks where tasks.run_id = needed.run_id and tasks.id = needed.id offset 0
    ) as earlier
  ), made as materialized (
    select gate_id, id, title, position, text
    from needed, lateral (
      select title, position, text from tasks join texts on text_id = output_id
      where tasks.run_id = needed.run_id and tasks.id = needed.id offset 0
    ) as done
  ), shares as (
    -- A character is of four bytes at most.
    select case
      when sum(least(octet_length(shown), 4 * most)) > limit_of_all then least(most, limit_of_all / 4 / count(*))::integer
      else most end as share
    from (
      select shown from asked, lateral (values (goal), (question), (draft), (form)) as texts_of_gate(shown)
      union all
      select text from made
    ) as texts_shown
  ), materials as (
    select gate_id, json_agg(
      json_build_object('task_id', id, 'title', title, 'output', shown_of(text, share)) order by position) as material
    from made, shares
    group by gate_id
  )
  select gate_id, json_build_object(
    'gate_id', gate_id, 'run_id', run_id, 'run_kind', run_kind, 'task_id', task_id, 'kind', kind,
    'goal', shown_of(goal, share), 'title', title, 'question', shown_of(question, share),
    'reason', reason, 'context', shown_of(form::jsonb ->> 'agent_context', share), 'fields', form::jsonb -> 'fields',
    'decisions', allowed, 'draft', shown_of(draft, share), 'material', coalesce(material, '[]'),
    'skills', skills, 'person', person, 'assignment_note', assignment_note,
    'assigned_at', iso(assigned_at), 'opened_at', iso(opened_at), 'due_at', iso(due_at),
    'overdue', coalesce(due_at < now(), false))::text
  from asked left join materials using (gate_id), shares;
end
$$;
