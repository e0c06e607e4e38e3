-- What a run is found by: whose it is, its labels, as hashes of a bounded length, and the words of its goal. `filtered` in
-- `db/run-lists.ts` writes the hashes that it looks for in the same way.
create or replace function run_document(account_id text, task text, tags text[], metadata jsonb)
returns tsvector language sql immutable as $$
  select array_to_tsvector(
    array['a' || md5(account_id)]
    || array(select 't' || md5(tag) from unnest(tags) as tag)
    || array(select 'm' || md5(key || '=' || value) from jsonb_each_text(metadata))
  ) || to_tsvector('simple', task)
$$;
