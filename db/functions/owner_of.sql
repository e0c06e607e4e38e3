-- Whose a run is, or, of one that is purged, whose it was; null when there is no such run, or that account is deleted.
create or replace function owner_of(for_run text) returns text language sql stable as $$
  select coalesce(
    (select account_id from runs where run_id = for_run),
    (select account_id from purged_runs where run_id = for_run))
$$;
