-- An amount of money as it is: what prices and counts of tokens make of it, without what binary fractions add.
create or replace function usd(amount double precision) returns numeric language sql immutable as $$
  select trim_scale(round(amount::numeric, 9))
$$;
