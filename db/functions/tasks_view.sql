-- The tasks of a run as clients read them, each with its newest gate.
-- `db/run-views.ts` has its type. In plpgsql, because Postgres then keeps its plan. All their texts together are 8 MiB at
-- most: where there is more, each has an equal share, and is cut to it.
create or replace function tasks_view(for_run text) returns json language plpgsql stable as $$
declare
  most constant integer := 8 * 1024 * 1024;
  share integer;
  steps jsonb;
begin
  -- What a person is asked stands there twice: it is the prompt of the gate too.
  select case
    when sum(octet_length(description) * (1 + (kind = 'human')::integer) + coalesce(octet_length(text), 0)) > most
      then most / 4 / count(*) end
  into share
  from tasks left join texts on text_id = output_id
  where tasks.run_id = for_run;
  -- Each step is open once at a time, so that all that is to be filled in is no more than the definition.
  select definition -> 'steps' into steps
  from gates
  join runs on runs.run_id = gates.run_id
  join definitions on definitions.hash = runs.definition_hash
  where gates.run_id = for_run and gates.kind = 'human_step' and gates.status = 'open'
  limit 1;
  return (
    select coalesce(json_agg(view order by position), '[]')
    from tasks
    left join texts as output on output.text_id = tasks.output_id
    left join lateral (
      select gate_id, gates.kind, gates.status, reason,
        case when is_form then shown_of(tasks.description, share) end as prompt,
        case when is_form then (
          select defined -> 'human_fields'
          from jsonb_array_elements(steps) as listed(defined)
          where defined ->> 'id' = tasks.step ->> 'step_id'
        ) end as fields,
        decisions_of(gates, tasks) as decisions, decision, by,
        nullif(concat_ws(E'\n\n', note_of(kind, decision, said.text), note), '') as note,
        attachments_view(for_run, gate_id) as attachments,
        gates.skills, assignee_of(gates) as person, iso(assigned_at) as assigned_at, assignment_note,
        iso(opened_at) as opened_at, iso(due_at) as due_at, iso(answered_at) as answered_at
      from gates
      left join texts as said on said.text_id = gates.answer_id,
      lateral (select gates.kind = 'human_step' and gates.status = 'open' as is_form) as whether
      where gates.run_id = for_run and gates.task_id = tasks.id
      order by gates.opened_at desc
      limit 1
    ) as gate on true
    left join (
      select task_id, json_agg(attachment_view(run_files) order by gate_id, run_files.position) as attachments
      from run_files where run_id = for_run and task_id is not null
      group by task_id
    ) as attached on attached.task_id = tasks.id,
    lateral (
      select tasks.id, tasks.step ->> 'step_id' as step_id, tasks.step ->> 'type' as step_type, tasks.title,
        shown_of(tasks.description, share) as description, tasks.kind, tasks.agent, tasks.model, tasks.depends_on,
        tasks.status, shown_of(output.text, share) as output,
        tasks.attempts, tasks.evaluation, to_json(gate) as gate,
        coalesce(attached.attachments, '[]') as attachments, tasks.error, usage_of(for_run, tasks.id) as usage,
        iso(tasks.started_at) as started_at, iso(tasks.completed_at) as completed_at
    ) as view
    where tasks.run_id = for_run
  );
end
$$;
