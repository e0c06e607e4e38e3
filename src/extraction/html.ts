import { Readability } from '@mozilla/readability';
import { parseHTML } from 'linkedom';
import Turndown from 'turndown';
import type { Section } from './cut.ts';
import { Unreadable } from './unreadable.ts';

/** What is deeper is no page that people read, and more than the stack holds. */
const maxDepth = 400;

/** A page as Markdown, with its title: its article where one can be told from the rest, else all of it. */
export function readHtml(html: string): Section[] {
  const { document } = parseHTML(framed(html));
  requireShallow(document.documentElement);
  // Without a head of its own, it stands in the body.
  const title = document.querySelector('title')?.textContent?.replaceAll(/\s+/g, ' ').trim();
  const article = articleOf(document.documentElement.outerHTML, document.body?.textContent?.length ?? 0);
  const markdown = toMarkdown(article ?? document.body?.innerHTML ?? '');
  return [
    {
      page: null,
      text: title && !markdown.startsWith(`# ${title}`) ? `# ${title}\n\n${markdown}` : markdown,
      form: 'markdown',
    },
  ];
}

/** linkedom finds no body in a page that does not name it. */
function framed(html: string): string {
  return /<body[\s>]/i.test(html) ? html : `<html><body>${html}</body></html>`;
}

type Nested = { children: Iterable<Nested> };

function requireShallow(root: Nested): void {
  let level: Nested[] = [root];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > maxDepth) throw new Unreadable(`Its elements are nested more than ${maxDepth} deep.`);
    level = level.flatMap((element) => [...element.children]);
  }
}

/** What readability takes: linkedom's documents are those of a browser, but for their types. */
type ReadableDocument = ConstructorParameters<typeof Readability>[0];

/** What a reader would read of it. Undefined where that is less than half: then it is no page of one article. */
function articleOf(html: string, length: number): string | undefined {
  try {
    const { document } = parseHTML(html);
    const article = new Readability(document as ReadableDocument, { charThreshold: 200 }).parse();
    return article?.content && (article.textContent?.length ?? 0) > length / 2 ? article.content : undefined;
  } catch {
    return undefined;
  }
}

const silent = [
  'script',
  'style',
  'title',
  'noscript',
  'template',
  'iframe',
  'object',
  'svg',
  'canvas',
  'img',
] as const;

/** Of HTML that other formats are read as, too. */
export function toMarkdown(html: string): string {
  const turndown = new Turndown({ headingStyle: 'atx', codeBlockStyle: 'fenced', bulletListMarker: '-' });
  turndown.remove(silent as unknown as Turndown.Filter);
  // It is searched, and not shown: `snake_case` stays one word, and where a link leads says nothing.
  turndown.escape = (text) => text;
  turndown.addRule('link', { filter: 'a', replacement: (content) => content });
  turndown.addRule('cell', {
    filter: ['td', 'th'],
    replacement: (content) => ` ${content.replaceAll(/\s+/g, ' ').trim()} |`,
  });
  turndown.addRule('row', {
    filter: 'tr',
    replacement: (content, row) => `\n|${content}${isHead(row as Row) ? `\n${dashes(row as Row)}` : ''}`,
  });
  turndown.addRule('rows', { filter: ['thead', 'tbody', 'tfoot'], replacement: (content) => content });
  turndown.addRule('table', {
    filter: 'table',
    replacement: (content) => `\n\n${content.replaceAll(/\n{2,}/g, '\n').trim()}\n\n`,
  });
  const { document } = parseHTML(`<html><body>${html}</body></html>`);
  return turndown.turndown(document.body as Turndown.Node);
}

type Row = { querySelectorAll: (selector: string) => ArrayLike<unknown>; closest: (selector: string) => Row | null } & {
  querySelector: (selector: string) => unknown;
};

/** A table has its names in its first row, and many do not say so. */
function isHead(row: Row): boolean {
  return row.closest('table')?.querySelector('tr') === row;
}

function dashes(row: Row): string {
  return `|${' --- |'.repeat(row.querySelectorAll('td, th').length)}`;
}
