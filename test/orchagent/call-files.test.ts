import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { createCaller, publish } from '../harness/calls.ts';
import type { Answer } from '../harness/client.ts';
import { untilBlocked } from '../harness/rows.ts';
import { filePart, formOf } from '../harness/upload.ts';
import { useStory } from '../harness/story.ts';

/** Files that come with a call. */

const story = useStory();
const mebibyte = 1024 * 1024;

const post = (path: string, body: FormData | string, headers?: Record<string, string>) =>
  createCaller(story.orchflow.url, story.user).post(path, body, headers);
const file = (content: string | Uint8Array<ArrayBuffer>, name = 'notes.txt', type = 'text/plain') =>
  new File([content], name, { type });

function form(parts: Record<string, File[] | string>): FormData {
  const body = new FormData();
  for (const [name, given] of Object.entries(parts)) for (const one of [given].flat()) body.append(name, one as string);
  return body;
}

test('files and metadata come together, and are kept with the run', async () => {
  const org = 'files-1';
  await publish(story.orchflow, story.user, org, { name: 'reader', input_schema: { type: 'object', properties: {} } });
  story.model.on(() => '{"ok": true}');
  const path = `/${org}/reader/v1/analyze`;
  const metadata = JSON.stringify({ format: 'detailed', llm_credentials: { model: 'gpt-4o' } });
  const sent = form({
    'files[]': [file('First text.', 'a.txt'), file('Second text.', 'b.txt')],
    file: [file('Third.', 'c.txt')],
    metadata,
  });
  const { status, body } = await post(path, sent);
  expect([status, body.data, body.warnings.map((one: any) => one.code)], JSON.stringify(body)).toEqual([
    200,
    { ok: true },
    ['VALIDATION_SKIPPED'],
  ]);
  const [{ prompt, model }] = story.model.calls as [any];
  for (const words of ['First text.', 'Second text.', 'Third.', 'detailed']) expect(prompt).toContain(words);
  expect([model, prompt.includes('llm_credentials')]).toEqual(['gpt-4o', false]);
  const [{ run_id }] = (await story.user.get('/runs')).body.runs;
  const { attachments } = (await story.user.get(`/runs/${run_id}`)).body;
  expect(attachments.map(({ name }: any) => name).sort()).toEqual(['a.txt', 'b.txt', 'c.txt']);
  // They are the account's with the run, and not before.
  const { db } = story.orchflow;
  let alongside: Promise<Answer> | undefined;
  await db.transaction().execute(async (trx) => {
    await sql`lock table run_files in share mode`.execute(trx);
    alongside = post(path, form({ file: [file('Fourth.')] }));
    await untilBlocked(db, 'its run is about to be accepted');
    expect((await story.user.get('/files')).body.files).toHaveLength(3);
  });
  expect([(await alongside)!.status, (await story.user.get('/files')).body.files.length]).toEqual([200, 4]);
  // Twice with the same key is once.
  const once = { 'idempotency-key': 'files' };
  const [first, second] = [
    await post(path, form({ file: [file('Once.')] }), once),
    await post(path, form({ file: [file('Once.')] }), once),
  ];
  expect(second.body).toEqual(first.body);
  const { metadata: told } = first.body;
  for (const { headers } of [first, second]) {
    const names = ['x-run-id', 'x-orchagent-run-id', 'x-request-id'].map((name) => headers.get(name));
    expect(names).toEqual([told.run_id, told.run_id, told.request_id]);
  }
  const other = await post(path, form({ file: [file('Twice.')] }), once);
  expect([other.status, other.body.error.reason]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
  expect((await story.user.get('/runs')).body.runs).toHaveLength(3);
  expect((await story.user.get('/files')).body.files).toHaveLength(5);
});

test('what is too large, too many, of another type or broken is refused, and nothing of it stays', async () => {
  const org = 'files-2';
  await publish(
    story.orchflow,
    story.user,
    org,
    { name: 'pdfs' },
    { package: { accepts: ['application/pdf', 'image/*'] } },
  );
  await publish(story.orchflow, story.user, org, { name: 'any' });
  const any = `/${org}/any/v1/run`;
  const codeOf = async (answer: Promise<any>) => {
    const { status, body } = await answer;
    return [status, body.error.code];
  };
  const large = file(new Uint8Array(25 * mebibyte + 1), 'large.bin', 'application/octet-stream');
  expect(await codeOf(post(any, form({ file: [large] })))).toEqual([413, 'DOCUMENT_TOO_LARGE']);
  expect(await codeOf(post(`/${org}/pdfs/v1/run`, form({ file: [file('x')] })))).toEqual([415, 'UNSUPPORTED_TYPE']);
  const named = file('x', 'a.txt', '');
  expect(await codeOf(post(`/${org}/pdfs/v1/run`, form({ file: [named] })))).toEqual([415, 'UNSUPPORTED_TYPE']);
  const eleven = Array.from({ length: 11 }, (_, n) => file('x', `${n}.txt`));
  const wrong: Record<string, File[] | string>[] = [
    { 'files[]': eleven },
    { other: [file('x')] },
    { file: [file('x')], metadata: 'no json' },
    { file: [file('x')], metadata: '[]' },
    { file: [file('x')], metadata: '{"order": 12345678901234567890}' },
    { file: [file('x')], metadata: `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}` },
    { metadata: [file(`"${'x'.repeat(mebibyte)}"`, 'metadata.json')] },
    { metadata: [file('{}'), file('{}')] },
  ];
  for (const parts of wrong)
    expect(await codeOf(post(any, form(parts))), Object.keys(parts).join()).toEqual([400, 'INVALID_INPUT']);
  for (const parts of [
    ['Content-Disposition: form-data; name="file"\r\n\r\nno filename'],
    ['no header\r\n\r\nx'],
    [
      'Content-Disposition: form-data; name="metadata"\r\n\r\n{}',
      'Content-Disposition: form-data; name="metadata"\r\n\r\n{}',
    ],
    [filePart('x', '../../etc/passwd\u0000')],
  ]) {
    const { body, headers } = formOf(...parts);
    expect(await codeOf(post(any, body, headers)), parts.join()).toEqual([400, 'INVALID_INPUT']);
  }
  const { body, headers } = formOf(filePart('x'));
  expect(await codeOf(post(any, body.slice(0, -12), headers))).toEqual([400, 'INVALID_INPUT']);
  expect((await story.user.get('/runs')).body.runs).toEqual([]);
  expect((await story.user.get('/files')).body.files).toEqual([]);

  story.model.on(() => 'Fine.');
  const whole = file(new Uint8Array(25 * mebibyte), 'scan.pdf', 'application/pdf');
  expect((await post(`/${org}/pdfs/v1/run`, form({ file: [whole] }))).status).toBe(200);
  // As a blob it has a type, and a filename.
  for (const metadata of ['{"only": "metadata"}', [file('{"only": "metadata"}', 'blob', 'application/json')]]) {
    const alone = await post(any, form({ metadata }));
    expect([alone.status, story.model.calls.at(-1)!.prompt.includes('"only": "metadata"')]).toEqual([200, true]);
  }
});
