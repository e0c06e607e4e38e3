-- All that was tried at a task of this account, and said of it, as clients read it, or null when there is no such task.
-- `db/audit.ts` has its type. An attempt is numbered in the keys of its calls. All texts together are 8 MiB at most:
-- where there is more, each has an equal share, and is cut to it.
create or replace function attempts_view(for_account text, for_run text, for_task text) returns json
language plpgsql stable as $$
declare
  most constant integer := 8 * 1024 * 1024;
  share integer;
begin
  select case when sum(size) > most then most / 4 / count(*) end
  into share
  from (
    select octet_length(text) as size from texts
    where text_id in (
      select call_id from llm_calls where run_id = for_run and task_id = for_task
      union all
      select call_id || '/feedback' from llm_calls where run_id = for_run and task_id = for_task
      union all
      select made.call_id from llm_calls join tool_calls as made on made.answer_id = llm_calls.call_id
      where llm_calls.run_id = for_run and task_id = for_task
      union all
      select answer_id from gates where run_id = for_run and task_id = for_task)
    union all
    select octet_length(tool_calls::text) from llm_calls
    where run_id = for_run and task_id = for_task and tool_calls is not null
  ) as sizes;
  return (
    with calls as (
      select llm_calls.*, shown_of(text, share) as text,
        split_part(substr(call_id, length(concat_ws('/', for_run, for_task, purpose, '')) + 1), '/', 1)::integer as attempt,
        coalesce(jsonb_array_length(nullif(tool_calls, 'null')), 0) as requested
      from llm_calls join texts on text_id = call_id
      where llm_calls.run_id = for_run and task_id = for_task
    ), told as (
      select type, (data ->> 'attempt')::integer as attempt, data, created_at
      from run_events
      where run_id = for_run and type in ('task.started', 'task.evaluated') and data ->> 'task_id' = for_task
    )
    select json_build_object(
      'run_id', for_run, 'task_id', tasks.id, 'title', tasks.title, 'attempts',
      (
        select coalesce(json_agg(json_build_object(
          'attempt', attempt,
          'started_at', (
            select iso(min(created_at)) from told where type = 'task.started' and coalesce(told.attempt, 1) = number.attempt),
          'draft', (
            select text from calls
            where calls.attempt = number.attempt and purpose in ('execute_task', 'run_step', 'run_agent') and requested = 0
            order by created_at desc limit 1),
          'evaluation', (
            select json_build_object('passed', data -> 'passed', 'score', data -> 'score',
              'feedback', shown_of(coalesce(whole.text, data ->> 'feedback'), share))
            from told left join texts as whole on whole.text_id = data ->> 'feedback_id'
            where type = 'task.evaluated' and told.attempt = number.attempt),
          'calls', (
            select coalesce(json_agg(json_build_object(
              'call_id', call_id, 'purpose', purpose, 'vendor', vendor, 'model', model, 'provider_id', provider_id,
              'finish', finish, 'input_tokens', input_tokens, 'output_tokens', output_tokens, 'cost_usd', usd(cost_usd),
              'text', text, 'tool_calls', tool_calls_view(call_id, tool_calls, share), 'created_at', iso(created_at))
              order by created_at, call_id), '[]')
            from calls where calls.attempt = number.attempt))
          order by attempt), '[]')
        from generate_series(1, greatest(tasks.attempts, (select max(attempt) from calls))) as number(attempt)
      ), 'gates',
      (
        select coalesce(json_agg(json_build_object(
          'gate_id', gate_id, 'kind', gates.kind, 'status', gates.status, 'reason', reason, 'decisions', decisions_of(gates, tasks),
          'decision', decision, 'by', by, 'note', note, 'answer', shown_of(said.text, share),
          'attachments', attachments_view(for_run, gate_id),
          'skills', gates.skills, 'person', assignee_of(gates), 'assigned_at', iso(assigned_at),
          'assignment_note', assignment_note,
          'attempt', (
            select max(attempt) from told where type = 'task.started' and told.created_at <= opened_at),
          'opened_at', iso(opened_at), 'due_at', iso(due_at), 'answered_at', iso(answered_at))
          order by opened_at, gate_id), '[]')
        from gates left join texts as said on said.text_id = answer_id
        where gates.run_id = for_run and task_id = for_task
      ))
    from tasks join runs using (run_id)
    where tasks.run_id = for_run and tasks.id = for_task and account_id = for_account
  );
end
$$;
