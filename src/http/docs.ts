import path from 'node:path';
import { createRequire } from 'node:module';
import { html } from 'hono/html';
import type { Context } from 'hono';

/** The folder of Swagger UI's assets: they are served by us, so that the page works without the internet. */
export const swaggerAssets = path.dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));

/** Scripts, styles and requests are ours alone. */
const policy = [
  "default-src 'self'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The interactive documentation of `/openapi.json`. */
export function docsPage(c: Context) {
  c.header('Content-Security-Policy', policy);
  return c.html(
    html`<!doctype html>
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <title>Orchflow API</title>
          <link rel="stylesheet" href="/docs/assets/swagger-ui.css" />
          <link rel="icon" href="/docs/assets/favicon-32x32.png" />
        </head>
        <body>
          <div id="docs"></div>
          <script src="/docs/assets/swagger-ui-bundle.js"></script>
          <script src="/docs/start.js"></script>
        </body>
      </html>`,
  );
}

/**
 * What starts the page, in a file of its own: nothing that stands in a page runs there. No key outlives the page. What is tried goes to
 * where the page is from, whatever address the document has: the page may call no other.
 */
export function docsScript(c: Context) {
  return c.body(
    `SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#docs',
  tryItOutEnabled: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    const { pathname, search } = new URL(request.url, location.href);
    return Object.assign(request, { url: location.origin + pathname + search });
  },
});
`,
    200,
    { 'Content-Type': 'text/javascript; charset=utf-8' },
  );
}
