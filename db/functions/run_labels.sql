-- Whose a run is and what it is labelled with, as lexemes: hashes, whose length is bounded.
create or replace function run_labels(account_id text, tags text[], metadata jsonb)
returns text[] language sql immutable as $$
  select array['a' || md5(account_id)]
    || array(select 't' || md5(tag) from unnest(tags) as tag)
    || array(select 'm' || md5(key || '=' || value) from jsonb_each_text(metadata))
$$;
