import type { Db } from '../../db/index.ts';
import type { Code, OfferedVersion } from '../../db/published-agents.ts';
import { setCode } from '../../db/publish-agents.ts';
import type { Principal } from '../accounts/principal.ts';
import { DomainError } from '../errors.ts';
import { packageOf } from './packages.ts';

/** The code of a version, which is set once. */

/** Throws `CODE_NOT_TAKEN` for a version whose output no code makes. */
export function requireCoded({ spec, type }: OfferedVersion): void {
  const { engine } = packageOf(spec);
  if (type !== 'skill' && engine === 'code_runtime') return;
  throw new DomainError('CODE_NOT_TAKEN', `Nothing of this version is code: its engine is ${engine}.`);
}

/** Which files a bundle must have: the entrypoint, and the one that a plain command such as `python3 main.py` names. */
export function filesRunBy({ spec }: OfferedVersion, entrypoint: string | null): string[] {
  const { runtime } = packageOf(spec);
  const [, named] =
    /^(?:python3?|node)\s+((?:\.\/)?\w[\w./-]*\.(?:py|[mc]?[jt]s))(?=\s|$)/.exec(runtime?.command ?? '') ?? [];
  return [entrypoint, named].filter((one) => one !== null && one !== undefined);
}

/** Sets the code of a version. The same is taken again. Throws `CODE_NOT_TAKEN` when it has other code. */
export async function setVersionCode(
  { db }: { db: Db },
  { account_id }: Principal,
  { version_id, number }: OfferedVersion,
  code: Code,
): Promise<void> {
  if (await setCode(db, account_id, version_id, code)) return;
  throw new DomainError(
    'CODE_NOT_TAKEN',
    `v${number} has code, which never changes. Publish another version for other code.`,
  );
}
