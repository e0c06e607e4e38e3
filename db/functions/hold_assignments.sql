-- Until the transaction ends, nobody else gives open gates of this account to people, or changes those. `db/assignments.ts`
-- says in which order.
create or replace function hold_assignments(for_account text) returns void language sql as $$
  select pg_advisory_xact_lock(hashtextextended(for_account, 41))
$$;
