import { sql, type Transaction } from 'kysely';
import type { Db } from './index.ts';
import { findEventData } from './run-events.ts';
import type { Doing } from './runs.ts';
import { lockOwnRun } from './runs.ts';
import type { Assignment, Database, Gate } from './schema.ts';

/**
 * Whose the open gates of an account are. A gate that asks for skills is given to somebody active who has all of them and has
 * less than `max_open` open gates: to who has the fewest, and of several to who was given one longest ago. It is assigned by the
 * statement that opens it (`save_progress`), and looked at again when people have changed or have a place again, which triggers
 * note (`assignment_looks`). Whoever changes whose a gate is holds
 * first the lock on its run, and then the assignments of its account.
 */

/**
 * Holds what is given to the people of an account until the transaction ends: who is changed meanwhile is given nothing by what
 * they were. It comes after the lock on a run, never before.
 */
export async function holdAssignments(db: Db, account_id: string): Promise<void> {
  await sql`select hold_assignments(${account_id})`.execute(db);
}

export type GateOfRun = Pick<Gate, 'run_id' | 'gate_id'>;

/** What is asked for in an account: by which rows, so that what is asked meanwhile is not taken for done. */
export type AssignmentLook = { account_id: string; look_ids: string[] };

/** The accounts in which it is to be looked at whose the gates are; only this one, if it is given. */
export async function listLooks(db: Db, account_id?: string): Promise<AssignmentLook[]> {
  const isOwn = account_id === undefined ? sql`true` : sql`account_id = ${account_id}`;
  const { rows } = await sql<AssignmentLook>`
    select account_id, array_agg(look_id::text) as look_ids from assignment_looks where ${isOwn}
    group by account_id order by min(look_id)`.execute(db);
  return rows;
}

export async function forgetLook(db: Db, { look_ids }: AssignmentLook): Promise<void> {
  await db.deleteFrom('assignment_looks').where('look_id', 'in', look_ids).execute();
}

/** So many skill sets times people are compared at most, in a fifth of a second. */
const mostComparisons = 200_000;

/**
 * The open gates of an account, up to `limit`, that are with somebody who may not have them any more, or are nobody's and somebody
 * fits by now, what is due first at first, and no more of these than there are places.
 */
export async function listToAssign(db: Db, account_id: string, limit: number): Promise<GateOfRun[]> {
  const order = sql`coalesce(due_at, 'infinity'::timestamptz), opened_at, gate_id`;
  const isWanted = sql`
    status = 'open' and account_id = ${account_id} and person_id is null and skills <> '{}' and assignment = 'wanted'`;
  const { rows } = await sql<GateOfRun>`
    with held as materialized (
      select run_id, gate_id, person_id, skills, assignment, due_at, opened_at,
        row_number() over (partition by person_id order by assigned_at, gate_id) as number
      from gates where status = 'open' and account_id = ${account_id} and person_id is not null
    ), free as materialized (
      select skills, max_open - open as places
      from people left join (select person_id, count(*) as held from held group by person_id) as loads using (person_id),
        lateral (select coalesce(held, 0) as open) as load
      where account_id = ${account_id} and status = 'active' and (max_open is null or max_open > open)
    ), wanted as materialized (
      select skills from gates where ${isWanted}
      group by skills order by min(coalesce(due_at, 'infinity'::timestamptz)), min(opened_at)
      limit ${mostComparisons}::bigint / (1 + (select count(*) from free))
    ), fitting as materialized (
      select skills from wanted where exists (select from free where free.skills @> wanted.skills)
    )
    select run_id, gate_id from (
      (select run_id, gate_id, due_at, opened_at from held left join people using (person_id)
      where people.status is distinct from 'active' or number > max_open
        or assignment = 'automatic' and not people.skills @> held.skills)
      union all
      (select run_id, gate_id, due_at, opened_at from gates
      where ${isWanted} and skills in (select skills from fitting)
      order by ${order} limit (select case when bool_and(places is not null) then sum(places)::bigint end from free))
    ) as found
    order by ${order} limit ${limit}`.execute(db);
  return rows;
}

/**
 * Looks at whose a gate is, and gives it to the next who fits, or to nobody, where who has it may not have it (any more), or
 * nobody has it; never what was given back by hand. What is right stays. `busy`: somebody else is at its run.
 */
export function assignGate(db: Db, { run_id, gate_id }: GateOfRun): Promise<'changed' | 'same' | 'busy'> {
  return db.transaction().execute(async (trx) => {
    const run = trx.selectFrom('runs').select('run_id').where('run_id', '=', run_id).forUpdate().skipLocked();
    if (!(await run.executeTakeFirst())) return 'busy';
    const { rows } = await sql<{ changed: boolean }>`select assign_gate(${gate_id}) as changed`.execute(trx);
    return rows[0]!.changed ? 'changed' : 'same';
  });
}

/**
 * Hands the open gate of a task that is due on to the next person who fits, once for each due date; with nobody else it stays
 * with who has it. True when it has changed.
 */
export function escalateGate(db: Db, { run_id, task_id }: { run_id: string; task_id: string }): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    await trx.selectFrom('runs').select('run_id').where('run_id', '=', run_id).forUpdate().execute();
    const due = trx
      .updateTable('gates')
      .set({ escalated_due_at: sql`due_at` })
      .where('run_id', '=', run_id)
      .where('task_id', '=', task_id)
      .where('status', '=', 'open')
      // The news may be late, and its terms others by now.
      .where(sql<boolean>`due_at <= now() and escalated_due_at is distinct from due_at`);
    const gate = await due.returning('gate_id').executeTakeFirst();
    if (!gate) return false;
    const { rows } = await sql<{ changed: boolean }>`select assign_gate(${gate.gate_id}, true) as changed`.execute(trx);
    return rows[0]!.changed;
  });
}

/** Whether a person may answer a gate now: it is theirs, or nobody's and asks for skills that they have all of. */
export async function mayAnswer(db: Db, person_id: string, gate_id: string): Promise<boolean> {
  const { rows } = await sql<{ may: boolean }>`select may_answer(${person_id}, ${gate_id}) as may`.execute(db);
  return rows[0]!.may;
}

/** What came of it to assign a task by hand. */
export type HandedOver =
  | { result: 'unknown_task' | 'unknown_person' | 'not_free' | 'too_often' }
  | { result: 'not_waiting'; task_status: string }
  | ({ result: 'assigned' } & AssignedGate);

/** Whose a gate is after a request. */
export type AssignedGate = Pick<Gate, 'gate_id' | 'person_id' | 'skills'>;

type Handing = Doing & {
  account_id: string;
  run_id: string;
  task_id: string;
  /** Null gives it back: nobody is given it by skills from then on. */
  to: string | null;
  /** Who asks with their own key hands on only what they may answer, and together with what is assigned by itself not for ever. */
  person_id: string | null;
  /** The same at every try. */
  request_id: string;
};

/**
 * Gives the open gate of a task to a person, whatever their skills, or back to all who have the skills. Who has it already keeps
 * it as it is, so that a request that is made again changes nothing; and a try of a request that was done finds what it has done,
 * whoever has the gate by then.
 */
export function assignByHand(db: Db, handing: Handing): Promise<HandedOver> {
  const { account_id, run_id, task_id, to, person_id, request_id, by, note } = handing;
  return db.transaction().execute(async (trx): Promise<HandedOver> => {
    if (!(await lockOwnRun(trx, account_id, run_id))) return { result: 'unknown_task' };
    const done = await findEventData(trx, run_id, `assignment/${request_id}`);
    if (done) return { result: 'assigned', ...assignedBy(done) };
    await holdAssignments(trx, account_id);
    const task = trx.selectFrom('tasks').select('status').where('run_id', '=', run_id).where('id', '=', task_id);
    const found = await task.executeTakeFirst();
    const gate = found && (await findOpenGate(trx, run_id, task_id));
    if (!found || (person_id !== null && !(gate && (await mayAnswer(trx, person_id, gate.gate_id)))))
      return { result: 'unknown_task' };
    if (!gate) return { result: 'not_waiting', task_status: found.status };
    if (to !== null && to !== gate.person_id) {
      const room = await findRoom(trx, account_id, to);
      if (room === undefined) return { result: 'unknown_person' };
      if (!room) return { result: 'not_free' };
    }
    const how: Assignment = to === null ? 'released' : 'given';
    const { gate_id, skills } = gate;
    if (gate.person_id !== to || gate.assignment === 'wanted') {
      const { rows } = await sql`
        select give_gate(gate_id, ${to}, ${how}, ${JSON.stringify(by)}::jsonb, ${note ?? null}, ${request_id})
        from gates
        where gate_id = ${gate_id} and (${person_id === null} or assigned_times < most_assignments())`.execute(trx);
      if (rows.length === 0) return { result: 'too_often' };
    }
    return { result: 'assigned', gate_id, skills, person_id: to };
  });
}

/** As the event of the request tells it. */
function assignedBy({ gate_id, person_id, skills }: Record<string, any>): AssignedGate {
  return { gate_id, skills, person_id: person_id ?? null };
}

function findOpenGate(trx: Transaction<Database>, run_id: string, task_id: string): Promise<Gate | undefined> {
  return trx
    .selectFrom('gates')
    .selectAll()
    .where('run_id', '=', run_id)
    .where('task_id', '=', task_id)
    .where('status', '=', 'open')
    .executeTakeFirst();
}

/** Whether a person may be given another gate; undefined when this account has none of this id. */
async function findRoom(
  trx: Transaction<Database>,
  account_id: string,
  person_id: string,
): Promise<boolean | undefined> {
  const { rows } = await sql<{ has_room: boolean }>`
    select status = 'active' and (max_open is null or max_open > (
      select count(*) from gates where gates.person_id = people.person_id and gates.status = 'open')) as has_room
    from people where person_id = ${person_id} and account_id = ${account_id}`.execute(trx);
  return rows[0]?.has_room;
}
