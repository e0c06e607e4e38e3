-- What a run costs begins at 0: the trigger `run_costs` of runs. It has this row until it is purged.
create or replace function begin_run_cost() returns trigger language plpgsql as $$
begin
  insert into run_costs (run_id, account_id) values (new.run_id, new.account_id);
  return null;
end
$$;
