-- A URL as readers may see it: what stands before its host (`user:password@`) is not shown.
create or replace function without_password(url text) returns text language sql immutable as $$
  select regexp_replace(url, '^(\w+:[/\\]*)[^/\\?#]*@', '\1***@')
$$;
