import { tables } from '@joplin/turndown-plugin-gfm';
import { Readability } from '@mozilla/readability';
import { parseHTML } from 'linkedom';
import Turndown from 'turndown';
import type { Section } from '../cut.ts';
import { Unreadable } from './unreadable.ts';

/** What is deeper is no page that people read, and more than the stack holds. */
const maxDepth = 400;

/** A page as Markdown, with its title: its article where one can be told from the rest, else all of it. */
export function readHtml(html: string): Section[] {
  const { document } = parseHTML(framed(html));
  requireShallow(document.documentElement);
  const title = document.title?.trim();
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

/** Of HTML that other formats are read as, too. */
export function toMarkdown(html: string): string {
  const turndown = new Turndown({ headingStyle: 'atx', codeBlockStyle: 'fenced', bulletListMarker: '-' });
  turndown.use(tables);
  turndown.remove([
    'script',
    'style',
    'noscript',
    'template',
    'iframe',
    'object',
    'svg' as 'object',
    'canvas',
    'img',
    'head',
  ]);
  // It is searched, and not shown: `snake_case` stays one word.
  turndown.escape = (text) => text;
  turndown.addRule('links', { filter: 'a', replacement: (content) => content });
  const { document } = parseHTML(`<html><body>${html}</body></html>`);
  return turndown.turndown(document.body as Turndown.Node);
}
