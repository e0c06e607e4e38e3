import { createDb } from '../db/index.ts';
import { changeSecrets } from '../db/secrets.ts';
import { loadReencryptConfig } from './config.ts';
import { decrypt, encrypt, isOutdated, mcpServerContext, providerKeyContext, webhookSecretContext } from './crypto.ts';

/**
 * `npm run reencrypt`: encrypts every stored secret with the first key of ENCRYPTION_KEY. May be stopped and run again
 * at any time, beside running processes that know both keys. Kept answers of Idempotency-Keys live for 24 hours only:
 * keep the old key for that long.
 */
const { DATABASE_URL, ENCRYPTION_KEY: keys } = loadReencryptConfig();

function renew(blob: string, context: string): string | undefined {
  return isOutdated(blob, keys) ? encrypt(decrypt(blob, keys, context), keys, context) : undefined;
}

const db = createDb(DATABASE_URL, 1);
try {
  const { read, changed } = await changeSecrets(db, {
    providerKey: ({ account_id, provider_id, blob }) => renew(blob, providerKeyContext(account_id, provider_id)),
    webhookSecret: ({ account_id, blob }) => renew(blob, webhookSecretContext(account_id)),
    mcpServerSecrets: ({ account_id, name, blob }) => renew(blob, mcpServerContext(account_id, name)),
  });
  console.log(`${changed} of ${read} secrets encrypted anew.`);
} finally {
  await db.destroy();
}
