import { sql, type Insertable } from 'kysely';
import type { Db } from './index.ts';
import { withinLimit } from './limits.ts';
import { holdAssignments } from './assignments.ts';
import type { Database, Person } from './schema.ts';

/** The people of an account. Each has one key, which is made and goes with them. */

/** `open_gates`: how many wait for them now. `key_prefix` is how their key begins, and `last_used_at` is the key's. */
export type PersonView = Pick<
  Person,
  'person_id' | 'name' | 'email' | 'skills' | 'notify_url' | 'max_open' | 'status' | 'created_at'
> & { open_gates: number; key_prefix: string; last_used_at: string | null };

export type PersonChange = Partial<Pick<Person, 'name' | 'email' | 'skills' | 'notify_url' | 'max_open' | 'status'>>;

type Whose = Pick<Person, 'account_id' | 'person_id'>;

/** What is kept of a person's key. */
export type PersonKey = Pick<
  Insertable<Database['api_keys']>,
  'key_id' | 'key_prefix' | 'key_sha256' | 'name' | 'scopes' | 'mode'
>;

function viewed(db: Db) {
  return db
    .selectFrom('people')
    .innerJoin('api_keys', 'api_keys.person_id', 'people.person_id')
    .select(['people.person_id', 'people.name', 'email', 'skills', 'notify_url', 'max_open', 'status'])
    .select(['people.created_at', 'key_prefix', 'last_used_at'])
    .select((eb) =>
      eb
        .selectFrom('gates')
        .select(sql<number>`count(*)`.as('count'))
        .whereRef('gates.person_id', '=', 'people.person_id')
        .where('gates.status', '=', 'open')
        .$asScalar()
        .as('open_gates'),
    )
    .$narrowType<{ open_gates: number }>();
}

/** Undefined when this account has none of this id. */
export function findPerson(db: Db, account_id: string, person_id: string): Promise<PersonView | undefined> {
  return viewed(db)
    .where('people.person_id', '=', person_id)
    .where('people.account_id', '=', account_id)
    .executeTakeFirst();
}

/** The people of an account that are so, newest first. */
export function listPeople(
  db: Db,
  account_id: string,
  filter: { limit: number; after?: { created_at: string; id: string }; skill?: string; status?: Person['status'] },
): Promise<PersonView[]> {
  const { limit, after, skill, status } = filter;
  return viewed(db)
    .where('people.account_id', '=', account_id)
    .$if(skill !== undefined, (query) => query.where(sql<boolean>`skills @> array[${skill}]::text[]`))
    .$if(status !== undefined, (query) => query.where('status', '=', status!))
    .$if(after !== undefined, (query) =>
      query.where(
        sql<boolean>`(people.created_at, people.person_id) < (${after!.created_at}::timestamptz, ${after!.id})`,
      ),
    )
    .orderBy('people.created_at', 'desc')
    .orderBy('people.person_id', 'desc')
    .limit(limit)
    .execute();
}

/**
 * Adds a person with their key. Where the first try of the request has come so far, the key of this try counts. Throws
 * `LimitReached` when the account has `most` others.
 */
export function insertPerson(
  db: Db,
  person: Insertable<Database['people']>,
  key: PersonKey,
  most: number,
): Promise<PersonView> {
  const { account_id, person_id } = person;
  const others = sql<{ count: number }>`
    select count(*) from people where account_id = ${account_id} and person_id <> ${person_id}`;
  return withinLimit(db, account_id, { what: 'people', most, others }, async (trx) => {
    await trx
      .insertInto('people')
      .values(person)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    await replaceKey(trx, { account_id, person_id }, key);
    return (await findPerson(trx, account_id, person_id))!;
  });
}

/** Gives a person another key, which ends the one before. Undefined when this account has none of this id. */
export function replacePersonKey(
  db: Db,
  account_id: string,
  person_id: string,
  key: PersonKey,
): Promise<PersonView | undefined> {
  return db.transaction().execute(async (trx) => {
    const person = trx.selectFrom('people').select('person_id').where('account_id', '=', account_id);
    const found = await person.where('person_id', '=', person_id).forUpdate().executeTakeFirst();
    if (!found) return undefined;
    await replaceKey(trx, { account_id, person_id }, key);
    return findPerson(trx, account_id, person_id);
  });
}

async function replaceKey(db: Db, whose: Whose, key: PersonKey): Promise<void> {
  await db.deleteFrom('api_keys').where('person_id', '=', whose.person_id).execute();
  await db
    .insertInto('api_keys')
    .values({ ...key, ...whose })
    .execute();
}

/**
 * Changes a person, and returns them. Undefined when this account has none of this id. Their gates are looked at later. What they
 * are to be told, and have not been, goes to the address that they have then.
 */
export function updatePerson(
  db: Db,
  account_id: string,
  person_id: string,
  change: PersonChange,
): Promise<PersonView | undefined> {
  return db.transaction().execute(async (trx) => {
    await holdAssignments(trx, account_id);
    if (Object.keys(change).length > 0) {
      const own = trx.updateTable('people').where('account_id', '=', account_id).where('person_id', '=', person_id);
      const { numUpdatedRows } = await own.set(change).executeTakeFirst();
      if (numUpdatedRows > 0n && change.notify_url !== undefined)
        await redirectNotices(trx, { account_id, person_id }, change.notify_url);
    }
    return findPerson(trx, account_id, person_id);
  });
}

/**
 * Removes a person with their key; false when this account has none of this id. Their gates are looked at later, and they are told
 * nothing more.
 */
export function deletePerson(db: Db, account_id: string, person_id: string): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    await holdAssignments(trx, account_id);
    const own = trx.deleteFrom('people').where('account_id', '=', account_id).where('person_id', '=', person_id);
    const { numDeletedRows } = await own.executeTakeFirst();
    if (numDeletedRows > 0n) await redirectNotices(trx, { account_id, person_id }, null);
    return numDeletedRows > 0n;
  });
}

/** Has what a person was not told yet sent to this address, or, with null, to none. What is being sent may still arrive at the old one. */
async function redirectNotices(trx: Db, { account_id, person_id }: Whose, url: string | null): Promise<void> {
  await trx
    .updateTable('webhook_deliveries')
    .set(url === null ? { status: 'disabled', next_attempt_at: null } : { url })
    .where('account_id', '=', account_id)
    .where('status', '=', 'pending')
    .where('next_attempt_at', 'is not', null)
    .where('event', 'in', ['gate.assigned', 'gate.unassigned'])
    .where('subscription_id', 'is', null)
    .where('delivery_id', 'like', '%\\_notice-%')
    .where(
      sql<boolean>`body::json -> 'data' ->> case event when 'gate.assigned' then 'person_id' else 'taken_from' end = ${person_id}`,
    )
    .execute();
}

/** So many a planner chooses from. */
const mostSkills = 100;

/** What the active people of an account know, what most of them do at first. */
export async function listSkills(db: Db, account_id: string): Promise<string[]> {
  const { rows } = await sql<{ skill: string }>`
    select skill from people, unnest(skills) as skill where account_id = ${account_id} and status = 'active'
    group by skill order by count(*) desc, skill limit ${mostSkills}`.execute(db);
  return rows.map(({ skill }) => skill);
}
