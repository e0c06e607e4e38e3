/** What kinds of documents are read, by the end of a file's name first: the media type that clients send is a guess. */

export type Format = 'pdf' | 'docx' | 'html' | 'markdown' | 'csv' | 'text';

const byExtension: Record<string, Format> = {
  pdf: 'pdf',
  docx: 'docx',
  html: 'html',
  htm: 'html',
  xhtml: 'html',
  md: 'markdown',
  markdown: 'markdown',
  csv: 'csv',
  tsv: 'csv',
  txt: 'text',
  text: 'text',
  log: 'text',
};

const byMediaType: Record<string, Format> = {
  'application/pdf': 'pdf',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'docx',
  'text/html': 'html',
  'application/xhtml+xml': 'html',
  'text/markdown': 'markdown',
  'text/csv': 'csv',
  'text/tab-separated-values': 'csv',
  'text/plain': 'text',
};

/** Undefined for what is none of them. */
export function formatOf(name: string, media_type: string): Format | undefined {
  const extension = /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
  return byExtension[extension] ?? byMediaType[media_type];
}

/** As it is told to clients. */
export const formatNames = 'PDF, DOCX, HTML, Markdown, CSV or plain text';
