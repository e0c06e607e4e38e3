-- Tells of a call that is tried again, or, without a warning, that it is no more. `db/retrying.ts` says what it promises.
create or replace function tell_retrying(for_run text, for_call text, warning text, events jsonb)
returns void language plpgsql as $$
begin
  perform from runs where run_id = for_run and status not in ('completed', 'failed', 'cancelled') for update;
  if not found then
    return;
  end if;
  update runs set
    retrying = case when warning is null then retrying - for_call else retrying || jsonb_build_object(
      for_call, jsonb_build_object('warning', warning, 'next_try_at', events -> 0 -> 'data' -> 'next_try_at')) end
  where run_id = for_run;
  perform append_events(for_run, events);
end
$$;
