-- All that a run has done, in the order in which it began: model calls, tool calls, retrievals, gates and retries.
-- `db/run-traces.ts` has the types. Of more than `most` entries the first ones. All texts together are 8 MiB at most: where there is
-- more, each has an equal share, and is cut to it.
create or replace function trace_view(for_run text, most integer) returns json language plpgsql stable as $$
declare
  most_text constant integer := 8 * 1024 * 1024;
  share integer;
  kept integer;
  last_kept_at timestamptz;
begin
  select count(*), max(created_at) into kept, last_kept_at from failed_tries where run_id = for_run;
  select case when sum(size) > most_text then most_text / 4 / count(*) end into share
  from (
    select octet_length(text) as size from texts
    where text_id in (
      select call_id from llm_calls where run_id = for_run
      union all
      select call_id from tool_calls where run_id = for_run
      union all
      select answer_id from gates where run_id = for_run)
    union all
    select octet_length(tool_calls::text) from llm_calls where run_id = for_run and tool_calls is not null
  ) as sizes;
  return (
    with asked as (
      select llm_calls.*, created_at - make_interval(secs => duration_ms / 1000.0) as began_at,
        -- As it stands in the key, of calls that have one.
        case when starts_with(call_id, concat_ws('/', for_run, task_id, purpose, '')) then
          substring(substr(call_id, length(concat_ws('/', for_run, task_id, purpose, '')) + 1) from '^\d{1,9}')::integer
        end as attempt
      from llm_calls where run_id = for_run
    ), entries as (
      select coalesce(began_at, asked.created_at) as at, 2 as rank, call_id as id, json_build_object(
        'type', 'model_call', 'id', call_id, 'task_id', task_id, 'attempt', attempt, 'agent', agent, 'purpose', purpose,
        'vendor', vendor, 'model', asked.model, 'provider_id', provider_id, 'finish', finish,
        'tokens', json_build_object('input', input_tokens, 'output', output_tokens), 'cost_usd', usd(cost_usd),
        'output', coalesce(shown_of(text, share), ''),
        'calls', coalesce((
          select json_agg(coalesce(one ->> 'tool', one ->> 'name') order by nth)
          from jsonb_array_elements(nullif(tool_calls, 'null')) with ordinality as called(one, nth)), '[]'),
        'started_at', iso(began_at), 'ended_at', iso(asked.created_at), 'duration_ms', duration_ms) as entry
      from asked
      -- Embeddings have none.
      left join texts on text_id = call_id
      left join tasks on tasks.run_id = for_run and tasks.id = task_id
      union all
      select coalesce(made.created_at - make_interval(secs => made.duration_ms / 1000.0), made.created_at), 4, made.call_id,
        json_build_object(
          'type', case when made.tool = 'search_knowledge' then 'retrieval' else 'tool_call' end,
          'id', made.call_id, 'task_id', asked.task_id, 'attempt', attempt, 'model_call_id', asked.call_id, 'tool', made.tool,
          'arguments', shown_of(
            case when gates.decision = 'edit' then edited.text else asked.tool_calls -> made.position - 1 ->> 'arguments' end, share),
          'result', shown_of(result.text, share), 'is_error', made.is_error, 'gate_id', made.gate_id,
          'started_at', iso(made.created_at - make_interval(secs => made.duration_ms / 1000.0)),
          'ended_at', iso(made.created_at), 'duration_ms', made.duration_ms)
      from tool_calls as made
      join texts as result on result.text_id = made.call_id
      left join asked on asked.call_id = made.answer_id
      left join gates on gates.gate_id = made.gate_id
      left join texts as edited on edited.text_id = gates.answer_id
      where made.run_id = for_run
      union all
      select opened_at, 3, gate_id, json_build_object(
        'type', 'gate', 'id', gate_id, 'task_id', task_id, 'kind', kind, 'status', status, 'reason', reason,
        'decision', decision, 'answer', shown_of(text, share), 'by', by, 'note', note,
        'started_at', iso(opened_at), 'ended_at', iso(answered_at),
        'duration_ms', round(extract(epoch from answered_at - opened_at) * 1000)::bigint)
      from gates left join texts on text_id = answer_id
      where gates.run_id = for_run
      union all
      select created_at, 1, try_key, json_build_object(
        'type', 'retry', 'id', try_key, 'task_id', task_id, 'of', 'call', 'tries', tries, 'attempt', null, 'reason', reason,
        'started_at', iso(created_at), 'ended_at', null, 'duration_ms', null)
      from failed_tries where run_id = for_run
      union all
      select created_at, 1, for_run || '/' || seq, json_build_object(
        'type', 'retry', 'id', for_run || '/' || seq, 'task_id', data ->> 'task_id',
        'of', case type when 'call.retrying' then 'call' when 'run.retried' then 'run' else 'task' end,
        'tries', (data ->> 'tries')::integer, 'attempt', (data ->> 'attempt')::integer,
        'reason', coalesce(data ->> 'reason', data ->> 'note'),
        'started_at', iso(created_at), 'ended_at', null, 'duration_ms', null)
      from run_events
      where run_id = for_run and (
        type in ('task.retrying', 'run.retried', 'task.retried')
        -- Those that the release before has told, and those that come after the tries that are kept.
        or type = 'call.retrying' and (kept = 0 or kept = 1000 and created_at > last_kept_at))
    )
    select coalesce(json_agg(entry order by at, rank, id), '[]')
    from (select * from entries order by at, rank, id limit most) as first
  );
end
$$;
