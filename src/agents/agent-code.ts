import type { Db } from '../../db/index.ts';
import { requireRoomForCode, type FileQuotas } from '../../db/files.ts';
import type { OfferedVersion } from '../../db/published-agents.ts';
import { setCode, type SentCode } from '../../db/publish-agents.ts';
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

/** Throws `CODE_NOT_TAKEN` for a version that has other code, and `LimitReached` where there is no room for this. */
export async function admitCode(
  { db }: { db: Db },
  { account_id }: Principal,
  version: OfferedVersion,
  code: Pick<SentCode, 'code_hash' | 'bundle_size_bytes'>,
  quotas: FileQuotas,
): Promise<void> {
  if (version.code_hash !== null && version.code_hash !== code.code_hash) throw hasOther(version);
  await requireRoomForCode(db, account_id, code, quotas);
}

/** Sets the code of a version. The same is taken again. Throws as `admitCode`, also where something was set meanwhile. */
export async function setVersionCode(
  { db }: { db: Db },
  { account_id }: Principal,
  version: OfferedVersion,
  code: SentCode,
  quotas: FileQuotas,
): Promise<void> {
  if (!(await setCode(db, account_id, version.version_id, code, quotas))) throw hasOther(version);
}

function hasOther({ number }: OfferedVersion): DomainError {
  return new DomainError(
    'CODE_NOT_TAKEN',
    `v${number} has code, which never changes. Publish another version for other code.`,
  );
}
