import { listFilesByIds, type FileView } from '../../db/files.ts';
import { copyRunFiles, type Attachment, type AttachmentView } from '../../db/run-files.ts';
import type { Principal } from '../accounts/principal.ts';
import { hasScope } from '../accounts/scopes.ts';
import { DomainError, requireNone, type Path } from '../errors.ts';
import type { FileDeps } from './keep.ts';
import { ofStore } from './store.ts';
import { textOfFile } from './texts.ts';

/** With a goal, and with an answer. */
export const maxAttachments = 10;

/** A file that is to be attached, and where that is said. */
export type WantedFile = { path: Path; file_id: string };

/** These files, where a request has them as its `attachments`. */
export function attachmentsAt(file_ids: string[]): WantedFile[] {
  return file_ids.map((file_id, index) => ({ path: ['attachments', index], file_id }));
}

/**
 * What a run is given of these files: what they are, and their texts, which are its own from then on. Throws `MISSING_SCOPE` for a
 * key that may neither read nor send files, `InvalidInputError` at those that are no files of the account, and
 * `FILES_UNAVAILABLE`.
 */
export async function takeFiles(
  deps: FileDeps,
  { account_id, scopes }: Pick<Principal, 'account_id' | 'scopes'>,
  wanted: WantedFile[],
): Promise<Attachment[]> {
  if (wanted.length > 0) requireFileScope(scopes, 'To attach files');
  const own = await listNamed(deps, account_id, wanted);
  const found = new Set(own.map(({ file_id }) => file_id));
  const missing = wanted.filter(({ file_id }) => !found.has(file_id));
  requireNone(missing.map(({ path }) => ({ path, detail: 'is not a file of this account' })));
  return withTexts(deps, own);
}

/** The same of those that the account has, each once. */
export async function findAttachments(
  deps: FileDeps,
  account_id: string,
  named: { file_id: string }[],
): Promise<Attachment[]> {
  return withTexts(deps, await listNamed(deps, account_id, named));
}

/** Gives a run files of another one, as `copyRunFiles`. Throws `MISSING_SCOPE` when there are any, as `takeFiles`. */
export async function takeFilesOver(
  trx: Parameters<typeof copyRunFiles>[0],
  { scopes }: Pick<Principal, 'scopes'>,
  copied: Parameters<typeof copyRunFiles>[1],
): Promise<void> {
  const count = await copyRunFiles(trx, copied);
  if (count > 0) requireFileScope(scopes, 'To rerun what was given files');
}

function requireFileScope(scopes: string[], when: string): void {
  // What a run has been given can be read in what models make of it.
  if (hasScope(scopes, 'files:read') || hasScope(scopes, 'files:write')) return;
  const message = `${when}, a key needs the scope files:read, or files:write.`;
  throw new DomainError('MISSING_SCOPE', message, { members: { scope: 'files:read' } });
}

/** In the order in which they are named. */
async function listNamed({ db }: FileDeps, account_id: string, named: { file_id: string }[]): Promise<FileView[]> {
  const ids = [...new Set(named.map(({ file_id }) => file_id))];
  const found = new Map((await listFilesByIds(db, account_id, ids)).map((file) => [file.file_id, file]));
  return ids.flatMap((id) => found.get(id) ?? []);
}

/** What a run is given of files that are in the store. Throws `FILES_UNAVAILABLE`. */
export function withTexts({ files, log }: FileDeps, own: AttachmentView[]): Promise<Attachment[]> {
  return Promise.all(
    own.map(async (file) => {
      const { file_id, name, media_type, size } = file;
      return { file_id, name, media_type, size, text: await ofStore(log, textOfFile(files, file)) };
    }),
  );
}
