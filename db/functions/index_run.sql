-- Keeps what a run is found by: the trigger `run_search`, whenever a run is accepted or labelled anew.
create or replace function index_run() returns trigger language plpgsql as $$
begin
  insert into run_search (run_id, document)
  values (new.run_id, run_document(new.account_id, new.task, new.tags, new.metadata))
  on conflict (run_id) do update set document = excluded.document;
  return null;
end
$$;
