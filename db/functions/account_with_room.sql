-- The account, when it has less than `most` unfinished runs; else it raises OF429. `db/limits.ts` says what it promises.
-- Far from the limit nobody waits for anybody; near it the account's row is held, and each statement here sees what was
-- committed before it.
create or replace function account_with_room(for_account text, most integer) returns text language plpgsql as $$
declare
  unfinished integer;
begin
  for look in 1..2 loop
    select count(*) into unfinished from (
      select from runs
      where account_id = for_account and status in ('pending', 'running', 'waiting_human')
      limit most
    ) as counted;
    exit when unfinished < most - 100;
    perform from accounts where account_id = for_account for no key update;
  end loop;
  if unfinished >= most then
    raise exception 'too many unfinished runs' using errcode = 'OF429';
  end if;
  return for_account;
end
$$;
