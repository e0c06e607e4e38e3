-- Begins the runs of an account that are due, in the order of its queue, as far as it has places: each once, with the
-- outbox entry that starts it, claimed for the caller. `db/run-queue.ts` says what it promises.
-- Whoever begins runs of the account holds its row, so that they come to no more than `most` (null: all). Each statement here
-- sees what was committed before it.
create or replace function begin_runs(for_account text, most integer)
returns table (outbox_id bigint, run_id text, message jsonb, attempts integer) language plpgsql as $$
declare
  places integer := 50;
begin
  -- Mostly nothing waits, and then nobody waits for anybody.
  perform from runs
  where account_id = for_account and queued_at <= now() and held_at is null and status = 'pending' limit 1;
  if not found then
    return;
  end if;
  -- Who comes while another is at it does not wait: what that one does not see is found by the sweep of the outbox.
  perform from accounts where account_id = for_account and suspended_at is null for no key update skip locked;
  if not found then
    return;
  end if;
  if most is not null then
    places := least(places, most - count_active(for_account, most));
  end if;
  return query
  with next as (
    select runs.run_id, queued_at from runs
    where account_id = for_account and queued_at <= now() and held_at is null and status = 'pending'
    order by queued_at, runs.run_id limit places
    for update
  ), begun as (
    update runs set queued_at = null from next where runs.run_id = next.run_id
    returning next.run_id, next.queued_at
  )
  insert into outbox as entry (run_id, message, next_attempt_at)
  select begun.run_id, '{"kind": "start"}', now() + interval '10 seconds' from begun order by begun.queued_at, begun.run_id
  returning entry.outbox_id, entry.run_id, entry.message, entry.attempts;
end
$$;
