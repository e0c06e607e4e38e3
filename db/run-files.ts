import { sql, type Transaction } from 'kysely';
import { eventOf } from '../workflows/contract/events.ts';
import { hasEnded } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { appendEvents } from './progress.ts';
import { lockOwnRun } from './runs.ts';
import type { File, Database } from './schema.ts';

/** The files that runs are given, with their goal and with answers. */

/** As readers see it. */
export type AttachmentView = Pick<File, 'file_id' | 'name' | 'media_type' | 'size'>;

/** With what models are given of it; null when it is no text, or a document that is not read yet. */
export type Attachment = AttachmentView & { text: string | null };

/** Of a run: with its goal, or at the answer to a gate of a task. */
export type AttachedTo = { run_id: string; gate_id?: string; task_id?: string };

/** Gives files to a run, with copies of their texts. What it has been given there already stays. */
export async function insertRunFiles(
  trx: Transaction<Database>,
  { run_id, gate_id = '', task_id }: AttachedTo,
  attachments: Attachment[],
): Promise<void> {
  if (attachments.length === 0) return;
  const files = attachments.map(({ text, ...file }, position) => ({
    ...file,
    run_id,
    gate_id,
    task_id: task_id ?? null,
    position,
    text_id: text === null ? null : textIdOf({ run_id, gate_id, file_id: file.file_id }),
    text,
  }));
  const texts = files.flatMap(({ text_id, text }) =>
    text_id === null || text === null ? [] : [{ text_id, run_id, text }],
  );
  if (texts.length > 0) {
    const kept = trx.insertInto('texts').values(texts);
    await kept.onConflict((conflict) => conflict.doNothing()).execute();
  }
  await trx
    .insertInto('run_files')
    .values(files.map(({ text: _text, ...row }) => row))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Which file of a run. */
export type RunFileRef = { run_id: string; gate_id: string; file_id: string };

function textIdOf({ run_id, gate_id, file_id }: RunFileRef): string {
  return `${run_id}/files/${gate_id || 'goal'}/${file_id}`;
}

/** What models are given of a document that was read; undefined when it was not. */
export async function findDocumentText(db: Db, { run_id, gate_id, file_id }: RunFileRef): Promise<string | undefined> {
  const file = db.selectFrom('run_files').innerJoin('texts', 'texts.text_id', 'run_files.text_id').select('text');
  const own = file.where('run_files.run_id', '=', run_id).where('gate_id', '=', gate_id).where('file_id', '=', file_id);
  return (await own.executeTakeFirst())?.text;
}

/** What came of reading a document: with a warning, it could not be read; without a text, it is read again. */
type DocumentRead = { account_id: string; text?: string; warning?: string };

/**
 * Keeps what models are given of a document from now on, and has readers warned; the first that is kept stands. Nothing of a run
 * that is purged.
 */
export function keepDocumentText(db: Db, file: RunFileRef, read: DocumentRead): Promise<void> {
  const { run_id, gate_id, file_id } = file;
  const { account_id, text, warning } = read;
  return db.transaction().execute(async (trx) => {
    const run = await lockOwnRun(trx, account_id, run_id);
    if (!run) return;
    if (text !== undefined) {
      const text_id = warning === undefined ? textIdOf(file) : `${textIdOf(file)}/unread`;
      const unread = trx.updateTable('run_files').set({ text_id }).where('run_id', '=', run_id);
      const own = unread.where('gate_id', '=', gate_id).where('file_id', '=', file_id).where('text_id', 'is', null);
      if ((await own.executeTakeFirst()).numUpdatedRows === 0n) return;
      await trx.insertInto('texts').values({ text_id, run_id, text }).execute();
    }
    if (warning === undefined || run.start_warnings.includes(warning) || hasEnded(run.status)) return;
    const start_warnings = JSON.stringify([...run.start_warnings, warning]);
    await trx.updateTable('runs').set({ start_warnings }).where('run_id', '=', run_id).execute();
    await appendEvents(trx, run_id, [eventOf('run.warning', { warning })]);
  });
}

/**
 * Gives a run what another was given with its goal, and with the answers to these tasks: under which ids, by those that they have
 * there. A document that could not be read is read again. Returns how many files that is.
 */
export async function copyRunFiles(
  trx: Transaction<Database>,
  { from, to, tasks }: { from: string; to: string; tasks: Map<string, string> },
): Promise<number> {
  const { rows } = await sql`
    with taken as (
      select run_files.*, standing.task_id as standing_id,
        case when text_id not like '%/unread' then ${to}::text || substr(text_id, length(${from}::text) + 1) end as copy_id
      from run_files
      left join unnest(${[...tasks.keys()]}::text[], ${[...tasks.values()]}::text[]) as standing(answered_id, task_id)
        on answered_id = run_files.task_id
      where run_id = ${from} and (run_files.task_id is null or standing.task_id is not null)
    ), copied as (
      insert into texts (text_id, run_id, text)
      select copy_id, ${to}, text from taken join texts using (text_id) where copy_id is not null
    )
    insert into run_files (run_id, gate_id, file_id, task_id, position, name, media_type, size, text_id)
    select ${to}, gate_id, file_id, standing_id, position, name, media_type, size, copy_id from taken
    returning file_id`.execute(trx);
  return rows.length;
}
