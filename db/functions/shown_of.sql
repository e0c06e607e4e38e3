-- A text as readers are shown it: whole, or, with `most`, the first so many characters of it, and that it was cut. Bytes
-- are what PostgreSQL knows of a stored text without reading it; its characters it would count for 20 ms a megabyte.
create or replace function shown_of(whole text, most integer) returns text language sql immutable as $$
  select case
    when octet_length(whole) > most and octet_length(left(whole, most)) < octet_length(whole)
      then left(whole, most) || '… (cut: it has ' || octet_length(whole) || ' bytes)'
    else whole
  end
$$;
