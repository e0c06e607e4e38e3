-- Answers a gate that is open, and returns it as it stands then, with whether this answer won. `db/gates.ts` says what
-- it promises. A gate knows the request that answered it, so that a retry of that request is told so, and no other is.
-- Processes of the release before call it without the last two arguments.
drop function if exists settle_gate(text, text, text, text, text);
create or replace function settle_gate(
  for_run text, for_gate text, given_decision text, given_output text, given_by text,
  by_actor jsonb default null, given_note text default null
) returns table (won boolean, gate gates) language plpgsql as $$
declare
  settled gates;
begin
  perform from runs where run_id = for_run for update;
  update gates set
    status = 'answered', decision = given_decision, answered_by = given_by, answered_at = now(),
    by = by_actor, note = given_note,
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
  -- What is granted goes beyond the limits only where they would not cover the call that was asked about.
  if settled.kind = 'budget' and given_decision = 'approve' then
    update gates set asked = asked
      - case when (asked -> 'tokens')::bigint > budget.max_tokens then '' else 'tokens' end
      - case when (asked -> 'cost_usd')::numeric > budget.max_cost_usd::numeric then '' else 'cost_usd' end
    from (
      select max_tokens * (1 + times) as max_tokens, usd(max_cost_usd) * (1 + times) as max_cost_usd
      from runs, lateral (
        select count(*) as times from gates where run_id = for_run and kind = 'budget' and decision = 'approve') as granted
      where run_id = for_run) as budget
    where gate_id = for_gate;
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
      'note', nullif(concat_ws(E'\n\n', left(note_of(settled.kind, given_decision, given_output), 200), given_note), '')))
      || case when by_actor is null then '{}' else jsonb_build_object('by', by_actor) end)));
  return query select true, settled;
end
$$;
