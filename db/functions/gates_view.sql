-- The `human_gates` of a run as readers may see them.
create or replace function gates_view(human_gates jsonb) returns jsonb language sql immutable as $$
  select coalesce(jsonb_agg(
    case when jsonb_typeof(gate) = 'object' and gate ->> 'escalation_webhook_url' is not null
      then jsonb_set(gate, '{escalation_webhook_url}', to_jsonb(without_password(gate ->> 'escalation_webhook_url')))
      else gate end
    order by position), '[]')
  from jsonb_array_elements(human_gates) with ordinality as given(gate, position)
$$;
