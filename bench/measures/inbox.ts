import autocannon from 'autocannon';
import { register } from '../../test/harness/client.ts';
import { addPerson } from '../../test/harness/people.ts';
import { insertWaitingGates } from '../../test/harness/waiting-gates.ts';
import type { Servers } from '../servers.ts';
import { makeRow, ms, type Row } from '../table.ts';

const open = 10_000;
const reads = 500;
const most = 20;

/** The first page of an inbox with ten thousand open gates, as its account and as a person see it, one read after another. */
export async function inbox({ url, db }: Servers): Promise<Row[]> {
  const user = await register(url);
  const person = await addPerson(user, url, { skills: ['legal'] });
  const { person_id } = person;
  const { account_id } = await db
    .selectFrom('people')
    .select('account_id')
    .where('person_id', '=', person_id)
    .executeTakeFirstOrThrow();
  await insertWaitingGates(db, { account_id, person_id, count: open });
  const rows: Row[] = [];
  for (const [whose, key] of [
    ['of its account', user.api_key],
    ['of a person', person.api_key],
  ] as const) {
    const { latency, non2xx } = await autocannon({
      url: `${url}/api/v1/inbox`,
      connections: 1,
      amount: reads,
      headers: { 'x-api-key': key },
    });
    if (non2xx) throw new Error(`${non2xx} reads failed.`);
    const what = `GET /inbox ${whose}, ${open.toLocaleString('en')} gates open, p99`;
    rows.push(makeRow({ what, unit: ms, bars: [{ most }] }, { now: [[latency.p99]] }));
  }
  await db.deleteFrom('accounts').where('account_id', '=', account_id).execute();
  return rows;
}
