import path from 'node:path';
import { createRequire } from 'node:module';
import { html } from 'hono/html';
import type { Context } from 'hono';

/** The folder of Swagger UI's assets: they are served by us, so that the page works without the internet. */
export const swaggerAssets = path.dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));

/** The interactive documentation of `/openapi.json`. */
export function docsPage(c: Context) {
  c.header(
    'Content-Security-Policy',
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'",
  );
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
          <script>
            SwaggerUIBundle({
              url: '/openapi.json',
              dom_id: '#docs',
              persistAuthorization: true,
              tryItOutEnabled: true,
            });
          </script>
        </body>
      </html>`,
  );
}
