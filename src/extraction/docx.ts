import mammoth from 'mammoth';
import yauzl from 'yauzl';
import type { Section } from './cut.ts';
import { toMarkdown } from './html.ts';
import { Unreadable } from './unreadable.ts';

/** What is in the archive, unpacked. */
const maxUnpacked = 128 * 1024 * 1024;
const maxEntries = 5_000;

/** A Word document, over HTML: read as plain text, it loses its notes and glues lines. Pictures are left out. */
export async function readDocx(bytes: Uint8Array): Promise<Section[]> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  await requireNoBomb(buffer);
  const noPicture = mammoth.images.imgElement(() => Promise.resolve({ src: '' }));
  const { value } = await mammoth
    .convertToHtml({ buffer }, { convertImage: noPicture, externalFileAccess: false })
    .catch((error: unknown) => {
      throw new Unreadable(`It is no Word document that can be read: ${reasonOf(error)}`);
    });
  return [{ page: null, text: toMarkdown(value), form: 'markdown' }];
}

/** What a parser says of it, in one line: without its own name, and without places in a file that nobody sees. */
function reasonOf(error: unknown): string {
  if (error instanceof RangeError) return 'it is nested too deep.';
  // It takes for granted what every document has.
  if (error instanceof TypeError) return 'it lacks what a document has.';
  const [line = ''] = String((error as Error).message).split('\n');
  return line.replace(/^error: \[xmldom \w+\]\s*/, '').slice(0, 200);
}

/** All of it is unpacked once, piece by piece, before anybody unpacks it into memory: what an archive says of its size may be a lie. */
async function requireNoBomb(buffer: Buffer): Promise<void> {
  const zip = await yauzl.fromBufferPromise(buffer, { lazyEntries: true }).catch(() => {
    throw new Unreadable('It is no Word document: these are ZIP archives.');
  });
  let entries = 0;
  let unpacked = 0;
  for await (const entry of zip.eachEntry()) {
    entries += 1;
    if (entries > maxEntries) throw new Unreadable(`It has more than ${maxEntries} parts.`);
    if (entry.isEncrypted()) throw new Unreadable('It is encrypted.');
    const stream = await zip.openReadStreamPromise(entry);
    for await (const chunk of stream) {
      unpacked += (chunk as Buffer).length;
      if (unpacked > maxUnpacked) throw new Unreadable(`Unpacked it has more than ${maxUnpacked / 1024 / 1024} MiB.`);
    }
  }
}
