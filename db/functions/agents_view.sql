-- The agents of a run as its readers see them. Of another account's agent that was called, what it is told and may do is its
-- author's; of one whose prompt has another's closed skill, only the prompt is not shown.
create or replace function agents_view(agents jsonb) returns jsonb language sql immutable return (
  select coalesce(jsonb_agg(
    case
      when agent ? 'owner_id' then agent - 'owner_id' - 'is_closed' - 'tools' || '{"system_prompt": ""}'
      when agent ? 'is_closed' then agent - 'is_closed' || '{"system_prompt": ""}'
      else agent
    end order by place), '[]')
  from jsonb_array_elements(agents) with ordinality as given(agent, place)
);
