import { sql, type RawBuilder, type Transaction } from 'kysely';
import type { Db } from './index.ts';
import type { Database } from './schema.ts';

/** How much an account may have of what it makes. */

/** One more would be one too many. The message says it to its client. */
export class LimitReached extends Error {
  override readonly name = 'LimitReached';
  readonly what: Limited | undefined;

  constructor(message: string, what?: Limited) {
    super(message);
    this.what = what;
  }
}

/** What is limited, and what its account can do to have another. */
const limited = {
  'API keys': 'Delete one.',
  'keys of this agent': 'Delete one.',
  people: 'Remove one.',
  'active providers': 'Deactivate one, or name the one that it `replaces`.',
  'MCP servers': 'Remove one.',
  orchestrations: 'Delete one.',
  'unfinished runs': 'Answer those that wait, cancel some, or try again when some have ended.',
  'redeliveries under way': 'Try again when some have arrived, or have failed.',
  'webhook subscriptions': 'Delete one.',
  files: 'Delete some.',
  agents: 'Delete one.',
  'OAuth clients': 'Delete one.',
  'versions of this agent': 'Register a new agent.',
  'knowledge bases': 'Delete one.',
};

export type Limited = keyof typeof limited;

export function limitReached(what: Limited, most: number): LimitReached {
  return new LimitReached(`This account has ${most} ${what}, and may have no more. ${limited[what]}`, what);
}

/**
 * Does it when the account has less than `most` of what `others` counts, and throws `LimitReached` else. The account's row
 * is held meanwhile, so that many at once come to no more.
 */
export function withinLimit<T>(
  db: Db,
  account_id: string,
  { what, most, others }: { what: Limited; most: number; others: RawBuilder<{ count: number }> },
  doIt: (trx: Transaction<Database>) => Promise<T>,
): Promise<T> {
  return db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id);
    const { rows } = await others.execute(trx);
    if (rows[0]!.count >= most) throw limitReached(what, most);
    return doIt(trx);
  });
}

/** The account was deleted after the request was let in. */
export class AccountGone extends Error {
  override readonly name = 'AccountGone';
}

/**
 * Holds the row of an account until the transaction ends: those who change what it has do so one after another. Throws
 * `AccountGone`.
 */
export async function holdAccount(trx: Transaction<Database>, account_id: string): Promise<void> {
  const account = trx.selectFrom('accounts').select('account_id').where('account_id', '=', account_id);
  if (!(await account.forNoKeyUpdate().executeTakeFirst())) throw new AccountGone('This account was deleted.');
}

/** The SQLSTATE that `account_with_room` in `db/functions` raises. */
const noRoom = 'OF429';

/** The account, for the statement that makes one of its runs unfinished: it fails when there are `most` of them. */
export function accountWithRoom(account_id: string, most: number) {
  return sql<string>`account_with_room(${account_id}, ${most})`;
}

/** What `accountWithRoom` has failed with, as `LimitReached`; any other error as it is. */
export function asLimitReached(error: unknown, most: number): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === noRoom ? limitReached('unfinished runs', most) : error;
}
