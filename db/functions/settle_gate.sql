-- Answers a gate that is open, and returns it as it stands then, with whether this answer won. `db/gates.ts` says what
-- it promises. A gate knows the request that answered it, so that a retry of that request is told so, and no other is.
create or replace function settle_gate(
  for_run text, for_gate text, given_decision text, given_output text, given_by text
) returns table (won boolean, gate gates) language plpgsql as $$
declare
  settled gates;
begin
  perform from runs where run_id = for_run for update;
  update gates set
    status = 'answered', decision = given_decision, answered_by = given_by, answered_at = now(),
    answer_id = case when given_output is not null then for_gate end
  where gate_id = for_gate and status = 'open'
  returning * into settled;
  if not found then
    return query select false, gates from gates where gate_id = for_gate;
    return;
  end if;

  if given_output is not null then
    insert into texts (text_id, run_id, text) values (for_gate, for_run, given_output) on conflict do nothing;
  end if;
  update tasks set status = 'running' where run_id = for_run and id = settled.task_id;
  update runs set status = 'running'
  where run_id = for_run and status = 'waiting_human'
    and not exists (select from gates where run_id = for_run and status = 'open');
  perform append_events(for_run, jsonb_build_array(jsonb_build_object(
    'key', 'answer/' || for_gate,
    'type', 'gate.answered',
    'data', jsonb_strip_nulls(jsonb_build_object(
      'task_id', settled.task_id, 'gate_id', for_gate, 'decision', given_decision,
      'note', left(note_of(settled.kind, given_decision, given_output), 200))))));
  return query select true, settled;
end
$$;
