import type { Db } from '../../db/index.ts';
import { listVersions } from '../../db/published-agents.ts';
import { DomainError, InvalidInputError, type FieldFault } from '../errors.ts';
import { findOffer, readRef, requireUsable } from './offers.ts';

/** Packages of type `skill`: texts and files that are added to the prompts of agents. `skills` alone are what people know. */

export type SkillPackage = {
  ref: string;
  name: string;
  prompt: string;
  files: { path: string; content: string; size: number }[];
  /** It is another's, and not for downloading: it may be used, and not read. */
  is_closed: boolean;
};

/** So many may be added to one prompt. */
export const maxSkillPackages = 20;

/**
 * The skill packages of these references (`org/skill@v1`), in their order, each once: those of the account (null is anybody), and public ones. Throws
 * `InvalidInputError` for what is no reference, and for too many; `NOT_FOUND`, naming them, for those that it does not see; and of
 * others' what calling an agent of theirs throws: `AGENT_NOT_CALLABLE`, and `CREDITS_REQUIRED` for one that costs.
 */
export async function resolveSkills(
  { db }: { db: Db },
  { account_id }: { account_id: string | null },
  refs: string[],
): Promise<SkillPackage[]> {
  const wanted = [...new Set(refs.map((ref) => ref.trim()).filter((ref) => ref !== ''))];
  if (wanted.length > maxSkillPackages) {
    throw new InvalidInputError([{ path: ['skills'], detail: `must be at most ${maxSkillPackages}` }]);
  }
  const faults: FieldFault[] = wanted.flatMap((ref, index) =>
    readRef(ref) ? [] : [{ path: ['skills', index], detail: 'must be a reference such as "org/skill@v1"' }],
  );
  if (faults.length > 0) throw new InvalidInputError(faults);
  const found = await Promise.all(wanted.map((ref) => findOffer(db, account_id, readRef(ref)!)));
  const versions = found.map((offer) => (offer && !offer.version.is_gone ? offer.version : undefined));
  const unknown = wanted.filter((_ref, index) => versions[index]?.type !== 'skill');
  if (unknown.length > 0) {
    throw new DomainError('NOT_FOUND', `Skill packages not found: ${unknown.join(', ')}.`);
  }
  for (const version of versions) requireUsable(version!, account_id);
  const whole = new Map(
    (
      await listVersions(
        db,
        versions.map((one) => one!.version_id),
      )
    ).map((one) => [one.version_id, one]),
  );
  return versions.flatMap((version, index) => {
    const { spec } = whole.get(version!.version_id) ?? {};
    if (!spec) return [];
    return [
      {
        ref: wanted[index]!,
        name: spec.name,
        prompt: spec.system_prompt ?? '',
        files: spec.package?.skill_files ?? [],
        is_closed: version!.account_id !== account_id && !version!.allow_local_download,
      },
    ];
  });
}
