import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { executablePath } from '../harness/chromium.ts';
import { until } from '../harness/client.ts';
import { startOrchflow, type Orchflow } from '../harness/orchflow.ts';

/** The interactive documentation, in a real browser. */

let orchflow: Orchflow;
let browser: Browser;
beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
  // Swagger UI does less on localhost, which nobody's deployment is.
  const args = ['--no-sandbox', '--host-resolver-rules=MAP docs.example 127.0.0.1'];
  if (executablePath) browser = await chromium.launch({ executablePath, args });
});
afterAll(async () => {
  await browser?.close();
  await orchflow.stop();
});

/** With what the browser has to complain of, but for one header that only counts with TLS. */
async function open(): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && !/Cross-Origin-Opener-Policy/.test(text)) complaints.push(text);
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('requestfailed', (request) => complaints.push(request.url()));
  await page.goto(`${orchflow.url.replace('127.0.0.1', 'docs.example')}/docs`);
  return { page, complaints };
}

test.skipIf(!executablePath)('it loads, tries a request with the key that is typed in, and keeps no key', async () => {
  const { api_key } = await orchflow.register();
  const { page, complaints } = await open();
  await page.getByRole('button', { name: 'Authorize', exact: true }).first().click();
  const dialog = page.locator('.modal-ux');
  await dialog.locator('input').first().fill(api_key);
  await dialog
    .getByRole('button', { name: /apply credentials/i })
    .first()
    .click();
  await dialog.getByRole('button', { name: 'Close' }).first().click();

  const operation = page.locator('#operations-Providers-listProviders');
  // Of so many operations Swagger UI (5.35) shows those that are near to what is seen.
  await until(async () => {
    await page.evaluate(
      'scrollY + innerHeight < document.documentElement.scrollHeight - 9 ? scrollBy(0, 400) : scrollTo(0, 0)',
    );
    return (await operation.count()) > 0;
  }, 'the page has shown the operation');
  await operation.locator('.opblock-summary-control').click();
  await operation.getByRole('button', { name: 'Execute' }).click();
  const answer = operation.locator('.live-responses-table .response');
  await answer.waitFor();
  expect(await answer.innerText()).toMatch(/^200[^]*"providers": \[\]/);
  // Icons, which a policy that is too narrow would take away.
  expect(await page.locator('.authorize svg').first().boundingBox()).toMatchObject({ width: 20 });
  expect(complaints).toEqual([]);
  expect(await page.evaluate('JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie')).toBe('{}');
  await page.reload();
  await page.getByRole('button', { name: 'Authorize', exact: true }).first().click();
  expect(await page.locator('.modal-ux input').first().inputValue()).toBe('');
  await page.close();
});

test.skipIf(!executablePath)('a script that stands in the page does not run', async () => {
  const { page, complaints } = await open();
  await page.evaluate(`
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.body.append(script);
  `);
  expect(await page.evaluate('window.ran')).toBeUndefined();
  expect(complaints).toEqual([expect.stringMatching(/Content Security Policy/)]);
  await page.close();
});
