import { sql, type Transaction } from 'kysely';
import type { File, Database } from './schema.ts';

/** The files that runs are given, with their goal and with answers. */

/** As readers see it. */
export type AttachmentView = Pick<File, 'file_id' | 'name' | 'media_type' | 'size'>;

/** With what models are given of it; null when it is no text. */
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
    text_id: text === null ? null : `${run_id}/files/${gate_id || 'goal'}/${file.file_id}`,
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

/**
 * Gives a run what another was given with its goal, and with the answers to these tasks: under which ids, by those that they have
 * there. Returns how many files that is.
 */
export async function copyRunFiles(
  trx: Transaction<Database>,
  { from, to, tasks }: { from: string; to: string; tasks: Map<string, string> },
): Promise<number> {
  const { rows } = await sql`
    with taken as (
      select run_files.*, standing.task_id as standing_id, ${to}::text || substr(text_id, length(${from}::text) + 1) as copy_id
      from run_files
      left join unnest(${[...tasks.keys()]}::text[], ${[...tasks.values()]}::text[]) as standing(answered_id, task_id)
        on answered_id = run_files.task_id
      where run_id = ${from} and (run_files.task_id is null or standing.task_id is not null)
    ), copied as (
      insert into texts (text_id, run_id, text)
      select copy_id, ${to}, text from taken join texts using (text_id)
    )
    insert into run_files (run_id, gate_id, file_id, task_id, position, name, media_type, size, text_id)
    select ${to}, gate_id, file_id, standing_id, position, name, media_type, size, copy_id from taken
    returning file_id`.execute(trx);
  return rows.length;
}
