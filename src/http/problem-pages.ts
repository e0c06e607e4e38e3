import { Hono } from 'hono';
import { html } from 'hono/html';
import { problems, type ProblemCode } from './problem-codes.ts';
import { slugOf } from './problems.ts';

/** What the `type` of a problem (RFC 9457) leads to: a page that says what it means and what to do. */
export const problemPages = new Hono();

const codes = Object.keys(problems) as ProblemCode[];

problemPages.get('/', (c) =>
  c.html(
    page(
      'Problems',
      html`<ul>
        ${codes.map((code) => html`<li><a href="/problems/${slugOf(code)}">${code}</a>: ${problems[code][1]}</li>`)}
      </ul>`,
    ),
  ),
);

problemPages.get('/:slug', (c, next) => {
  const code = codes.find((known) => slugOf(known) === c.req.param('slug'));
  if (!code) return next();
  const [status, title, help] = problems[code];
  return c.html(
    page(
      title,
      html`<p>Status ${status}, <code>${code}</code></p>
        <p>${withCode(help)}</p>
        <p><a href="/problems">All problems</a> · <a href="/docs">API</a></p>`,
    ),
  );
});

/** What stands between backticks is code. */
function withCode(text: string) {
  return text.split('`').map((part, index) => (index % 2 ? html`<code>${part}</code>` : part));
}

function page(title: string, content: ReturnType<typeof html>) {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · Orchflow</title>
      </head>
      <body>
        <h1>${title}</h1>
        ${content}
      </body>
    </html>`;
}
