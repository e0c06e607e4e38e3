import { listTexts } from '../db/texts.ts';
import { mostAtOnce, type Room, type Work } from '../db/work.ts';
import type { Db } from '../db/index.ts';
import { inputText, type ModelRequest } from '../src/llm/index.ts';
import { noRoom } from './places.ts';

/**
 * What the work of an account holds in the memory of a worker at once (`createPlaces`). What is not above `mostAtOnce` is not counted,
 * so that small work waits for nothing: of all places of an account it is some 200 MiB at most.
 */

/** A byte of a text is two where another character needs them, and once more as many in what is made of it. */
const heldOfText = 4;
/** A prompt, the JSON that it is sent as, with its escapes, and the bytes of that, until it is answered: 2.6 to 3.6, and 5.8 with Ollama. */
const heldOfRequest = 6;

/** Loads the texts that were too long to come along with the work, where there is room. @throws `WorkQueued` */
export async function loadTexts(db: Db, work: Work, text_ids: string[]): Promise<void> {
  const { files, text_bytes, room } = work;
  const bytes = files.reduce((sum, { text }) => sum + (text?.length ?? 0), text_bytes);
  if (bytes <= mostAtOnce) return;
  if (room && !room.take(bytes * heldOfText)) {
    work.files = [];
    throw noRoom();
  }
  if (text_bytes > mostAtOnce) work.texts = await listTexts(db, text_ids);
}

/** What was loaded is not read any more: others have its room while a model answers, which takes its time. */
export function letGo(work: Work): void {
  work.texts.clear();
  work.files = [];
  work.room?.leave();
}

/** Asks a model in the room that its request takes. @throws `WorkQueued` where there is none. */
export async function inRoom<T>(room: Room | undefined, request: ModelRequest, ask: () => Promise<T>): Promise<T> {
  const bytes = Buffer.byteLength(inputText(request));
  if (!room || bytes <= mostAtOnce) return ask();
  if (!room.take(bytes * heldOfRequest)) throw noRoom();
  try {
    return await ask();
  } finally {
    room.give(bytes * heldOfRequest);
  }
}
