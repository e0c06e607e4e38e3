-- What a run is found by: its labels, and the words of its goal.
create or replace function run_document(account_id text, task text, tags text[], metadata jsonb)
returns tsvector language sql immutable as $$
  select array_to_tsvector(run_labels(account_id, tags, metadata)) || to_tsvector('simple', task)
$$;
