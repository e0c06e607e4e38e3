import { parseArgs } from 'node:util';
import { insertKey } from '../db/api-keys.ts';
import { findAccountByEmail, setSuspended } from '../db/accounts.ts';
import { createDb, type Db } from '../db/index.ts';
import { makeKey } from './accounts/keys.ts';
import { allScopes } from './accounts/scopes.ts';
import { loadAccountConfig } from './config.ts';

const usage = `npm run account -- EMAIL --suspend|--resume|--new-key

  --suspend   nothing is answered to the account any more, and its runs and webhooks wait
  --resume    the account goes on, and so do its runs, after as long again as it was suspended; an hour at most
  --new-key   prints a new key that may do everything, for who has lost the last one`;

/**
 * `npm run account`: what an operator does with one account. Prints what was done; on a wrong call, how to call it, with
 * exit code 2.
 */
const actions = {
  async suspend(db: Db, account_id: string): Promise<string> {
    await setSuspended(db, account_id, true);
    return 'is suspended. Every server knows it within seconds; its runs wait at their next step.';
  },
  async resume(db: Db, account_id: string): Promise<string> {
    await setSuspended(db, account_id, false);
    return 'is not suspended. Its runs go on after as long again as it was; after an hour at most.';
  },
  async 'new-key'(db: Db, account_id: string): Promise<string> {
    const { api_key, row } = makeKey('From the operator', allScopes);
    await insertKey(db, { ...row, account_id }, { asking_key_id: null, expires_in_ms: null, most: Infinity });
    return `has a new key, shown this once: ${api_key}`;
  },
};

type Action = keyof typeof actions;

/** Undefined when it is called in another way. */
function readCall(): { email: string; action: Action } | undefined {
  const flag = { type: 'boolean', default: false } as const;
  try {
    const options = { suspend: flag, resume: flag, 'new-key': flag };
    const { values, positionals } = parseArgs({ allowPositionals: true, options });
    const [action, ...more] = (Object.keys(actions) as Action[]).filter((name) => values[name]);
    const [email, ...others] = positionals;
    return email && action && more.length + others.length === 0 ? { email, action } : undefined;
  } catch {
    return undefined;
  }
}

async function main(): Promise<number> {
  const call = readCall();
  if (!call) {
    console.error(usage);
    return 2;
  }
  const { email, action } = call;
  const db = createDb(loadAccountConfig().DATABASE_URL, 1);
  try {
    const account = await findAccountByEmail(db, email);
    if (!account) throw new Error(`There is no account of ${email}.`);
    console.log(`${email} ${await actions[action](db, account.account_id)}`);
    return 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  } finally {
    await db.destroy();
  }
}

process.exitCode = await main();
