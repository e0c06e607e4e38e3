import { parseArgs } from 'node:util';
import { createDb } from '../db/index.ts';
import { changeSecrets, type StoredSecret } from '../db/secrets.ts';
import { loadReencryptConfig } from './config.ts';
import {
  decrypt,
  encrypt,
  isOutdated,
  mcpServerContext,
  newWebhookSecret,
  OtherKeyError,
  providerKeyContext,
  subscriptionSecretContext,
  webhookSecretContext,
} from './crypto.ts';
import { checkEncryptionKey } from './accounts/encryption-key.ts';

/**
 * `npm run reencrypt`: encrypts every stored secret with the first key of ENCRYPTION_KEY. May be stopped and run again
 * at any time, beside running processes that know both keys. With `--lost`, what none of the keys opens is replaced:
 * webhook secrets by new ones, all else by nothing.
 */
const { DATABASE_URL, ENCRYPTION_KEY: keys } = loadReencryptConfig();
const { lost } = parseArgs({ options: { lost: { type: 'boolean', default: false } } }).values;

function contextOf({ place, account_id, name }: StoredSecret): string {
  if (place === 'providerKey') return providerKeyContext(account_id, name);
  if (place === 'mcpServerSecrets') return mcpServerContext(account_id, name);
  const isOfSubscription = place === 'subscriptionSecret' || place === 'retiredSubscriptionSecret';
  return isOfSubscription ? subscriptionSecretContext(account_id, name) : webhookSecretContext(account_id);
}

const EMPTY = { providerKey: () => '', mcpServerSecrets: () => '{}' };
let forgotten = 0;

function renew(secret: StoredSecret): string | undefined {
  const { place, blob } = secret;
  if (!isOutdated(blob, keys)) return undefined;
  const context = contextOf(secret);
  try {
    return encrypt(decrypt(blob, keys, context), keys, context);
  } catch (error) {
    if (!lost || !(error instanceof OtherKeyError)) throw error;
    forgotten += 1;
    const replace = place in EMPTY ? EMPTY[place as keyof typeof EMPTY] : newWebhookSecret;
    return encrypt(replace(), keys, context);
  }
}

const db = createDb(DATABASE_URL, 1);
try {
  if (!lost) await checkEncryptionKey(db, keys);
  const { read, changed } = await changeSecrets(db, renew);
  console.log(`${changed} of ${read} secrets encrypted anew.`);
  if (forgotten) console.log(`${forgotten} of them were lost: they are new, or empty.`);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await db.destroy();
}
