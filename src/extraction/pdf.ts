import { getDocumentProxy } from 'unpdf';
import { maxPages } from './bounds.ts';
import type { Section } from './cut.ts';
import { Unreadable } from './unreadable.ts';

/** The pages of a PDF, one after another; the rows of its tables are lines. */
export async function* readPdf(bytes: Uint8Array, tell: (pages: number) => void): AsyncGenerator<Section> {
  // pdf.js takes the bytes for its own, and leaves the array empty.
  const pdf = await getDocumentProxy(bytes, { verbosity: 0 }).catch((error: unknown) => {
    throw faultOf(error);
  });
  if (pdf.numPages > maxPages) {
    throw new Unreadable(`It has ${pdf.numPages} pages, and at most ${maxPages} are read.`);
  }
  tell(pdf.numPages);
  for (let number = 1; number <= pdf.numPages; number += 1) {
    const page = await pdf.getPage(number);
    const { items } = await page.getTextContent();
    const text = items.map((item) => ('str' in item ? item.str + (item.hasEOL ? '\n' : '') : '')).join('');
    page.cleanup();
    yield { page: number, text, form: 'plain' };
  }
}

function faultOf(error: unknown): unknown {
  const { name = '', message = '' } = error as Partial<Error>;
  if (name === 'PasswordException') return new Unreadable('It is encrypted, and asks for a password.');
  if (/InvalidPDF|FormatError|MissingPDF|UnknownError/.test(name))
    return new Unreadable(`It is no PDF that can be read: ${message.slice(0, 200)}`);
  return error;
}
