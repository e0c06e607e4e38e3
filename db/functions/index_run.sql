-- Keeps what a run is found by: the trigger `run_search`, whenever a run is accepted or labelled anew. One that is purged
-- is not found.
create or replace function index_run() returns trigger language plpgsql as $$
begin
  if new.account_id is not null then
    insert into run_search (run_id, document)
    values (new.run_id, run_document(new.account_id, new.task, new.tags, new.metadata))
    on conflict (run_id) do update set document = excluded.document;
  end if;
  return null;
end
$$;
