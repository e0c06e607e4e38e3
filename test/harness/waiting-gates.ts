import { sql } from 'kysely';
import type { Db } from '../../db/index.ts';

/**
 * So many runs of an account, `run_1` and so on, whose task T1 waits: a third of them for nobody, a third for this person, and a
 * third for whoever knows the law. Every second is due, `gate_2` first. Each had five gates that were answered.
 */
export async function insertWaitingGates(
  db: Db,
  { account_id, person_id, count }: { account_id: string; person_id: string; count: number },
): Promise<void> {
  const numbers = sql`generate_series(1, ${count}::integer) as n`;
  await sql`
    insert into runs (run_id, account_id, task, agents, human_gates, ask_me_about, require_approval, status)
    select 'run_' || n, ${account_id}, 'Goal ' || n, '[]', '[]', '[]', false, 'waiting_human' from ${numbers}`.execute(
    db,
  );
  await sql`
    insert into tasks (run_id, id, position, title, description, kind, status)
    select 'run_' || n, 'T1', 0, 'Task', 'Question ' || n, 'human', 'waiting_human' from ${numbers}`.execute(db);
  await sql`
    insert into gates (
      gate_id, run_id, account_id, task_id, kind, status, decisions, skills, person_id, assignment, assigned_at, due_at)
    select 'gate_' || n, 'run_' || n, ${account_id}, 'T1', 'human_task', 'open', '["approve"]',
      case n % 3 when 0 then '{}'::text[] else '{legal}'::text[] end, case n % 3 when 1 then ${person_id} end,
      case n % 3 when 1 then 'given' when 2 then 'released' end, now(), case when n % 2 = 0 then now() + n * interval '1 second' end
    from ${numbers}`.execute(db);
  await sql`
    insert into gates (gate_id, run_id, account_id, task_id, kind, status, decisions, opened_at)
    select 'past_' || n || '_' || k, 'run_' || n, ${account_id}, 'T1', 'human_task', 'answered', '["approve"]',
      now() - interval '1 day'
    from ${numbers}, generate_series(1, 5) as k`.execute(db);
  await sql`vacuum analyze runs, tasks, gates`.execute(db);
}
