-- The tools that a model called in this answer, in its order, with what came of each call: null while it is not made.
create or replace function tool_calls_view(for_answer text, requested jsonb, share integer) returns json
language sql stable as $$
  select coalesce(json_agg(json_build_object(
    'tool', coalesce(one ->> 'tool', one ->> 'name'), 'arguments', shown_of(one ->> 'arguments', share),
    'result', shown_of(result.text, share), 'is_error', made.is_error, 'gate_id', made.gate_id,
    'created_at', iso(made.created_at))
    order by nth), '[]')
  from jsonb_array_elements(nullif(requested, 'null')) with ordinality as called(one, nth)
  left join tool_calls as made on made.answer_id = for_answer and made.position = nth
  left join texts as result on result.text_id = made.call_id
$$;
