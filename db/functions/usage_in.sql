-- What an account's calls have come to, or those of its agents by others, in hours from `since` to before `until`: what is added up and what is not yet.
create or replace function usage_in(for_account text, of_side text, since timestamptz, until timestamptz)
returns setof usage_counts language sql stable as $$
  select * from usage_counts where account_id = for_account and side = of_side and hour >= since and hour < until
  union all
  select * from usage_deltas where account_id = for_account and side = of_side and hour >= since and hour < until
$$;
