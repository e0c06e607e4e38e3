import { extractText, formatOf, type Format } from '../extraction/index.ts';
import { readWhole } from './read.ts';
import type { FileStore } from './store.ts';

/** What models are given of a file where they take no files. */

/** In characters; no prompt has room for more of one file. */
const mostCharacters = 80_000;
/** In UTF-8 none of them has more. */
const mostBytes = mostCharacters * 4;

const isBinary =
  /^(image|audio|video|font|model)\/|^application\/(pdf|zip|gzip|x-tar|msword|vnd\.(ms-|openxmlformats))/;

const documents: (Format | undefined)[] = ['pdf', 'docx', 'html'];

type StoredFile = { file_id: string; name: string; media_type: string; size: number };

/** Whether a file is no text as it is, and has one that can be taken out of it: a PDF, a DOCX, HTML. */
export function isDocument({ name, media_type }: Pick<StoredFile, 'name' | 'media_type'>): boolean {
  return documents.includes(formatOf(name, media_type));
}

/**
 * A file as a text: its beginning, with a note of how many bytes it has. Null when it is none: a document, an image, another
 * file of an office, or anything that is neither UTF-8 nor UTF-16 with its mark.
 */
export async function textOfFile(files: FileStore, file: StoredFile): Promise<string | null> {
  const { file_id, media_type, size } = file;
  if (isDocument(file) || isBinary.test(media_type)) return null;
  const bytes = await readBeginning(await files.open(file_id), mostBytes);
  const text = decode(bytes);
  if (text === undefined) return null;
  const shown = text.slice(0, mostCharacters).toWellFormed();
  const isWhole = text.length <= mostCharacters && bytes.length === size;
  return isWhole ? shown : withNote(shown, size);
}

/**
 * The same of a document. It is read in a thread of its account, for which it waits for so many milliseconds, and which has so many.
 * @throws Unreadable, with the reason; NoThreadError; `signal.reason` when cancelled
 */
export async function textOfDocument(
  files: FileStore,
  file: StoredFile & { account_id: string },
  timeout_ms: number,
  signal: AbortSignal,
): Promise<string> {
  const { account_id, name, media_type, size } = file;
  const unread = { format: formatOf(name, media_type)!, readBytes: () => readWhole(files, file) };
  const { text, is_whole } = await extractText(account_id, unread, { most: mostCharacters, timeout_ms }, signal);
  return is_whole ? text : withNote(text, size);
}

function withNote(beginning: string, size: number): string {
  return `${beginning}\n[… the file goes on; it has ${size} bytes]`;
}

async function readBeginning(stream: ReadableStream<Uint8Array>, most: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    size += chunk.length;
    // Leaving the loop cancels the stream.
    if (size >= most) break;
  }
  return Buffer.concat(chunks).subarray(0, most);
}

/** A character that is cut at the end is left out. */
function decode(bytes: Buffer): string | undefined {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8';
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes, { stream: true });
    return text.includes('\u0000') ? undefined : text;
  } catch {
    return undefined;
  }
}
