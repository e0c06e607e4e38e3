import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { maxPages } from '../../src/extraction/bounds.ts';
import { knowledgeOf, type KnowledgeClient, type TestFile } from '../harness/knowledge.ts';
import { startOrchflow, type Orchflow } from '../harness/orchflow.ts';
import { pdfOf, pdfWith } from '../harness/pdf.ts';
import { docxOf, paragraph, table, zipOf } from '../harness/zip.ts';

/** What is read of documents, and what of those that cannot be. */

let orchflow: Orchflow;
let knowledge: KnowledgeClient;
let knowledge_id: string;

beforeAll(async () => {
  orchflow = await startOrchflow();
  knowledge = knowledgeOf(orchflow.url, await orchflow.register());
  knowledge_id = await knowledge.create();
});
afterAll(() => orchflow.stop());

/** The passages of a document, as they are kept. */
async function passagesOf(file: TestFile) {
  const [document] = await knowledge.index(knowledge_id, file);
  expect(document).toMatchObject({ status: 'indexed', failure: null });
  return orchflow.db
    .selectFrom('chunks')
    .select(['page', 'heading', 'text'])
    .where('document_id', '=', document!.document_id)
    .orderBy('position')
    .execute();
}

const wholeOf = (passages: { text: string }[]) => passages.map(({ text }) => text).join('\n');

describe('what is read', () => {
  test('DOCX: its headings, its lines and its tables, whose rows stay rows', async () => {
    const lines = '<w:p><w:r><w:t>One line</w:t><w:br/><w:t>and another</w:t></w:r></w:p>';
    const rows = table([
      ['Plan', 'Price'],
      ['Pro', '25 euros'],
    ]);
    const content = docxOf(paragraph('Prices', 'Heading1') + lines + rows);
    const passages = await passagesOf({ content, name: 'prices.docx' });
    expect(passages).toHaveLength(1);
    expect(passages[0]).toMatchObject({ page: null, heading: 'Prices' });
    expect(passages[0]!.text).toMatch(/# Prices\nOne line\s+and another\n/);
    expect(passages[0]!.text).toMatch(/\| Pro \| 25 euros \|/);
  });

  test('HTML: its title, its words as they are, its tables; no scripts, and no body needed', async () => {
    const content =
      '<title>Plans</title><style>p{}</style><p>Set max_turns at https://example.com/a_b.</p><script>evil()</script>' +
      '<table><tr><td>Free</td><td>3 agents</td></tr><tr><td>Pro</td><td>25 agents</td></tr></table>';
    const text = wholeOf(await passagesOf({ content, name: 'plans.html' }));
    expect(text).toContain('# Plans');
    expect(text).toContain('Set max_turns at https://example.com/a_b.');
    expect(text).toMatch(/\| Pro \| 25 agents \|/);
    expect(text).not.toMatch(/evil|p\{\}/);
  });

  test('an article is told from what stands around it, and a charset is believed', async () => {
    const menu = '<nav><ul><li><a href="/a">Home</a></li><li><a href="/b">Imprint</a></li></ul></nav>';
    const said = 'Rückgaben sind binnen dreißig Tagen möglich, und kosten nichts. '.repeat(20);
    const page = `<html><head><meta charset="iso-8859-1"></head><body>${menu}<article><h1>Rückgabe</h1><p>${said}</p></article></body></html>`;
    const text = wholeOf(await passagesOf({ content: new Uint8Array(Buffer.from(page, 'latin1')), name: 'page.htm' }));
    expect(text).toContain('Rückgaben sind binnen dreißig Tagen');
    expect(text).not.toContain('Imprint');
  });

  test('CSV: each row names its columns; Markdown: a long table has its head again', async () => {
    const csv = await passagesOf({ content: 'plan;price\nPro;25\n"Free; or so";0\n', name: 'prices.csv' });
    expect(wholeOf(csv)).toBe('plan: Pro; price: 25\nplan: Free; or so; price: 0');
    const rows = Array.from({ length: 80 }, (_, index) => `| item ${index} | ${index} euros, without tax |`).join('\n');
    const passages = await passagesOf({
      content: `# Prices\n\n| Item | Price |\n| --- | --- |\n${rows}\n`,
      name: 'p.md',
    });
    expect(passages.length).toBeGreaterThan(2);
    for (const { text, heading } of passages) {
      expect(heading).toBe('Prices');
      expect(text).toContain('| Item | Price |\n| --- | --- |\n');
    }
    expect(wholeOf(passages).match(/\| item 42 \|/g)).toHaveLength(1);
  });

  test('text: in UTF-16, in one paragraph that is long, and in no Latin letters', async () => {
    const utf16 = new Uint8Array(Buffer.from('\uFEFFGrüße aus Köln.', 'utf16le'));
    expect(wholeOf(await passagesOf({ content: utf16, name: 'a.txt' }))).toBe('Grüße aus Köln.');
    const long = `${'Every sentence says something else here. '.repeat(200)}🎈`.repeat(2);
    const passages = await passagesOf({ content: long, name: 'long.txt' });
    expect(Math.max(...passages.map(({ text }) => text.length))).toBeLessThan(1_600);
    expect(wholeOf(passages)).toContain('🎈');
    await passagesOf({ content: '退货必须在三十天内完成。', name: 'zh.txt' });
    expect((await knowledge.search(knowledge_id, '三十天', { limit: 1 })).results[0]).toMatchObject({
      document: 'zh.txt',
      text_rank: 1,
    });
  });

  test('a word is found by its parts, without its accents, and by what is written around it', async () => {
    await passagesOf({ content: 'See https://example.com/docs/state-of-the-art?x=1 on node.js.', name: 'urls.txt' });
    await passagesOf({ content: 'Die naïve Größe von Zoë, e-mail an AT&T.', name: 'accents.txt' });
    const first = async (query: string) =>
      (await knowledge.search(knowledge_id, query, { limit: 1 })).results[0]?.document;
    for (const query of ['https://example.com/docs/state-of-the-art?x=1', 'node', 'nodejs', 'example.com/docs'])
      expect(await first(query), query).toBe('urls.txt');
    for (const query of ['naive', 'ZOE', 'große', 'email', 'AT&T'])
      expect(await first(query), query).toBe('accents.txt');
    const { results } = await knowledge.search(knowledge_id, '-- ! & | <-> :* ()', { limit: 1 });
    expect(results.every(({ text_rank }) => text_rank === null)).toBe(true);
  });
});

/** A stream of a few hundred kilobytes. The API is in this process, and answers meanwhile. */
async function pdfBomb(): Promise<Uint8Array<ArrayBuffer>> {
  const bomb = await promisify(deflate)(Buffer.alloc(640 * 1024 * 1024, 'q '));
  const stream = (bytes: Buffer) =>
    Buffer.concat([
      Buffer.from(`<< /Length ${bytes.length} /Filter /FlateDecode >>\nstream\n`),
      bytes,
      Buffer.from('\nendstream'),
    ]);
  return pdfWith([
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>',
    stream(bomb),
  ]);
}

const encrypted =
  '/Encrypt << /Filter /Standard /V 1 /R 2 /O (01234567890123456789012345678901) /U (01234567890123456789012345678901) /P -44 >> /ID [(0123456789012345)(0123456789012345)] ';

describe('what cannot be read ends as failed, with the reason', () => {
  type Content = string | Uint8Array<ArrayBuffer>;
  test.for<[what: string, name: string, content: () => Content | Promise<Content>, reason: RegExp]>([
    ['an empty file', 'empty.txt', () => '', /no text in it/],
    ['white space', 'white.md', () => ' \n\n\t ', /no text in it/],
    ['a scan', 'scan.pdf', () => pdfOf([[], []]), /no text in it: it may be scanned/],
    [
      'a PDF with a password',
      'locked.pdf',
      () => pdfWith(['<< /Type /Catalog /Pages 2 0 R >>', '<< /Type /Pages /Kids [] /Count 0 >>'], encrypted),
      /password|encrypted/,
    ],
    ['a PDF that is none', 'none.pdf', () => 'This is no PDF.', /no PDF that can be read/],
    [
      'a PDF of too many pages',
      'pages.pdf',
      () => pdfOf(Array.from({ length: maxPages + 1 }, () => ['x'])),
      /2001 pages, and at most 2000/,
    ],
    ['a PDF that unpacks to 640 MiB', 'bomb.pdf', pdfBomb, /needs more memory/],
    ['a DOCX that is no archive', 'none.docx', () => 'PK', /no Word document/],
    [
      'a DOCX with an entity that there is not',
      'entity.docx',
      () => docxOf('<w:p><w:r><w:t>&x;</w:t></w:r></w:p>'),
      /^It is no Word document that can be read: entity not found:&x;$/,
    ],
    ['a DOCX without a document', 'other.docx', () => zipOf([{ name: 'a.txt', content: 'x' }]), /no Word document/],
    [
      'a ZIP bomb',
      'bomb.docx',
      () => docxOf('', [{ name: 'b', content: Buffer.alloc(130 * 1024 * 1024) }]),
      /more than 128 MiB|Unpacked/,
    ],
    [
      'a ZIP bomb that lies about its size',
      'lie.docx',
      () => docxOf('', [{ name: 'b', content: Buffer.alloc(130 * 1024 * 1024), size: 10 }]),
      /too many bytes/,
    ],
    ['HTML that is nested for ever', 'deep.html', () => `<body>${'<div>'.repeat(20_000)}x`, /nested|deep/],
    ['binary', 'binary.txt', () => new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10]), /no text in UTF-8/],
    ['NUL', 'nul.md', () => 'a\u0000b', /NUL/],
    [
      'more text than is read',
      'much.txt',
      () => 'All work and no play. '.repeat(600_000),
      /more than 10000000 characters/,
    ],
  ])('%s', { timeout: 180_000 }, async ([, name, content, reason]) => {
    const { body } = await knowledge.upload(knowledge_id, [{ content: await content(), name }]);
    const document = await knowledge.untilDone(knowledge_id, body.documents[0].document_id, 150_000);
    expect(document).toMatchObject({ status: 'failed', indexed_at: null });
    expect(document.failure).toMatch(reason);
  });

  test('and the worker is as it was: the next document is indexed', async () => {
    const [document] = await knowledge.index(knowledge_id, { content: 'All is well.' });
    expect(document).toMatchObject({ status: 'indexed' });
  });
});
