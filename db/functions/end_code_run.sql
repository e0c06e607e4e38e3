-- Writes down how a try of code ended, with what it has printed, takes back the key that it was given, and completes its run with its
-- output, where that is given: then `status` is what `save_progress` returns. Of a try that has ended, what was written first stands,
-- and nothing else is written. `db/code-runs.ts` says what it promises.
create or replace function end_code_run(
  ending jsonb, stdout text, stderr text, output text, why json, completing jsonb, out done code_runs, out status text
) language plpgsql as $$
declare
  for_run text := ending ->> 'run_id';
  place text := (ending ->> 'call_id') || '/' || (ending ->> 'try');
begin
  -- The run is locked before the rows that refer to it.
  if completing is not null then
    perform from runs where run_id = for_run for update;
  end if;
  select * into strict done from code_runs
  where call_id = ending ->> 'call_id' and try = (ending -> 'try')::integer for update;
  if done.ended is not null then
    return;
  end if;
  insert into texts (text_id, run_id, text)
  select place || '/' || name, for_run, kept.text
  from (values ('stdout', stdout), ('stderr', stderr), ('output', output)) as kept (name, text)
  where kept.text is not null
  on conflict do nothing;
  delete from api_keys where key_id = done.key_id;
  update code_runs set
    ended = ending ->> 'ended',
    exit_code = (ending ->> 'exit_code')::integer,
    wall_ms = (ending ->> 'wall_ms')::integer,
    cpu_ms = (ending ->> 'cpu_ms')::integer,
    ended_at = now(),
    stdout_id = case when stdout is not null then place || '/stdout' end,
    stderr_id = case when stderr is not null then place || '/stderr' end,
    stdout_is_cut = (ending -> 'stdout_is_cut')::boolean,
    stderr_is_cut = (ending -> 'stderr_is_cut')::boolean,
    output_id = case when output is not null then place || '/output' end,
    fault = why
  where call_id = done.call_id and try = done.try
  returning * into done;
  if completing is not null then
    status := save_progress(for_run, completing);
  end if;
end
$$;
