import { findKeyOfCall } from '../db/call-chains.ts';
import { listCodeInputs, type CodeInput } from '../db/code-runs.ts';
import { callerOfRun, chainForCode } from '../src/calls/chain.ts';
import { decrypt, providerKeyContext } from '../src/crypto.ts';
import type { ActivityDeps } from './deps.ts';

/** What the code of an agent is given beside its input: files, and what it is told of the call that it answers. */
export type Given = { files: CodeInput[]; call: Awaited<ReturnType<typeof calledWith>> };

type Run = { run_id: string; account_id: string };

export async function givenTo(deps: ActivityDeps, run: Run): Promise<Given> {
  const [files, call] = await Promise.all([listCodeInputs(deps.db, run.run_id), calledWith(deps, run)]);
  return { files, call };
}

/** The chain that it is in, and the key of a model that came with it. */
async function calledWith({ db, encryptionKey }: ActivityDeps, { run_id, account_id }: Run) {
  const [call, key] = await Promise.all([callerOfRun(db, account_id, run_id), findKeyOfCall(db, run_id)]);
  const chain = call && chainForCode(encryptionKey, account_id, call);
  if (!key?.api_key_encrypted) return { chain };
  const context = providerKeyContext(account_id, key.provider_id);
  return { chain, keys: { [key.provider]: decrypt(key.api_key_encrypted, encryptionKey, context) } };
}
