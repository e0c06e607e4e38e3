import { sql, type RawBuilder } from 'kysely';
import type { GateKind } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import type { GateView, JsonText } from './run-views.ts';
import type { RunKind } from './schema.ts';

/** What waits for people: the open gates of an account. Postgres writes the JSON, and it goes to the wire as it is. */

export type InboxItem = Pick<
  GateView,
  | 'gate_id'
  | 'kind'
  | 'reason'
  | 'fields'
  | 'decisions'
  | 'skills'
  | 'person'
  | 'assigned_at'
  | 'assignment_note'
  | 'opened_at'
  | 'due_at'
> & {
  run_id: string;
  run_kind: RunKind;
  task_id: string;
  goal: string;
  title: string;
  /** What a person is asked, or what the task is about. */
  question: string;
  /** What a human step shows with its prompt, and what is filled in there. */
  context: string | null;
  /** The output that waits for approval, or the arguments of a call. */
  draft: string | null;
  /** What the tasks before it have made, and people have answered. */
  material: { task_id: string; title: string; output: string }[];
  overdue: boolean;
};

/** Who looks: everybody of the account unless `person_id` is given, then this person with what they may answer. */
export type InboxReader = { account_id: string; person_id: string | null };

/** All that is given holds of each gate. */
export type InboxFilter = { person_id?: string; skill?: string; kind?: GateKind; overdue?: boolean };

/** Where a gate stands in the order: what is due first, and of what is never due what was opened first. */
export type InboxPlace = { due_at: string | null; opened_at: string; gate_id: string };

/** In a list, texts are cut to so many characters. */
const shownInList = 2_000;

const place = sql`coalesce(due_at, 'infinity'::timestamptz), opened_at, gate_id`;

/** A page of what waits. `created_at` is when the gate was opened. */
export async function listInbox(
  db: Db,
  reader: InboxReader,
  filter: InboxFilter,
  { limit, after }: { limit: number; after?: InboxPlace },
): Promise<{ gate_id: string; created_at: string; due_at: string | null; item: JsonText<InboxItem> }[]> {
  const conditions = [...conditionsOf(filter), ...(after ? [isAfter(after)] : [])];
  const found = await sql<{ gate_id: string; created_at: string; due_at: string | null; item: string }>`
    with page as materialized (
      select * from (${sql.join(
        branchesOf(reader).map((branch) => pageOfBranch([branch, ...conditions], limit)),
        sql` union all `,
      )}) as found
      order by ${place} limit ${limit}
    )
    select gate_id, opened_at as created_at, due_at, item
    from page join inbox_items(array(select gate_id from page), ${shownInList}::integer) using (gate_id)
    order by ${place}`.execute(db);
  return found.rows;
}

/** An open gate with its texts whole; undefined when there is none of this id that the reader may see. */
export async function findInboxItem(
  db: Db,
  { account_id, person_id }: InboxReader,
  gate_id: string,
): Promise<JsonText<InboxItem> | undefined> {
  const isTheirs = person_id === null ? sql`true` : sql`may_answer(${person_id}, gates.gate_id)`;
  const { rows } = await sql<{ item: string }>`
    select item from gates cross join lateral inbox_items(array[gates.gate_id], null) as shown
    where gates.gate_id = ${gate_id} and account_id = ${account_id} and status = 'open' and ${isTheirs}`.execute(db);
  return rows[0]?.item;
}

/** Each has an index of its own, in the order of the list. */
function branchesOf({ account_id, person_id }: InboxReader): RawBuilder<unknown>[] {
  const ofAccount = sql`account_id = ${account_id}`;
  if (person_id === null) return [ofAccount];
  return [
    sql`person_id = ${person_id}`,
    // In a CASE, because Postgres takes few to fit otherwise, and sorts all of them where the index has them in their order.
    sql`${ofAccount} and person_id is null and skills <> '{}'
      and case when skills <@ (select skills from people where people.person_id = ${person_id}) then true else false end`,
  ];
}

function pageOfBranch(conditions: RawBuilder<unknown>[], limit: number): RawBuilder<unknown> {
  return sql`(
    select gate_id, due_at, opened_at from gates where status = 'open' and ${sql.join(conditions, sql` and `)}
    order by ${place} limit ${limit})`;
}

function conditionsOf({ person_id, skill, kind, overdue }: InboxFilter): RawBuilder<unknown>[] {
  return [
    ...(person_id === undefined ? [] : [sql`person_id = ${person_id}`]),
    ...(skill === undefined ? [] : [sql`skills @> array[${skill}]::text[]`]),
    ...(kind === undefined ? [] : [sql`kind = ${kind}`]),
    ...(overdue === undefined
      ? []
      : [sql`coalesce(due_at, 'infinity'::timestamptz) ${sql.raw(overdue ? '<' : '>=')} now()`]),
  ];
}

function isAfter({ due_at, opened_at, gate_id }: InboxPlace): RawBuilder<unknown> {
  return sql`(${place}) > (${due_at ?? 'infinity'}::timestamptz, ${opened_at}::timestamptz, ${gate_id})`;
}
