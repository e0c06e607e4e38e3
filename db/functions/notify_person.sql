-- Has a person told of the last event of a run, where they have said where: that a gate is theirs (`gate.assigned`), or is
-- so no more (`gate.unassigned`), whoever has it then. Nobody, and who was removed, is told nothing.
create or replace function notify_person(for_person text, for_run text, as_type text) returns void language plpgsql as $$
declare
  person people;
  event run_events;
  delivery text;
begin
  select * into person from people where person_id = for_person and notify_url is not null;
  if not found then
    return;
  end if;
  select run_events.* into event
  from run_events join runs on runs.run_id = run_events.run_id and seq = event_seq
  where run_events.run_id = for_run;
  -- Those of the run's own webhook end with a number only.
  delivery := format('msg_%s_notice-%s', for_run, event.seq);
  if as_type = 'gate.unassigned' then
    delivery := delivery || '-lost';
    event.type := as_type;
    event.data := event.data - '{person_id,name}'::text[];
  end if;
  insert into webhook_deliveries (delivery_id, account_id, run_id, event, url, body, next_attempt_at)
  values (
    delivery, person.account_id, for_run, as_type, person.notify_url, event_body(delivery, for_run, event), now());
end
$$;
