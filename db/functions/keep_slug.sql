-- Keeps the slug under which a version is public for its account: the trigger `keeps_slug` of agent_versions.
create or replace function keep_slug() returns trigger language plpgsql as $$
begin
  insert into kept_slugs (slug, account_id)
  select accounts.slug, accounts.account_id from agents join accounts using (account_id) where agents.agent_id = new.agent_id
  on conflict do nothing;
  return null;
end
$$;
