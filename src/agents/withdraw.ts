import type { Db } from '../../db/index.ts';
import { countCallers, type OfferedVersion } from '../../db/published-agents.ts';
import { deleteVersion } from '../../db/publish-agents.ts';
import type { Principal } from '../accounts/principal.ts';
import { InvalidInputError, notFound } from '../errors.ts';

/** What is needed to delete a version that others may use: its author says its name. */

/** How many other accounts have called it, and whether its name is asked for. */
export async function checkDeletion(
  { db }: { db: Db },
  version: OfferedVersion,
): Promise<{ callers: number; requires_confirmation: boolean }> {
  const callers = await countCallers(db, version);
  return { callers, requires_confirmation: version.is_public || callers > 0 };
}

/**
 * Deletes a version, and its agent with the last one. Runs of it go on: they have all of it that they need. Throws
 * `InvalidInputError` where its name is asked for and is not given.
 */
export async function withdrawVersion(
  deps: { db: Db },
  { account_id }: Principal,
  version: OfferedVersion,
  confirmation_name: string | undefined,
): Promise<void> {
  const { requires_confirmation } = await checkDeletion(deps, version);
  if (requires_confirmation && confirmation_name !== version.name) {
    const detail = `must be "${version.name}": others may call this version`;
    throw new InvalidInputError([{ path: ['confirmation_name'], detail }]);
  }
  if (!(await deleteVersion(deps.db, account_id, version.version_id))) throw notFound('Agent');
}
