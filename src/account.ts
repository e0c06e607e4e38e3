import { parseArgs } from 'node:util';
import { insertKey } from '../db/api-keys.ts';
import { countHoldings, findAccountByEmail, setSuspended, setTier } from '../db/accounts.ts';
import { createDb, type Db } from '../db/index.ts';
import { deleteAccount } from './accounts/deletion.ts';
import { makeKey } from './accounts/keys.ts';
import { allScopes } from './accounts/scopes.ts';
import { tierNames, tiers } from './accounts/tiers.ts';
import { loadAccountConfig } from './config.ts';

const noTier = 'none';
const tierChoices = [...tierNames, noTier];

const usage = `npm run account -- EMAIL --suspend|--resume|--new-key|--delete
npm run account -- EMAIL --tier TIER

  --suspend   nothing is answered to the account any more, and its runs and webhooks wait
  --resume    the account goes on, and so do its runs, after as long again as it was suspended; an hour at most
  --new-key   prints a new key that may do everything, for who has lost the last one
  --tier      how much it may ask for and have: ${tierChoices.join(', ')}; ${noTier} is what the server gives to all
  --delete    says what would be lost with the account; with --yes, it is deleted with all that it has, for good`;

type Call = { email: string; isSure: boolean; tier: string };

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
    const { api_key, row } = makeKey('From the operator', allScopes, { mode: 'live' });
    await insertKey(db, { ...row, account_id }, { asking_key_id: null, expires_in_ms: null, most: Infinity });
    return `has a new key, shown this once: ${api_key}`;
  },
  async tier(db: Db, account_id: string, { tier: name }: Call): Promise<string> {
    const tier = tierNames.find((one) => one === name) ?? null;
    await setTier(db, account_id, tier);
    if (!tier)
      return 'has no tier of its own any more, but what the server gives to all. Every server knows it within seconds.';
    const { title, per_minute, per_second, agents } = tiers[tier];
    const most = Number.isFinite(agents) ? `${agents} agents` : 'any number of agents';
    return `has the tier ${title}: ${per_minute} requests a minute, ${per_second} a second, ${most}. Every server knows it within seconds.`;
  },
  async delete(db: Db, account_id: string, { email, isSure }: Call): Promise<string> {
    if (!isSure) {
      const has = await countHoldings(db, account_id);
      throw new Error(
        `${email} has runs: ${has.runs} (not ended: ${has.unfinished}), active providers: ${has.providers}, ` +
          `MCP servers: ${has.mcp_servers}, orchestrations: ${has.orchestrations}, agents: ${has.agents}, ` +
          `knowledge bases: ${has.knowledge_bases}, files: ${has.files}, ` +
          `people: ${has.people}. ` +
          'Say it again with --yes, and all of it is deleted, for good.',
      );
    }
    const { purged, cancelled } = await deleteAccount(db, account_id);
    const what = `Runs: ${purged}, of which it has cancelled ${cancelled}.`;
    return `is deleted. ${what} Temporal keeps what it has of them for as long as its namespace says.`;
  },
};

type Action = keyof typeof actions;

/** Undefined when it is called in another way. */
function readCall(): (Call & { action: Action }) | undefined {
  const flag = { type: 'boolean', default: false } as const;
  try {
    const options = {
      suspend: flag,
      resume: flag,
      'new-key': flag,
      tier: { type: 'string', default: '' },
      delete: flag,
      yes: flag,
    } as const;
    const { values, positionals } = parseArgs({ allowPositionals: true, options });
    const [action, ...more] = (Object.keys(actions) as Action[]).filter((name) => values[name]);
    const [email, ...others] = positionals;
    const isOne = email && action && more.length + others.length === 0;
    const isTier = action !== 'tier' || tierChoices.includes(values.tier);
    const isMeant = isOne && isTier && (action === 'delete' || !values.yes);
    return isMeant ? { email, action, isSure: values.yes, tier: values.tier } : undefined;
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
  const db = createDb(loadAccountConfig().DATABASE_URL, 1, { statement_timeout: 0 });
  try {
    const account = await findAccountByEmail(db, email);
    if (!account) throw new Error(`There is no account of ${email}.`);
    console.log(`${email} ${await actions[action](db, account.account_id, call)}`);
    return 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  } finally {
    await db.destroy();
  }
}

process.exitCode = await main();
