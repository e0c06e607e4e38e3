import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectProblem } from '../harness/problem.ts';
import { startOrchflow, type Orchflow } from '../harness/orchflow.ts';
import { send } from '../harness/raw.ts';

let orchflow: Orchflow;
beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => orchflow.stop());

async function page(path: string) {
  const response = await fetch(`${orchflow.url}${path}`);
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
}

test('the type of a problem leads to a page that says what it means and what to do', async () => {
  const { body } = await send(orchflow.url, 'GET', '/api/v1/runs');
  expect(body).toMatchObject({ status: 401, type: '/problems/unauthorized' });
  const { status, type, text } = await page(body.type);
  expect({ status, type }).toEqual({ status: 200, type: 'text/html; charset=UTF-8' });
  for (const part of [body.title, '401', body.code, 'Send the key in <code>X-API-Key</code>'])
    expect(text).toContain(part);
});

test('every problem has its page, and the list leads to all of them', async () => {
  const { text } = await page('/problems');
  const links = [...text.matchAll(/href="(\/problems\/[\w-]+)"/g)].map(([, link]) => link!);
  expect(links.length).toBeGreaterThan(20);
  for (const link of links) expect((await page(link)).status, link).toBe(200);
});

test('a problem that is none is not found', async () => {
  expectProblem(await send(orchflow.url, 'GET', '/problems/lost-keys'), { status: 404, code: 'NOT_FOUND' });
});
