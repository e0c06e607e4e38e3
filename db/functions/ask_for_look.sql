-- People of an account have changed, or one of them has a place again: somebody may be given what waits, or must lose it.
create or replace function ask_for_look() returns trigger language plpgsql as $$
begin
  insert into assignment_looks (account_id) values (case when tg_op = 'DELETE' then old.account_id else new.account_id end);
  return null;
end
$$;
