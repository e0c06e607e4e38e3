import { createHash } from 'node:crypto';
import type { NewChunk } from '../../db/chunks.ts';
import { maxChunks, maxTextLength } from './bounds.ts';
import { cut, type Section } from './cut.ts';
import { wordsOf } from './words.ts';
import type { Format } from './formats.ts';
import { Unreadable } from './unreadable.ts';

/** A document of bytes, as the thread is given it: with `most`, so many characters are wanted of its text, and no passages. */
export type Reading = { format: Format; bytes: Uint8Array; most?: number };

/** What is told while it is read. `pages` is null of what has none. */
export type Told = { chunks: NewChunk[]; pages_done: number; pages: number | null };

/** The text of a document, or its beginning. */
export type Beginning = { text: string; is_whole: boolean };

/** The beginning of a document's text, of so many characters; what is after it is not read. @throws Unreadable */
export async function readBeginning({ format, bytes }: Reading, most: number): Promise<Beginning> {
  let text = '';
  for await (const section of sectionsOf(format, bytes, () => {})) {
    text = `${text}\n\n${clean(section.text).trim()}`.trim();
    if (text.length > most) return { text: text.slice(0, most).toWellFormed(), is_whole: false };
  }
  if (text === '') throw noText(format);
  return { text, is_whole: true };
}

/** The chunks of a document, told in groups: of a PDF each page is one. @throws Unreadable */
export async function readPassages({ format, bytes }: Reading, tell: (told: Told) => void): Promise<void> {
  let pages: number | null = null;
  let pages_done = 0;
  let length = 0;
  let count = 0;
  for await (const section of sectionsOf(format, bytes, (all) => (pages = all))) {
    const text = clean(section.text);
    length += text.length;
    if (length > maxTextLength) {
      throw new Unreadable(`It has more than ${maxTextLength} characters of text, and no more are read.`);
    }
    const chunks = [...cut({ ...section, text })].map(toChunk);
    count += chunks.length;
    if (count > maxChunks) throw new Unreadable(`It has more than ${maxChunks} passages, and no more are kept.`);
    if (section.page !== null) pages_done = section.page;
    tell({ chunks, pages_done, pages });
  }
  if (count === 0) throw noText(format);
}

function noText(format: Format): Unreadable {
  const scanned = 'There is no text in it: it may be scanned. Pictures of text are not read.';
  return new Unreadable(format === 'pdf' ? scanned : 'There is no text in it.');
}

/** A format is loaded when it is first read: PDF alone is some 20 MiB. */
async function* sectionsOf(format: Format, bytes: Uint8Array, tell: (pages: number) => void): AsyncGenerator<Section> {
  if (format === 'pdf') return yield* (await import('./pdf.ts')).readPdf(bytes, tell);
  if (format === 'docx') return yield* await (await import('./docx.ts')).readDocx(bytes);
  const { charsetOf, decode, readCsv } = await import('./text.ts');
  if (format === 'html') return yield* (await import('./html.ts')).readHtml(decode(bytes, charsetOf(bytes)));
  const text = decode(bytes);
  if (format === 'csv') return yield* readCsv(text);
  yield { page: null, text, form: format === 'markdown' ? 'markdown' : 'plain' };
}

/** PDFs have NUL for glyphs that mean nothing, which Postgres does not store. */
function clean(text: string): string {
  return text
    .replaceAll('\r', '')
    .replaceAll(/[\p{Cc}\uFFFE\uFFFF]/gu, (sign) => (sign === '\n' || sign === '\t' ? sign : ' '))
    .replaceAll(/[^\S\n]+/g, (space, at: number, all: string) => (all[at - 1] === '\n' || at === 0 ? space : ' '))
    .toWellFormed();
}

function toChunk({ page, heading, text }: { page: number | null; heading: string | null; text: string }): NewChunk {
  const sha256 = createHash('sha256')
    .update(`${heading ?? ''}\n${text}`)
    .digest('hex');
  return {
    page,
    heading,
    text,
    sha256,
    words: wordsOf(text).join(' '),
    heading_words: wordsOf(heading ?? '').join(' '),
  };
}
