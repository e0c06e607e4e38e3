import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { findDocumentText, keepDocumentText } from '../db/run-files.ts';
import type { Work, WorkFile } from '../db/work.ts';
import { TooSlow, Unreadable } from '../src/extraction/index.ts';
import { isDocument, textOfDocument } from '../src/files/texts.ts';
import { NoThreadError } from '../src/javascript/index.ts';
import { keep } from './at-work.ts';
import type { ActivityDeps } from './deps.ts';
import { noReader } from './places.ts';
import type { Material } from './prompts/blocks.ts';

/**
 * The files that a run was given, as data in a prompt: those of its goal, and those that came with answers to these tasks, or to
 * all. Documents among them that nobody has read yet are read first, one after another.
 */
export async function filesFor(deps: ActivityDeps, work: Work, task_ids?: string[]): Promise<Material[]> {
  const given = work.files.filter(({ task_id }) => task_id === null || !task_ids || task_ids.includes(task_id));
  const material: Material[] = [];
  for (const file of given) {
    const { name, media_type, size, task_id } = file;
    const text = file.text ?? (isDocument(file) ? await readDocument(deps, work, file) : noText);
    const attributes = { ...(task_id !== null && { from: task_id }), name, media_type, size: `${size} bytes` };
    material.push({ by: 'file', text, attributes });
  }
  return material;
}

const noText = 'This file is no text, and what is in it is not given.';

/** In milliseconds, for one document. */
const longestReading_ms = 60_000;

/** Of a step that has less time, half of what is left is for its model. */
function readingTime(): number {
  const { scheduledTimestampMs, scheduleToCloseTimeoutMs } = Context.current().info;
  if (!(scheduleToCloseTimeoutMs > 0)) return longestReading_ms;
  const left_ms = scheduledTimestampMs + scheduleToCloseTimeoutMs - Date.now();
  return Math.min(Math.max(Math.round(left_ms / 2), 1), longestReading_ms);
}

/** What is being read in this process. */
const reading = new Map<string, Promise<string>>();

/** Reads a document once for its run. Of tasks side by side that are given it, the others wait for the first. */
async function readDocument(deps: ActivityDeps, { run }: Work, file: WorkFile): Promise<string> {
  const { run_id, account_id } = run;
  const ref = { run_id, gate_id: file.gate_id, file_id: file.file_id };
  const key = Object.values(ref).join('/');
  const timeout_ms = readingTime();
  // What becomes of it, they find in the database.
  const first = reading.get(key)?.catch(() => {});
  if (first) await Promise.race([first, sleep(timeout_ms, undefined, { ref: false })]);
  const { cancellationSignal } = Context.current();
  cancellationSignal.throwIfAborted();
  const known = await findDocumentText(deps.db, ref);
  if (known !== undefined) return known;
  if (reading.has(key)) throw noReader();

  const read = readNow(deps, { ...file, run_id, account_id }, readingTime());
  reading.set(key, read);
  return read.finally(() => reading.delete(key));
}

/**
 * A document that cannot be read is told as such, to the model and to the readers of the run, and not tried again: unless it
 * might be read by a step that has more time.
 */
async function readNow(
  { db, files, live }: ActivityDeps,
  file: WorkFile & { run_id: string; account_id: string },
  timeout_ms: number,
): Promise<string> {
  const { run_id, account_id, gate_id, file_id, name } = file;
  const ref = { run_id, gate_id, file_id };
  try {
    const text = await textOfDocument(files, file, timeout_ms, Context.current().cancellationSignal);
    await keep(() => keepDocumentText(db, ref, { account_id, text }));
    return text;
  } catch (error) {
    if (error instanceof NoThreadError) throw noReader();
    if (!(error instanceof Unreadable)) throw error;
    const text = `This file could not be read, and what is in it is not given. ${error.message}`;
    const warning = `The file "${name}" could not be read. ${error.message}`;
    const isFinal = !(error instanceof TooSlow) || timeout_ms === longestReading_ms;
    await keep(() => keepDocumentText(db, ref, { account_id, warning, ...(isFinal && { text }) }));
    live.changed(run_id);
    return text;
  }
}
