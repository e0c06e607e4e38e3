-- What a person has said at a gate beside the decision: the text of an answer that did not become the output, or null.
-- In `sql`, so that Postgres takes it apart in the queries that call it.
create or replace function note_of(kind text, decision text, said text) returns text language sql immutable as $$
  select case
    when decision in ('reject', 'retry') or kind = 'budget' then said
    when decision = 'approve' and kind in ('approval', 'tool_approval') then said
  end
$$;
