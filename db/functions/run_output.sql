-- What a run has come to, or null: its final output; of an orchestration the value of the state that the last of its steps has
-- written, as a text. What a person answers is no result, nor is what JavaScript takes for false.
create or replace function run_output(run runs) returns text language plpgsql stable as $$
begin
  if run.kind <> 'orchestration' then
    return (select text from texts where text_id = run.final_output_id);
  end if;
  return (
    select coalesce(written.text, ref ->> 'value')
    from tasks
    cross join lateral (select run.shared_state -> (tasks.step ->> 'output_key')) as kept(ref)
    left join texts as written on written.text_id = coalesce(ref ->> 'text', ref ->> 'json')
    where tasks.run_id = run.run_id and tasks.status = 'completed' and tasks.step ->> 'type' <> 'human'
      and (written.text <> '' and not (ref ? 'json' and written.text in ('false', '0', 'null'))
        or ref -> 'value' not in ('false', '0', 'null', '""'))
    order by tasks.position desc
    limit 1
  );
end
$$;
