-- Until the transaction ends nothing else is reserved of the operator's money, nor added up.
create or replace function lock_managed() returns void language sql as $$
  select pg_advisory_xact_lock(hashtext('orchflow:managed'))
$$;
