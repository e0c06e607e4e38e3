-- A text as readers are shown it: whole, or, with `most`, the first so many characters of it, and that it was cut.
create or replace function shown_of(whole text, most integer) returns text language sql immutable as $$
  select case
    when most is null then whole
    when length(whole) > most then left(whole, most) || '… (cut: it has ' || length(whole) || ' characters)'
    else whole
  end
$$;
