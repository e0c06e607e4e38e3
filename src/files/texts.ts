import type { FileStore } from './store.ts';

/** What models are given of a file where they take no files. */

/** In characters; no prompt has room for more of one file. */
const mostCharacters = 80_000;
/** In UTF-8 none of them has more. */
const mostBytes = mostCharacters * 4;

const isBinary =
  /^(image|audio|video|font|model)\/|^application\/(pdf|zip|gzip|x-tar|msword|vnd\.(ms-|openxmlformats))/;

/**
 * A file as a text: its beginning, with a note of how many bytes are left out. Null when it is none: an image, a PDF, an office
 * document, or anything that is neither UTF-8 nor UTF-16 with its mark.
 */
export async function textOfFile(
  files: FileStore,
  { file_id, media_type, size }: { file_id: string; media_type: string; size: number },
): Promise<string | null> {
  if (isBinary.test(media_type)) return null;
  const bytes = await readBeginning(await files.open(file_id), mostBytes);
  const text = decode(bytes);
  if (text === undefined) return null;
  const shown = text.slice(0, mostCharacters).toWellFormed();
  const isWhole = text.length <= mostCharacters && bytes.length === size;
  return isWhole ? shown : `${shown}\n[… the file goes on; it has ${size} bytes]`;
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
