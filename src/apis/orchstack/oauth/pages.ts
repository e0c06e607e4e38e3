import { createHash } from 'node:crypto';
import { html, raw } from 'hono/html';
import type { OAuthClient } from '../../../../db/schema.ts';
import type { GrantableScope } from '../../../accounts/scopes.ts';

/** The pages that people see on the way: plain HTML, with no script and nothing from elsewhere. */

const style = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 3rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.4rem; } code { background: #f2f2f2; padding: .1em .3em; border-radius: 3px; }
label { display: block; margin: 1.5rem 0 .25rem; font-weight: 600; }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; border: 1px solid #767676; border-radius: 4px; }
button { font: inherit; margin: 1rem .5rem 0 0; padding: .5rem 1.25rem; border: 1px solid #1a1a1a; border-radius: 4px; background: #fff; color: #1a1a1a; }
button.allow { background: #1a1a1a; color: #fff; } .fault { border-left: 4px solid #b00020; padding-left: .75rem; color: #b00020; }
`;
const styleHash = createHash('sha256').update(style).digest('base64');

/**
 * What the browser may do with a page: nothing but show it, and send its form to us. Chromium holds `form-action` against where
 * that is redirected to as well.
 */
export function contentSecurityPolicy(redirectsTo: string[]): string {
  const formAction = redirectsTo.length > 0 ? `'self' ${redirectsTo.join(' ')}` : "'none'";
  return `default-src 'none'; style-src 'sha256-${styleHash}'; form-action ${formAction}; base-uri 'none'; frame-ancestors 'none'`;
}

/** What `form-action` calls the place of an address: its origin, or its scheme where that is an app's own. */
export function sourceOf(uri: string): string {
  const { origin, protocol } = new URL(uri);
  return origin === 'null' ? protocol : origin;
}

function page(title: string, content: ReturnType<typeof html>) {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>${title}</title>
        ${raw(`<style>${style}</style>`)}
      </head>
      <body>
        ${content}
      </body>
    </html>`;
}

/** Names the client, what it asks for, and where its answer goes; `fault` is why the key that was sent cannot let it. */
export function consentPage(client: OAuthClient, scopes: string[], redirect_uri: string, fault?: string) {
  const { name } = client;
  return page(
    `Let ${name} act for you?`,
    html`<h1>Let “${name}” act for you?</h1>
      <p>It asks to be allowed:</p>
      <ul>
        ${scopes.map((scope) => html`<li><code>${scope}</code> ${wordsOf[scope as GrantableScope]}</li>`)}
      </ul>
      ${
        scopes.some((scope) => scope.endsWith(':write'))
          ? html`<p>
              What it makes or changes stays so when you end this: agents, tools, model providers, and where your
              webhooks go. Look them through then.
            </p>`
          : ''
      }
      <p>
        It is an application that somebody has registered here, and may not be what it says. The answer goes to
        <code>${sourceOf(redirect_uri)}</code>. You end it by <code>DELETE /v1/oauth/grants/{grant_id}</code> (<code
          >GET /v1/oauth/grants</code
        >
        lists whom you let), or by deleting the key with which you allow it.
      </p>
      ${fault ? html`<p class="fault" role="alert">${fault}</p>` : ''}
      <form method="post" autocomplete="off">
        <label for="api_key">An API key of yours, which may do all of it</label>
        <input
          id="api_key"
          name="api_key"
          type="password"
          autocomplete="off"
          spellcheck="false"
          maxlength="200"
          autofocus
        />
        <button class="allow" name="decision" value="allow">Allow</button>
        <button name="decision" value="deny">Deny</button>
      </form>`,
  );
}

export function failurePage(detail: string) {
  return page(
    'This did not work',
    html`<h1>This did not work</h1>
      <p class="fault" role="alert">${detail}</p>
      <p>Go back to the application that sent you here, and try again.</p>`,
  );
}

/** What each of them lets a client do, in the words of whoever is asked. */
const wordsOf: Record<GrantableScope, string> = {
  'runs:read': 'to read runs, and what they have made',
  'runs:write': 'to start, change, cancel and delete runs',
  'gates:answer': 'to answer what runs ask people',
  'agents:read': 'to read agents',
  'agents:write': 'to change agents',
  'agents:call': 'to call agents, its own and public ones of others',
  'orchestrations:read': 'to read workflows',
  'orchestrations:write': 'to change workflows',
  'providers:read': 'to read which model providers there are',
  'providers:write': 'to change model providers, and so who is sent what your agents work on',
  'files:read': 'to read files',
  'files:write': 'to add and delete files',
  'knowledge:read': 'to read and search the documents of knowledge bases',
  'knowledge:write': 'to change knowledge bases, and add and delete their documents',
  'tools:read': 'to read which tools there are',
  'tools:write': 'to change tools, and so who is sent what your agents call them with',
  'webhooks:read': 'to read who hears of your runs, and what was sent',
  'webhooks:write': 'to change who hears of your runs, and what is sent of them, also to itself',
  'people:read': 'to read who your people are, and what waits for them',
  'people:write': 'to change and delete people',
  'batch:write': 'to do several things in one request',
};
